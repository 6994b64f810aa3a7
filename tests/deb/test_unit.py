"""The units of the Debian package, judged by systemd: they are valid, and expose little."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent_core.cli.exits import ExitCode

DEB = Path(__file__).parents[2] / "packaging/deb"
UNIT = DEB / "debian/camera-agent.service"
MEDIAMTX = DEB / "debian/camera-agent.camera-agent-mediamtx.service"
DROP_INS = sorted((DEB / "examples/systemd").glob("*.conf"))
#: Largest exposure of the agent's unit, with any drop-in, and of that of the media server, of 10. That the agent may ask for the state of
#: the clock counts 0.3, as if it could set it.
_EXPOSURE, _EXPOSURE_OF_MEDIA_SERVER = 2.2, 2.0

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def _root(tmp_path: Path, unit: Path, name: str, *drop_ins: Path) -> Path:
    """Make the folder of a system that has one unit and its drop-ins."""
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    shutil.copy(unit, units / name)
    folder = tmp_path / f"etc/systemd/system/{name}.d"
    folder.mkdir(parents=True)
    for each in drop_ins:
        shutil.copy(each, folder)
    return tmp_path


def _exposure(root: Path, name: str) -> float:
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--root={root}", "--no-pager", name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"exposure level for [^:]+: ([0-9.]+)", judged.stdout)
    assert found is not None, judged.stderr
    return float(found[1])


def test_the_unit_exposes_little(tmp_path: Path) -> None:
    name = "camera-agent.service"
    assert _exposure(_root(tmp_path, UNIT, name), name) <= _EXPOSURE


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda path: path.stem)
def test_a_drop_in_exposes_little_more(tmp_path: Path, drop_in: Path) -> None:
    root = _root(tmp_path, UNIT, "camera-agent.service", drop_in)
    assert _exposure(root, "camera-agent.service") <= _EXPOSURE


def test_the_unit_of_the_media_server_exposes_little(tmp_path: Path) -> None:
    name = "camera-agent-mediamtx.service"
    assert _exposure(_root(tmp_path, MEDIAMTX, name), name) <= _EXPOSURE_OF_MEDIA_SERVER


@pytest.mark.parametrize("unit", [UNIT, MEDIAMTX], ids=lambda path: path.name)
def test_systemd_understands_every_line(tmp_path: Path, unit: Path) -> None:
    """The program of the unit is not installed here; nothing else may be said."""
    name = unit.name.removeprefix("camera-agent.") if unit is MEDIAMTX else unit.name
    shutil.copy(unit, tmp_path / name)
    judged = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in judged.stderr.splitlines() if name in line and "is not executable" not in line]
    assert said == []


def _is_allowed_again(name: str) -> bool:
    """Return True if a later line of the unit allows the call, which an earlier one denies with all of @privileged."""
    filters = re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE)
    denied = [number for number, each in enumerate(filters) if each.startswith("~") and "@privileged" in each]
    allowed = [
        number for number, each in enumerate(filters) if not each.startswith("~") and name in each.split()
    ]
    return allowed > denied > []


def test_setpriv_starts_programs_in_the_sandbox() -> None:
    """The agent's launcher of other programs calls capset(2) even if there is nothing to set, and fails without it."""
    assert _is_allowed_again("capset")


def test_the_agent_may_ask_in_the_sandbox_if_the_clock_is_synchronised() -> None:
    """It refuses signed calls that change something if it may not; adjtimex(3) makes either call, depending on the C library."""
    assert _is_allowed_again("adjtimex")
    assert _is_allowed_again("clock_adjtime")
    settings = UNIT.read_text().splitlines()
    assert "ProtectClock=yes" not in settings, "it denies both calls"
    assert "CapabilityBoundingSet=" in settings, "with a capability they could set the clock"


def test_only_what_no_restart_can_mend_is_final() -> None:
    (line,) = re.findall(r"^RestartPreventExitStatus=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert {int(each) for each in line.split()} == {ExitCode.USAGE, ExitCode.CONFIG}
