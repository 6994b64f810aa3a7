"""`doctor`: its findings, and its survival of everything that it checks."""

import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core.base.errors import CaptureFailed
from agent_core.base.locks import InstanceLock
from agent_core.cli.checks.agent import configuration, look
from agent_core.cli.checks.folders import Folder, look_at_folder, look_at_runtime_folder
from agent_core.cli.checks.host import look_at_clock
from agent_core.cli.running import RunningAgent, lock_holder
from agent_core.config import StorageConfig
from agent_core.plugin import Check, Finding, FindingStatus
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home

PLUGINS = """
from agent_core.plugin import Check, Finding, FindingStatus, Plugin, Settings, hookimpl


class Lamp(Check):
    name = "lamp"

    def __init__(self, program):
        self.program = program

    async def look(self):
        return [Finding("lamp", FindingStatus.FAILED, f"The lamp {self.program} is out.", "Buy another.")]


class Bright(Plugin[Settings]):
    @hookimpl
    def agent_checks(self, ffmpeg_program):
        return [Lamp(ffmpeg_program)]


class Dark(Plugin[Settings]):
    @hookimpl
    def agent_checks(self):
        raise RuntimeError("no light")
"""


class Once(Check):
    """A check that does what it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    @property
    def name(self) -> str:
        return "once"

    async def look(self) -> Sequence[Finding]:
        if self._error:
            raise self._error
        await anyio.sleep_forever()
        raise AssertionError


def folder(
    path: Path, *, low_space_bytes: int = 0, is_private: bool = False, account: int | None = None
) -> Folder:
    account = os.geteuid() if account is None else account
    return Folder("storage", path, "storage.state_dir", low_space_bytes, account, is_private)


@pytest.mark.parametrize("name", ["closed/in/state", "a" * 300])
def test_a_state_folder_that_cannot_be_looked_for_is_a_finding(tmp_path: Path, name: str) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    try:
        found = look_at_folder(folder(tmp_path / name))
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert found.name == "storage"
    assert str(tmp_path) in found.detail


def test_little_space_is_a_warning_by_the_configured_limit(tmp_path: Path) -> None:
    found = look_at_folder(folder(tmp_path, low_space_bytes=1 << 60))
    assert found.status is FindingStatus.WARNING
    assert "health.low_space_bytes" in found.detail
    assert "storage.state_dir" in found.suggestion
    assert look_at_folder(folder(tmp_path)).status is FindingStatus.OK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and give away")
@pytest.mark.parametrize(
    ("options", "files", "status", "said"),
    [
        ("ro", 0, FindingStatus.FAILED, "read-only"),
        ("nr_inodes=2", 0, FindingStatus.WARNING, "free inodes on the file system: 1"),
        ("nr_inodes=3", 2, FindingStatus.FAILED, "no free inodes"),
        ("size=4096", 1, FindingStatus.FAILED, "the disk is full"),
        ("size=65536", 1, FindingStatus.FAILED, "the disk is full"),
    ],
)
def test_a_disk_that_takes_nothing_is_told_apart(
    tmp_path: Path, options: str, files: int, status: FindingStatus, said: str
) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", tmp_path], check=False)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        for number in range(files):
            (tmp_path / str(number)).write_bytes(b"x" * (4096 if "size" in options else 0))
        found = look_at_folder(folder(tmp_path))
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert (found.status, said in found.detail) == (status, True), found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_account_is_named_with_both(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    found = look_at_folder(folder(tmp_path, is_private=True))
    assert found.status is FindingStatus.FAILED
    assert "belongs to" in found.detail
    assert f"chown --recursive root: {tmp_path}" in found.suggestion


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_the_system_is_never_to_be_given_away(tmp_path: Path) -> None:
    """As /run, in which a user's agent cannot make its folder."""
    tmp_path.chmod(0o500)
    missing = tmp_path / "camera-agent"
    found = look_at_folder(folder(missing))
    tmp_path.chmod(0o700)
    assert (found.status, f"chown USER {tmp_path}" in found.suggestion) == (FindingStatus.FAILED, False)
    assert f"install -d -m 0750 -o USER {missing}" in found.suggestion


def test_a_runtime_folder_has_rules_of_its_own(tmp_path: Path) -> None:
    def look_at(path: Path) -> Finding:
        return look_at_runtime_folder(folder(path, is_private=True))

    real = tmp_path / "run"
    real.mkdir(mode=0o700)
    assert look_at(real).status is FindingStatus.OK
    assert look_at(tmp_path / "later").status is FindingStatus.OK
    real.chmod(0o755)
    assert (look_at(real).status, "chmod o-rwx" in look_at(real).suggestion) == (FindingStatus.WARNING, True)
    real.chmod(0o777)
    assert (look_at(real).status, "chmod go-w" in look_at(real).suggestion) == (FindingStatus.FAILED, True)
    (tmp_path / "link").symlink_to(real)
    assert "symbolic link" in look_at(tmp_path / "link").detail
    (tmp_path / "file").touch()
    assert "is not a folder" in look_at(tmp_path / "file").detail
    assert "too many" in look_at(tmp_path / ("a" * 100)).detail


def test_who_holds_the_runtime_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        holder = lock_holder(tmp_path)
        if holder is None:
            pytest.skip("the kernel names another device for locks on this file system")
        assert holder == os.getpid()
        assert f"process {os.getpid()}" in look_at_runtime_folder(folder(tmp_path)).detail
    finally:
        os.close(descriptor)
    assert lock_holder(tmp_path) is None


def test_a_clock_behind_the_files_is_told(tmp_path: Path) -> None:
    storage = StorageConfig(state_dir=tmp_path)
    storage.secret_file.touch()
    found = look_at_clock(storage, datetime(1970, 1, 1, tzinfo=UTC))
    assert (found.status, "1970" in found.detail) == (FindingStatus.WARNING, True)
    assert look_at_clock(storage).status is FindingStatus.OK


def agent(folder: Path, *files: Path) -> RunningAgent:
    return RunningAgent(os.getpid(), "ws://127.0.0.1:1/ws", folder, files)


def test_the_configuration_is_compared_with_that_of_the_agent(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    assert configuration([], None).status is FindingStatus.WARNING
    assert "No configuration file was read" in configuration([], None).detail
    assert configuration([file], None) == Finding("configuration", FindingStatus.OK, f"Read {file}.")
    assert configuration([file], agent(tmp_path, file)).status is FindingStatus.OK
    for found in (configuration([], agent(tmp_path, file)), configuration([], None, [agent(tmp_path, file)])):
        assert found.status is FindingStatus.WARNING
        assert f"doctor --config {file}" in found.suggestion
    other = configuration([tmp_path / "other.toml"], agent(tmp_path, file))
    assert (other.status, str(file) in other.detail) == (FindingStatus.WARNING, True)


@pytest.fixture
def with_plugins(home: "Home") -> dict[str, str]:
    packages = home.path / "packages"
    metadata = packages / "some_checks-1.0.dist-info"
    metadata.mkdir(parents=True)
    (packages / "some_checks.py").write_text(PLUGINS)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-checks\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[camera_agent.plugins]\nbright = some_checks:Bright\ndark = some_checks:Dark\n"
    )
    return {"PYTHONPATH": str(packages)}


async def test_a_host_without_an_agent_is_a_failure(cli: "Cli", home: "Home") -> None:
    ended = await cli("doctor", "--json", env={"CAMERA_AGENT__STORAGE__RUNTIME_DIR": str(home.path / "run")})
    found = {each["name"]: each for each in ended.value}
    assert ended.code == 1
    assert next(iter(found)) == "configuration"
    assert "No configuration file was read" in found["configuration"]["detail"]
    assert found["agent"]["status"] == "FAILED"
    assert "camera-agent run" in found["agent"]["suggestion"]
    assert found["media server"]["status"] == "WARNING"
    assert "embedded_server" in found["media server"]["suggestion"]
    assert found["plugins"]["status"] == "WARNING"
    for name in ("storage", "recordings folder", "snapshots folder", "runtime folder", "ffmpeg", "clock"):
        assert found[name]["status"] == "OK", found[name]


async def test_an_agent_that_does_not_answer_is_named_by_its_process(cli: "Cli", home: "Home") -> None:
    home.state_dir.mkdir()
    with anyio.fail_after(30), InstanceLock(home.state_dir):
        ended = await cli("doctor", "--json")
    found = {each["name"]: each for each in ended.value}
    assert (ended.code, found["agent"]["status"]) == (1, "FAILED")
    if lock_holder(home.state_dir / "agent.lock") is not None:
        assert f"process {os.getpid()}" in found["agent"]["detail"]
        assert f"kill -9 {os.getpid()}" in found["agent"]["suggestion"]


async def test_a_port_of_another_program_is_named_with_the_program(cli: "Cli") -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await cli("doctor", "--json", env={"CAMERA_AGENT__SERVER__PORT": str(port)})
    found = {each["name"]: each for each in ended.value}
    assert found["port"]["status"] == "FAILED"
    assert str(port) in found["port"]["detail"]
    assert f"process {os.getpid()}" in found["port"]["detail"]


@pytest.mark.parametrize(
    ("mode", "more", "said"),
    [
        ("external", {"CAMERA_AGENT__MEDIA_SERVER__API_URL": "http://127.0.0.1:9"}, "media server"),
        ("managed", {"CAMERA_AGENT__MEDIA_SERVER__PROGRAM": "/nowhere/mediamtx"}, "mediamtx was not found"),
        ("managed", {"CAMERA_AGENT__MEDIA_SERVER__PROGRAM": "/bin/true"}, "is not MediaMTX"),
    ],
)
async def test_a_media_server_that_is_not_there_is_a_failure(
    cli: "Cli", mode: str, more: dict[str, str], said: str
) -> None:
    ended = await cli("doctor", "--json", env={"CAMERA_AGENT__MEDIA_SERVER__MODE": mode, **more})
    found = {each["name"]: each for each in ended.value}
    assert found["media server"]["status"] == "FAILED"
    assert said in found["media server"]["detail"]
    assert found["media server"]["suggestion"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/nowhere/sh\n", ""),
        ("#!/bin/sh\necho hello\n", "is not FFmpeg"),
        ("#!/bin/sh\nexit 127\n", "cannot be executed"),
    ],
)
async def test_an_ffmpeg_that_is_none_is_a_failure(cli: "Cli", home: "Home", script: str, said: str) -> None:
    program = home.path / "ffmpeg"
    program.write_text(script)
    program.chmod(0o755)
    ended = await cli("doctor", "--json", env={"CAMERA_AGENT__FFMPEG__PROGRAM": str(program)})
    found = {each["name"]: each for each in ended.value}
    assert (found["ffmpeg"]["status"], said in found["ffmpeg"]["detail"]) == ("FAILED", True)


async def test_a_secret_that_others_can_read_is_named(cli: "Cli", home: "Home") -> None:
    await cli("token", "create", "--role", "viewer")
    (home.state_dir / "secret").chmod(0o644)
    found = {each["name"]: each for each in (await cli("doctor", "--json")).value}
    assert found["secret"]["status"] == "FAILED"
    assert str(home.state_dir / "secret") in found["secret"]["detail"]


async def test_nothing_is_made_by_looking(cli: "Cli", home: "Home") -> None:
    before = sorted(home.path.rglob("*"))
    await cli("doctor", env={"CAMERA_AGENT__STORAGE__RUNTIME_DIR": str(home.path / "run")})
    assert sorted(home.path.rglob("*")) == before


async def test_what_is_missing_is_named_with_what_to_do(cli: "Cli", home: "Home") -> None:
    environment = {
        "CAMERA_AGENT__FFMPEG__PROGRAM": "/nowhere/ffmpeg",
        "CAMERA_AGENT__PLUGINS__ENABLED": '["absent"]',
    }
    ended = await cli("doctor", env=environment)
    assert ended.code == 1
    assert "FAILED   ffmpeg" in ended.text
    assert "No plugin named 'absent' is installed." in ended.text
    assert "plugin absent: Install the package camera-agent-absent" in ended.text
    assert "3 of " in ended.lines[0]


async def test_plugins_look_for_themselves(cli: "Cli", with_plugins: dict[str, str]) -> None:
    environment = with_plugins | {
        "CAMERA_AGENT__PLUGINS__ENABLED": json.dumps(["bright", "dark"]),
        "CAMERA_AGENT__FFMPEG__PROGRAM": "my-ffmpeg",
    }
    ended = await cli("doctor", "--json", env=environment)
    found = {(each["name"], each["status"]): each for each in ended.value}
    assert (ended.code, ended.error["reason"]) == (1, "problems_found")
    assert found["lamp", "FAILED"]["detail"] == "The lamp my-ffmpeg is out."
    assert found["lamp", "FAILED"]["suggestion"] == "Buy another."
    assert ("plugin bright", "OK") in found
    assert "no light" in found["plugin dark", "FAILED"]["detail"]


async def test_a_running_agent_is_asked(cli: "Cli", home: "Home") -> None:
    config = {
        "storage": {"state_dir": home.state_dir, "runtime_dir": home.path / "run"},
        "plugins": {"enabled": ["virtual_camera"]},
    }
    async with running_agent(config=config) as agent:
        ended = await cli("doctor", "--json")
        found = {each["name"]: each for each in ended.value}
        assert found["camera100"]["detail"] == "Virtual camera is connected."
        assert found["agent"]["detail"].startswith("Version ")
        assert [name for name in found if name.startswith("agent: ")]
        assert ended.code == 0, ended.err
        assert agent.parts is not None


async def test_a_check_that_fails_or_hangs_is_a_finding() -> None:
    refused = CaptureFailed("No light.", reason="dark", suggestion="Wait for the day.")
    assert await look(Once(refused)) == [
        Finding("once", FindingStatus.FAILED, "No light.", "Wait for the day.")
    ]
    (broken,) = await look(Once(ValueError("bad")))
    assert "ValueError: bad" in broken.detail
    (slow,) = await look(Once(), limit_s=0.01)
    assert "longer than 0.01 s" in slow.detail
