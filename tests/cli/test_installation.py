"""`doctor` on an installed box: the service, its account, the packages. Programs are scripts that come first on PATH."""

import grp
import json
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core.cli.checks.account import (
    account_of,
    look_at_account,
    look_at_devices,
    look_at_own_view,
)
from agent_core.cli.checks.packages import DebianPackage, look_at_packages, look_at_running_version
from agent_core.cli.checks.service import Service, look_at_service
from agent_core.plugin import FindingStatus
from agent_core.plugin_host.overlay.place import Place

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home

ROOT = Path(__file__).parents[2]
OK, WARNING, FAILED = FindingStatus.OK, FindingStatus.WARNING, FindingStatus.FAILED
ME = pwd.getpwuid(os.geteuid()).pw_name
#: An account that is not the tests' own, not even for root.
OTHER = "daemon"


@pytest.fixture
def programs() -> Iterator[Path]:
    """A folder for programs that every account may enter; those of pytest are the tests' own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def program(folder: Path, name: str, output: str, code: int = 0) -> None:
    (folder / f"{name}.out").write_text(output)
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat '{folder}/{name}.out'\nexit {code}\n")
    path.chmod(0o755)


def unit(**changed: str) -> str:
    """Return what `systemctl show` prints about the unit, with changes."""
    usual = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "Result": "success",
        "UnitFileState": "enabled",
        "NeedDaemonReload": "no",
        "NRestarts": "0",
        "MainPID": str(os.getpid()),
        "ExecMainStatus": "0",
        "User": ME,
        "Group": "",
        "SupplementaryGroups": "",
    }
    return "".join(f"{key}={value}\n" for key, value in (usual | changed).items())


def first_on_path(programs: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"PATH": f"{programs}:{os.environ['PATH']}", **(more or {})}


@pytest.mark.parametrize(
    ("changed", "status", "said", "step"),
    [
        ({}, OK, "is active", ""),
        ({"LoadState": "masked", "ActiveState": "inactive"}, FAILED, "masked", "systemctl unmask"),
        ({"LoadState": "bad-setting", "ActiveState": "inactive"}, FAILED, "bad-setting", "systemctl cat"),
        ({"ActiveState": "inactive"}, FAILED, "is inactive", "systemctl start"),
        ({"ActiveState": "inactive", "UnitFileState": "disabled"}, WARNING, "disabled", "enable --now"),
        ({"ActiveState": "activating", "SubState": "start"}, WARNING, "is starting", "journalctl"),
        ({"ActiveState": "failed", "Result": "watchdog"}, FAILED, "answering the watchdog", "journalctl"),
        ({"ActiveState": "failed", "Result": "oom-kill"}, FAILED, "lack of memory", "journalctl"),
        ({"ActiveState": "failed", "Result": "signal", "ExecMainStatus": "9"}, FAILED, "signal 9", "journal"),
        ({"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "1"}, FAILED, "code 1", "check-config"),
        ({"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "217"}, FAILED, "account", "sysusers"),
        ({"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "226"}, FAILED, "mounted", "ReadWritePaths"),
        ({"ActiveState": "failed", "Result": "a-new-one"}, FAILED, "a-new-one", "journalctl"),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code", "ExecMainStatus": "2"},
            FAILED,
            "waits for its next start",
            "journalctl",
        ),
    ],
)  # fmt: skip
def test_the_state_of_the_unit(changed: dict[str, str], status: FindingStatus, said: str, step: str) -> None:
    (found,) = look_at_service(Service.parse(unit(**changed)))
    assert (found.status, said in found.detail, step in found.suggestion) == (status, True, True), found


@pytest.mark.parametrize(
    ("changed", "said", "step"),
    [
        ({"UnitFileState": "disabled"}, "does not start with the system", "systemctl enable"),
        ({"NRestarts": "3"}, "since it was last started: 3", "journalctl"),
        ({"NeedDaemonReload": "yes"}, "were changed", "daemon-reload"),
    ],
)
def test_a_unit_that_is_active_can_have_faults(changed: dict[str, str], said: str, step: str) -> None:
    active, further = look_at_service(Service.parse(unit(**changed)))
    assert active.status is OK
    assert (further.status, said in further.detail, step in further.suggestion) == (WARNING, True, True), (
        further
    )


def test_the_accounts_of_the_unit_must_exist() -> None:
    service = Service("failed", user="no-such-account", groups=("no-such-group",))
    (found,) = look_at_account(service, os.geteuid())
    assert found.status is FAILED
    assert "account no-such-account, group no-such-group" in found.detail
    assert "systemd-sysusers" in found.suggestion


def test_another_account_than_the_agents_is_told_that_it_sees_less() -> None:
    service = Service("active", user=OTHER)
    agents = pwd.getpwnam(OTHER).pw_uid
    (found,) = look_at_account(service, agents + 1)
    assert (found.status, "sudo" in found.suggestion) == (WARNING, True)
    assert [look_at_account(service, own) for own in (0, agents)] == [[], []]


def test_a_device_is_open_to_its_owner_its_group_and_by_its_mode(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    for mode, user, status in (
        (0o600, ME, OK),
        (0o660, OTHER, FAILED),
        (0o666, OTHER, OK),
        (0o060, ME, FAILED),
    ):
        device.chmod(mode)
        (found,) = look_at_devices(Service("inactive", user=user), [device])
        assert (found.status, str(device) in found.detail) == (status, True), found


def test_a_group_of_the_unit_opens_a_device(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    device.chmod(0o660)
    group = grp.getgrgid(device.stat().st_gid).gr_name
    (found,) = look_at_devices(Service("inactive", user=OTHER, groups=(group,)), [device])
    assert found.status is OK
    (refused,) = look_at_devices(Service("inactive", user=OTHER), [device])
    if device.stat().st_gid:
        assert f"usermod --append --groups {group} {OTHER}" in refused.suggestion
    else:
        assert "rule of udev" in refused.suggestion, "root's group is not one to be put into"


def test_a_group_that_the_running_agent_lacks_needs_a_restart(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    device.chmod(0o660)
    process = tmp_path / "proc/4711"
    process.mkdir(parents=True)
    (process / "status").write_text("Name:\tpython3\nGid:\t65000\t65000\t65000\t65000\nGroups:\t65001 \n")
    group = grp.getgrgid(device.stat().st_gid).gr_name
    service = Service("active", user=OTHER, groups=(group,), main_pid=4711)
    (found,) = look_at_devices(service, [device], tmp_path / "proc")
    assert (found.status, "systemctl restart" in found.suggestion) == (WARNING, True), found


def test_packages_are_compared_with_each_other() -> None:
    agent, plugin = DebianPackage("camera-agent", "0.2.0"), DebianPackage("camera-agent-rtsp-tier", "0.2.0")
    assert look_at_packages([]) == []
    (same,) = look_at_packages([plugin, agent])
    assert (same.status, same.detail) == (OK, "camera-agent 0.2.0, camera-agent-rtsp-tier 0.2.0.")
    (differing,) = look_at_packages([agent, DebianPackage("camera-agent-rtsp-tier", "0.1.0")])
    assert (differing.status, "camera-agent-rtsp-tier 0.1.0" in differing.detail) == (FAILED, True)
    assert "apt install camera-agent camera-agent-rtsp-tier" in differing.suggestion
    (broken,) = look_at_packages([agent, DebianPackage("camera-agent-rtsp-tier", "0.2.0", "half-configured")])
    assert (broken.status, "dpkg --configure" in broken.suggestion) == (FAILED, True)
    assert "dpkg --install ./camera-agent*.deb" in broken.suggestion


def test_an_agent_that_still_runs_in_its_old_version_is_told() -> None:
    assert look_at_running_version("0.2.0", "0.2.0") == []
    (found,) = look_at_running_version("0.1.0", "0.2.0")
    assert (found.status, "restart" in found.suggestion) == (WARNING, True)


async def test_an_installed_box_is_looked_at_with_its_own_programs(cli: "Cli", programs: Path) -> None:
    program(programs, "systemctl", unit(ActiveState="failed", Result="core-dump", MainPID="0"))
    listed = "camera-agent\tcamera-agent\t0.1.0\tinstalled\nother\tcamera-agent-of-others\t7\tinstalled\n"
    program(programs, "dpkg-query", listed + "camera-agent\tcamera-agent-old\t0.0.1\tconfig-files\n")
    found = {
        each["name"]: each for each in (await cli("doctor", "--json", env=first_on_path(programs))).value
    }
    assert (found["service"]["status"], "crashed" in found["service"]["detail"]) == ("FAILED", True)
    assert found["packages"] == {
        "name": "packages",
        "status": "OK",
        "detail": "camera-agent 0.1.0.",
        "suggestion": "",
    }
    assert "systemctl restart camera-agent.service" in found["agent"]["suggestion"]
    assert found["clock source"]["detail"]


@pytest.mark.parametrize(("output", "code"), [("LoadState=not-found\n", 0), ("", 1), ("no lines", 0)])
async def test_a_host_without_the_service_has_no_finding_for_it(
    cli: "Cli", programs: Path, output: str, code: int
) -> None:
    """The second is systemctl where systemd does not run."""
    program(programs, "systemctl", output, code)
    program(programs, "dpkg-query", "", 1)
    ended = await cli("doctor", "--json", env=first_on_path(programs))
    assert {each["name"] for each in ended.value} & {"service", "packages", "account"} == set()


def test_where_systemd_does_not_run_the_packages_account_counts() -> None:
    """As in a container: another account is told that it sees less, and root that the folders are not root's."""
    packaged = Place(
        Path("/usr/lib/camera-agent/site-packages"), Path("/nowhere"), frozenset({0}), is_packaged=True
    )
    assert packaged.account == "camera-agent"
    assert replace(packaged, libraries=ROOT).account is None
    assert account_of(None, "nobody") == pwd.getpwnam("nobody").pw_uid
    assert account_of(None, None) is None
    assert account_of(Service("active", user="root"), "nobody") == 0
    assert [each.status for each in look_at_own_view(65534, 65533)] == [WARNING]
    assert [*look_at_own_view(65534, 0), *look_at_own_view(65534, 65534), *look_at_own_view(None, 1)] == []


async def test_a_named_configuration_is_not_the_services(cli: "Cli", home: "Home", programs: Path) -> None:
    program(programs, "systemctl", unit(ActiveState="failed"))
    (home.path / "own.toml").touch()
    ended = await cli("doctor", "--json", "--config", "own.toml", env=first_on_path(programs))
    assert "service" not in {each["name"] for each in ended.value}


async def as_nobody(environment: Mapping[str, str]) -> tuple[int, dict[str, dict[str, str]]]:
    """Run `doctor` as another account, with Debian's Python: root's own may be in root's home."""
    words = ["/usr/bin/python3", "-m", "agent_core", "doctor", "--json"]
    modules = {"PYTHONPATH": ":".join([str(ROOT), *(each for each in sys.path if each)])}
    with anyio.fail_after(90):
        done = await anyio.run_process(
            words,
            check=False,
            env={**environment, **modules},
            cwd="/",
            user="nobody",
            group="nogroup",
            extra_groups=[],
        )
    if not done.stdout:
        pytest.skip(f"another account cannot run the agent from here: {done.stderr.decode()[-200:]}")
    return done.returncode, {each["name"]: each for each in json.loads(done.stdout)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as another account")
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no Python of the system")
async def test_an_account_without_access_is_told_so_and_finds_no_fault(cli: "Cli", programs: Path) -> None:
    """The state folder is the agent's alone, as that of the package; the one who asks is neither it nor root."""
    state = programs / "state"
    state.mkdir(mode=0o750)
    for each in (state, state / "recordings", state / "snapshots"):
        each.mkdir(mode=0o750, exist_ok=True)
        shutil.chown(each, OTHER, OTHER)
    (state / "secret").touch(mode=0o600)
    program(programs, "systemctl", unit(User=OTHER))
    environment = first_on_path(
        programs,
        {
            "CAMERA_AGENT__STORAGE__STATE_DIR": str(state),
            "CAMERA_AGENT__STORAGE__RUNTIME_DIR": str(programs / "run"),
            "HOME": "/nonexistent",
            "XDG_CONFIG_HOME": "/nonexistent",
        },
    )
    code, found = await as_nobody(environment)
    assert (found["account"]["status"], OTHER in found["account"]["detail"]) == ("WARNING", True)
    assert (found["agent"]["status"], "sudo" in found["agent"]["suggestion"]) == ("WARNING", True)
    assert found["storage"]["status"] == "OK"
    failed = {name: each["detail"] for name, each in found.items() if each["status"] == "FAILED"}
    assert (failed, code) == ({}, 0)
    as_root = {each["name"]: each for each in (await cli("doctor", "--json", env=environment)).value}
    assert "account" not in as_root
    assert as_root["storage"]["status"] == "OK"
