"""`doctor`: what it finds, and that nothing it looks at can break it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core.cli.examination import look, storage
from agent_core.errors import CaptureFailed
from agent_core.plugin import Check, Finding, FindingStatus
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home

PLUGINS = """
from agent_core.plugin import Check, Finding, FindingStatus, Plugin, Settings, hookimpl


class Lamp(Check):
    name = "lamp"

    async def look(self):
        return [Finding("lamp", FindingStatus.FAILED, "The lamp is out.", "Buy another.")]


class Bright(Plugin[Settings]):
    @hookimpl
    def agent_checks(self):
        return [Lamp()]


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


@pytest.mark.parametrize("name", ["closed/in/state", "a" * 300])
def test_a_state_folder_that_cannot_be_looked_for_is_a_finding(tmp_path: Path, name: str) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    try:
        found = storage(tmp_path / name)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert found.name == "storage"
    assert str(tmp_path) in found.detail


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


async def test_a_host_without_an_agent_is_no_failure(cli: "Cli") -> None:
    ended = await cli("doctor", "--json")
    found = {each["name"]: each["status"] for each in ended.value}
    assert (ended.code, ended.err) == (0, "")
    assert found == {"storage": "OK", "ffmpeg": "OK", "media server": "OK", "agent": "WARNING"}


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
    assert "2 of " in ended.lines[0]


async def test_plugins_look_for_themselves(cli: "Cli", with_plugins: dict[str, str]) -> None:
    environment = with_plugins | {"CAMERA_AGENT__PLUGINS__ENABLED": json.dumps(["bright", "dark"])}
    ended = await cli("doctor", "--json", env=environment)
    found = {(each["name"], each["status"]): each for each in ended.value}
    assert (ended.code, ended.error["reason"]) == (1, "problems_found")
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
