"""Traps that another user may put in place of a state file: never waited for, never trusted."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.base.clock import SystemClock
from agent_core.base.errors import ConfigError, StartFailed, StateCorrupt
from agent_core.base.files import StateFile
from agent_core.base.small_files import UnsafeFile, read_small
from agent_core.cli.access import running_url
from agent_core.cli.running import announced
from agent_core.config import load_config

Plant = Callable[[Path], None]
NOBODY = 65534


def a_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def a_folder(path: Path) -> None:
    path.mkdir(mode=0o700)


def a_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(path))


def a_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5 << 40)
    path.chmod(0o600)


def nested(path: Path) -> None:
    path.write_text("[" * 200_000)
    path.chmod(0o600)


def bytes_of_no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0")
    path.chmod(0o600)


NO_FILES = (a_fifo, a_folder, a_link, a_dangling_link, a_socket, a_huge_file)
PLANTED = (*NO_FILES, nested, bytes_of_no_text)


class Thing(BaseModel):
    word: str = ""


@pytest.mark.parametrize("plant", NO_FILES)
def test_only_a_small_regular_file_is_read(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "planted")
    with pytest.raises(UnsafeFile):
        read_small(tmp_path / "planted")


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_state_file_is_set_aside_and_the_backup_used(tmp_path: Path, plant: Plant) -> None:
    file = StateFile(tmp_path / "cameras.json", Thing)
    file.save(Thing(word="one"))
    file.save(Thing(word="two"))
    (tmp_path / "cameras.json").unlink()
    plant(tmp_path / "cameras.json")
    value, problem = file.load()
    assert value == Thing(word="one")
    assert isinstance(problem, StateCorrupt)
    file.save(Thing(word="three"))
    assert file.load() == (Thing(word="three"), None)


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_backup_and_a_taken_name_for_the_corrupt_file_do_no_harm(
    tmp_path: Path, plant: Plant
) -> None:
    (tmp_path / "cameras.json").write_text("no JSON")
    (tmp_path / "cameras.json.corrupt").mkdir()
    plant(tmp_path / "cameras.json.bak")
    value, problem = StateFile(tmp_path / "cameras.json", Thing).load()
    assert value is None
    assert problem is not None


@pytest.mark.parametrize("plant", [a_fifo, a_link, a_dangling_link, a_socket, a_huge_file])
def test_a_state_file_that_was_replaced_while_the_agent_ran_is_written_again(
    tmp_path: Path, plant: Plant
) -> None:
    plant(tmp_path / "cameras.json")
    file = StateFile(tmp_path / "cameras.json", Thing)
    file.save(Thing(word="new"))
    assert file.load() == (Thing(word="new"), None)


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_secret_keeps_the_agent_from_starting(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "secret")
    with pytest.raises(StartFailed):
        Secret.load(tmp_path / "secret")


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_file_of_keys_holds_none_and_is_told_of_once(
    tmp_path: Path, plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    plant(tmp_path / "api-keys.json")
    keys = ApiKeys(tmp_path / "api-keys.json", SystemClock())
    assert keys.refresh() == keys.refresh() == ()
    assert [record.message for record in caplog.records if "no API key is valid" in record.message] == [
        record.message for record in caplog.records
    ]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_endpoint_is_not_the_agents(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "endpoint.json")
    assert running_url(tmp_path / "endpoint.json") is None
    assert announced(tmp_path) is None


@pytest.mark.parametrize("plant", [each for each in PLANTED if each is not nested])
def test_a_planted_configuration_is_refused(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "config.toml")
    with pytest.raises(ConfigError):
        load_config([tmp_path / "config.toml"])


def test_a_configuration_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("[server]\nport = 1234\n")
    (tmp_path / "config.toml").symlink_to("real.toml")
    assert load_config([tmp_path / "config.toml"]).server.port == 1234


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_may_write_is_not_trusted(tmp_path: Path, mode: int) -> None:
    keys = ApiKeys(tmp_path / "api-keys.json", SystemClock())
    key = keys.create("me", Role.ADMIN)
    assert keys.verify(key).user_id == "me"
    (tmp_path / "api-keys.json").chmod(mode)
    assert keys.refresh() == ()
    (tmp_path / "api-keys.json").chmod(0o600)
    keys.refresh()
    assert keys.verify(key).user_id == "me"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["api-keys.json", "secret", "cameras.json", "endpoint.json"])
def test_a_file_of_another_account_is_not_trusted(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps({"word": "planted", "keys": [], "url": "ws://h/ws", "pid": os.getpid()}))
    path.chmod(0o600)
    assert read_small(path, private=True)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(UnsafeFile, match="another account"):
        read_small(path, private=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_of_the_folder_is_trusted_in_it(tmp_path: Path) -> None:
    """The command line, run by root, reads what the agent's account has written."""
    path = tmp_path / "endpoint.json"
    path.write_text("{}")
    os.chown(path, NOBODY, NOBODY)
    os.chown(tmp_path, NOBODY, NOBODY)
    assert read_small(path, private=True) == b"{}"
