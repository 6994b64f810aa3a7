"""Manual pages say what the program knows, and are read without a warning."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent_core.cli.commands.config import schema_with
from agent_core.cli.main import _whole_parser
from agent_core.cli.options import EXIT_CODES
from agent_core.config import AgentConfig
from agent_core.plugin_host.manager import ENTRY_POINT_GROUP
from command_tree import command_tree
from control import filled
from manual import command_page, configuration_page

ROOT = Path(__file__).parents[2]
MAN = pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")


def plugins() -> list[str]:
    from importlib.metadata import entry_points

    return sorted(each.name for each in entry_points(group=ENTRY_POINT_GROUP))


def pages() -> dict[str, str]:
    config = AgentConfig.model_validate({"plugins": {"enabled": plugins()}, "storage": {"state_dir": "/x"}})
    release = {"date": "2026-11-30", "version": "0.1.0"}
    service = ROOT / "packaging/deb/man/camera-agent.service.8"
    return {
        "camera-agent.1": command_page(command_tree(_whole_parser()), exit_codes=EXIT_CODES, **release),
        "camera-agent-config.5": configuration_page(schema_with(config), **release),
        "camera-agent.service.8": filled(service, DATE=release["date"], VERSION=release["version"]),
    }


PAGES = pages()


def shown(name: str, folder: Path) -> tuple[str, str]:
    """Return the page as a terminal of endless width shows it, and the warnings."""
    path = folder / name
    path.write_text(PAGES[name])
    done = subprocess.run(
        ["man", "--warnings", "--encoding=UTF-8", "--local-file", path],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFOPT": "", "MANWIDTH": "1000", "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"\x1b\[\d+m|.\x08", "", done.stdout), done.stderr


@MAN
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_without_a_warning(name: str, tmp_path: Path) -> None:
    text, warnings = shown(name, tmp_path)
    assert warnings == ""
    assert text.startswith(name.rpartition(".")[0].upper() + "(")


@MAN
def test_man_warns_about_a_mistake(tmp_path: Path) -> None:
    """The test above could not fail if this man did not check."""
    path = tmp_path / "wrong.1"
    path.write_text(PAGES["camera-agent.1"] + ".XX\n")
    done = subprocess.run(
        ["man", "--warnings", "-l", path],
        env={**os.environ, "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "XX" in done.stderr


@MAN
def test_every_command_is_described_with_its_options(tmp_path: Path) -> None:
    text, _ = shown("camera-agent.1", tmp_path)
    root = command_tree(_whole_parser())
    shared = {flag for option in root.flagged for flag in option.flags}
    for command in root.walk():
        if not (command.words and command.runs_alone):
            continue
        _, found, rest = text.partition(f"\n   {' '.join(command.words)}\n")
        assert found, command.words
        part = re.split(r"\n(?: {3})?\S", rest)[0]
        assert " ".join(command.description.split()) in " ".join(part.split())
        for option in command.flagged:
            assert shared & {*option.flags} or option.flags[-1] in part, (command.words, option.flags)
        for argument in command.arguments:
            assert str(argument.value) in part, (command.words, argument)


@MAN
def test_every_setting_is_described_in_its_table(tmp_path: Path) -> None:
    text, _ = shown("camera-agent-config.5", tmp_path)
    for section, field in AgentConfig.model_fields.items():
        members = getattr(field.annotation, "model_fields", {})
        if section == "plugins":
            continue
        part = text.partition(f"\n   [{section}]\n")[2].partition("\n   [")[0]
        for key, member in members.items():
            assert re.search(rf"^       {key} \(", part, re.MULTILINE), (section, key)
            assert str(member.description).replace("`", "") in part, (section, key)
    for name in plugins():
        assert f"[plugins.{name}" in text, name


@MAN
def test_the_exit_codes_are_those_of_the_help(tmp_path: Path) -> None:
    text, _ = shown("camera-agent.1", tmp_path)
    part = text.partition("\nEXIT STATUS\n")[2].partition("\nENVIRONMENT")[0]
    assert [int(each) for each in re.findall(r"^       (\d)", part, re.MULTILINE)] == list(range(7))


def test_what_roff_would_take_as_an_order_is_text() -> None:
    schema = {"properties": {"key": {"type": "string", "description": ".hidden \\ and `x-y`"}}, "$defs": {}}
    page = configuration_page(schema, date="2026-11-30", version="1")
    assert "\n\\&.hidden \\e and \\fBx\\-y\\fR\n" in page
