"""`doctor` on ports, the media server's version, the disk, the clock and the state folder."""

import json
import os
import pwd
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agent_core.base.clock_sync import ClockReading, read_clock
from agent_core.cli.checks.clock_source import look_at_synchronisation
from agent_core.cli.checks.forecast import look_at_forecast
from agent_core.cli.checks.media_server import RECOMMENDED, shortcomings
from agent_core.cli.checks.ports import TcpPort, look_at_foreign_listeners, look_at_free_ports
from agent_core.cli.checks.readable import look_at_configuration_files, may_read
from agent_core.cli.checks.state_files import look_at_state_files
from agent_core.cli.running import is_descendant
from agent_core.plugin import FindingStatus
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home

ROOT = Path(__file__).parents[2]
#: The text about the time zone says 1.13; the table's next row is 1.13.1.
OLDEST_WITH_OFFSET = (1, 13, 1)
OK, WARNING, FAILED = FindingStatus.OK, FindingStatus.WARNING, FindingStatus.FAILED


def test_a_port_of_another_program_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = TcpPort("127.0.0.1", taken.getsockname()[1], "media_server.rtsp_port")
        (found,) = look_at_free_ports([port])
        assert (found.status, f"process {os.getpid()}" in found.detail) == (FAILED, True)
        assert "media_server.rtsp_port" in found.suggestion
    assert look_at_free_ports([port]) == []


def test_a_listener_that_the_running_agent_has_not_started_is_named() -> None:
    """The listener is this process: the agent's own, a child of the agent, and then another program's."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = TcpPort("127.0.0.1", taken.getsockname()[1], "media_server.rtsp_port")
        assert look_at_foreign_listeners([port], os.getpid()) == []
        assert look_at_foreign_listeners([port], os.getppid() or os.getpid()) == []
        (found,) = look_at_foreign_listeners([port], 2**22 + 1)
        assert (found.status, f"process {os.getpid()}" in found.detail) == (FAILED, True)
        assert "media_server.rtsp_port" in found.suggestion
    assert look_at_foreign_listeners([port], 2**22 + 1) == []


async def test_a_child_is_below_its_parents_and_not_the_other_way_round() -> None:
    async with await anyio.open_process([sys.executable, "-c", "input()"]) as child:
        assert is_descendant(child.pid, os.getpid())
        assert not is_descendant(os.getpid(), child.pid)
        child.kill()
    assert not is_descendant(2**22 + 1, os.getpid())


@pytest.mark.parametrize("mode", ["managed", "embedded"])
async def test_the_media_servers_ports_are_those_of_its_settings(cli: "Cli", mode: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        environment = {"CAMERA_AGENT__MEDIA_SERVER__MODE": mode}
        if mode == "managed":
            setting = "media_server.rtsp_port"
            environment["CAMERA_AGENT__MEDIA_SERVER__RTSP_PORT"] = number
        else:
            setting = "plugins.embedded_server.rtsp_port"
            environment["CAMERA_AGENT__PLUGINS__ENABLED"] = '["embedded_server"]'
            environment["CAMERA_AGENT__PLUGINS__EMBEDDED_SERVER__RTSP_PORT"] = number
        ended = await cli("doctor", "--json", env=environment)
    found = [each for each in ended.value if each["name"] == "media server port" and number in each["detail"]]
    assert [each["status"] for each in found] == ["FAILED"], ended.value
    assert setting in found[0]["suggestion"]


@pytest.mark.parametrize(
    ("version", "status", "said"),
    [
        ("1.12.0", "WARNING", "cannot be recorded"),
        ("1.15.1", "WARNING", "noticed only by"),
        ("1.15.2", "OK", ""),
    ],
)
async def test_the_version_of_the_media_server_is_judged(
    cli: "Cli", home: "Home", version: str, status: str, said: str
) -> None:
    program = home.path / "mediamtx"
    program.write_text(f"#!/bin/sh\necho v{version}\n")
    program.chmod(0o755)
    environment = {
        "CAMERA_AGENT__MEDIA_SERVER__MODE": "managed",
        "CAMERA_AGENT__MEDIA_SERVER__PROGRAM": str(program),
    }
    found = {each["name"]: each for each in (await cli("doctor", "--json", env=environment)).value}
    assert (found["media server"]["status"], said in found["media server"]["detail"]) == (status, True)
    assert ("shortcomings" in found["media server"]["detail"]) is bool(said)


def test_the_versions_are_those_of_the_document() -> None:
    text = (ROOT / "docs/mediamtx.md").read_text()
    rows = re.findall(r"^\| (\d+)\.(\d+)\.(\d+) \|", text, re.MULTILINE)
    assert f"Use {'.'.join(map(str, RECOMMENDED))} or newer" in text
    versions = [(0, 0, 0), *((int(a), int(b), int(c)) for a, b, c in rows)]
    known = [len(shortcomings(each, is_external=True)) for each in versions]
    removing = {
        new for new, before, left in zip(versions[1:], known, known[1:], strict=False) if left < before
    }
    assert removing == {(1, 15, 1), (1, 15, 2), (1, 20, 1), OLDEST_WITH_OFFSET}
    assert shortcomings(RECOMMENDED, is_external=False) == []


def storage(**changed: Any) -> dict[str, Any]:
    usual = {
        "total_space": 100_000_000_000,
        "used_space": 40_000_000_000,
        "available_space": 60_000_000_000,
        "usage_percentage": 40.0,
        "low_space_warning": False,
    }
    return usual | changed


@pytest.mark.parametrize(
    ("info", "status", "said"),
    [
        (storage(), OK, "nothing is recorded now"),
        (storage(hours_left=300.0, recordings_size=5_000_000_000), OK, "full in 12 days"),
        (storage(hours_left=7.25), WARNING, "full in 7.2 hours"),
        (storage(low_space_warning=True), WARNING, "free"),
    ],
)
def test_the_disk_is_forecast(info: dict[str, Any], status: FindingStatus, said: str) -> None:
    found = look_at_forecast(info)
    assert (found.status, said in found.detail) == (status, True), found
    assert bool(found.suggestion) is (status is WARNING)


async def test_a_running_agent_is_asked_for_the_disk(cli: "Cli", home: "Home") -> None:
    config = {"storage": {"state_dir": home.state_dir, "runtime_dir": home.path / "run"}}
    async with running_agent(config=config):
        found = {each["name"]: each for each in (await cli("doctor", "--json")).value}
    assert "free" in found["disk forecast"]["detail"]
    assert "version" not in found, "the agent runs in the version of the command"


def test_the_clock_is_judged_by_the_kernels_estimate() -> None:
    (good,) = look_at_synchronisation(ClockReading(1500))
    assert (good.status, "0.0015 s" in good.detail) == (OK, True)
    (bad,) = look_at_synchronisation(ClockReading(16_000_000))
    assert (bad.status, "timedatectl set-ntp true" in bad.suggestion) == (WARNING, True)
    assert look_at_synchronisation(None) == []
    reading = read_clock()
    assert reading is None or 0 <= reading.largest_error_us <= 16_000_000, (
        "the kernel's bound: NTP_PHASE_LIMIT"
    )


def test_a_file_of_a_newer_agent_is_named(tmp_path: Path) -> None:
    (tmp_path / "cameras.json").write_text(json.dumps({"version": 1, "cameras": []}))
    (tmp_path / "clock.json").write_text("[]")
    (tmp_path / "endpoint.json").write_text("{")
    assert look_at_state_files(tmp_path, os.geteuid()) == []
    (tmp_path / "retention.json").write_text(json.dumps({"version": 2}))
    (found,) = look_at_state_files(tmp_path, os.geteuid())
    assert (found.status, str(tmp_path / "retention.json") in found.detail) == (FAILED, True)
    assert "newer version" in found.suggestion
    assert look_at_state_files(tmp_path / "absent", os.geteuid()) == []


def test_a_configuration_that_the_agents_account_may_not_read_is_named(tmp_path: Path) -> None:
    """As one that root has written with the umask 077, and therefore takes for valid."""
    main, folder = tmp_path / "config.toml", tmp_path / "conf.d"
    more = folder / "20-network.toml"
    folder.mkdir()
    for path, mode in ((tmp_path, 0o755), (folder, 0o700), (main, 0o644)):
        path.touch()
        path.chmod(mode)
    more.touch(mode=0o600)
    found = look_at_configuration_files([main, more], 65533)
    assert {each.status for each in found} == {FAILED}
    assert [each.detail.rpartition(" ")[2] for each in found] == [f"{folder}.", f"{more}."]
    assert f"chmod g+rX {more}" in found[1].suggestion
    assert look_at_configuration_files([main, more], os.geteuid()) == []
    assert look_at_configuration_files([main], 65533) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_groups_of_an_account_let_it_read(tmp_path: Path) -> None:
    nobody, path = pwd.getpwnam("nobody"), tmp_path / "config.toml"
    path.touch(mode=0o640)
    os.chown(path, 0, nobody.pw_gid)
    assert may_read(path, nobody.pw_uid)
    assert may_read(path, 0)
    path.chmod(0o604)
    assert not may_read(path, nobody.pw_uid)


def test_files_that_the_agents_account_may_not_open_are_named(tmp_path: Path) -> None:
    """As after a backup that was copied back without its owners: the folder is the agent's, the files are root's."""
    for name, mode in (("agent.lock", 0o600), ("cameras.json", 0o600), ("volumes.json", 0o644)):
        (tmp_path / name).touch(mode=mode)
    (tmp_path / "recordings").mkdir(mode=0o700)
    assert look_at_state_files(tmp_path, os.geteuid()) == []
    (found,) = look_at_state_files(tmp_path, 65533)
    assert (found.status, f"{tmp_path / 'agent.lock'} and 1 more" in found.detail) == (FAILED, True)
    assert f"chown --recursive 65533: {tmp_path}" in found.suggestion
