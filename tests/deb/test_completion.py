"""Completion of bash and zsh, by these shells."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent_core.cli.main import _whole_parser
from command_tree import command_tree
from completion import bash_completion, zsh_completion

ROOT = command_tree(_whole_parser())
BASH = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
ZSH = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")

_ASK_BASH = """
source "$1"
shift
[[ $(complete -p camera-agent) == *" -F _camera_agent camera-agent" ]] || exit 3
COMP_WORDS=(camera-agent "$@") COMP_CWORD=$#
_camera_agent 2>&1
printf '%s\\n' "${COMPREPLY[@]}"
"""
#: zsh's own functions print what they are given.
_ASK_ZSH = """
_describe() { local each; for each in ${(P)argv[-1]}; do print -r -- ${each%%:*}; done }
compadd() { shift; print -rl -- $@ }
_files() { print files }
_default() { print default }
file=$1
shift
words=(camera-agent "$@")
CURRENT=$#words
source $file
"""


def bash(folder: Path, *words: str) -> set[str]:
    """Return what bash offers for the last word."""
    path = folder / "camera-agent"
    path.write_text(bash_completion(ROOT))
    done = subprocess.run(
        ["bash", "-c", _ASK_BASH, "bash", path, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return {*done.stdout.split()}


def zsh(folder: Path, *words: str) -> set[str]:
    """Return what zsh offers; it leaves the choice by the letters typed so far to the shell."""
    path = folder / "_camera-agent"
    path.write_text(zsh_completion(ROOT))
    done = subprocess.run(
        ["zsh", "-f", "-c", _ASK_ZSH, "zsh", path, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return {*done.stdout.split()}


def named(*words: str) -> set[str]:
    (command,) = [each for each in ROOT.walk() if each.words == words]
    return {each.words[-1] for each in command.below}


def flags(*words: str) -> set[str]:
    (command,) = [each for each in ROOT.walk() if each.words == words]
    return {each.flags[-1] for each in command.flagged}


@BASH
@pytest.mark.parametrize("command", [each.words for each in ROOT.walk()], ids=" ".join)
def test_bash_offers_what_the_parser_takes(command: tuple[str, ...], tmp_path: Path) -> None:
    assert bash(tmp_path, *command, "") == named(*command)
    assert bash(tmp_path, *command, "--") == flags(*command)


@ZSH
@pytest.mark.parametrize("command", [each.words for each in ROOT.walk()], ids=" ".join)
def test_zsh_offers_what_the_parser_takes(command: tuple[str, ...], tmp_path: Path) -> None:
    assert zsh(tmp_path, *command, "") == (named(*command) or {"default"})
    assert zsh(tmp_path, *command, "--") == flags(*command)


@BASH
def test_bash_completes_a_word(tmp_path: Path) -> None:
    assert bash(tmp_path, "rec") == {"record", "recordings"}
    assert bash(tmp_path, "record", "start", "camera0", "--dur") == {"--duration"}


@BASH
def test_bash_offers_the_values_of_an_option(tmp_path: Path) -> None:
    assert bash(tmp_path, "token", "create", "--role", "") == {"viewer", "operator", "admin"}
    assert bash(tmp_path, "record", "start", "--format", "m") == {"mpegts"}
    assert bash(tmp_path, "record", "start", "--duration", "") == set()


@BASH
def test_bash_offers_files_where_a_file_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "one.toml").touch()
    assert bash(tmp_path, "--config", f"{tmp_path}/o") == {f"{tmp_path}/one.toml"}
    assert bash(tmp_path, "snapshot", "camera0", "-o", f"{tmp_path}/o") == {f"{tmp_path}/one.toml"}


@BASH
def test_a_value_is_not_taken_for_a_command(tmp_path: Path) -> None:
    assert bash(tmp_path, "--config", "record", "") == named()
    assert bash(tmp_path, "--config", "x.toml", "record", "") == named("record")


@ZSH
def test_zsh_offers_values_and_files(tmp_path: Path) -> None:
    assert zsh(tmp_path, "token", "create", "--role", "") == {"viewer", "operator", "admin"}
    assert zsh(tmp_path, "--config", "") == {"files"}
    assert zsh(tmp_path, "record", "start", "--duration", "") == set()
