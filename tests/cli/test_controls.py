"""`camera-agent controls`, against a whole agent with a virtual camera."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home

CONFIG = {
    "plugins": {
        "enabled": ["virtual_camera"],
        "virtual_camera": {"cameras": [{"name": "One", "id": "camera0"}]},
    }
}


@pytest.fixture
async def agent(home: "Home") -> AsyncIterator[None]:
    async with running_agent(config=CONFIG, folder=home.path):
        yield


async def test_controls_are_listed_set_and_reset(agent: None, cli: "Cli") -> None:
    listed = await cli("controls", "camera0")
    assert listed.code == 0, listed.err
    head, brightness, *_, exposure = listed.text.splitlines()
    assert head.split() == ["CONTROL", "VALUE", "RANGE", "DEFAULT", "KEPT", "REMARKS"]
    assert brightness.split() == ["brightness", "0", "-64", "to", "64", "0"]
    assert exposure.split()[0] == "exposure_time_absolute"
    assert exposure.endswith("inactive")
    assert "3 (Aperture Priority Mode)" in listed.text
    done = await cli(
        "controls", "camera0", "exposure_time_absolute=100", "auto_exposure=Manual Mode", "brightness=999"
    )
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.text.splitlines()] == [
        "CONTROL", "exposure_time_absolute", "auto_exposure", "brightness",
    ]  # fmt: skip
    assert "ADJUSTED" in done.text
    assert "999 is out of range" in done.text
    (kept,) = (
        each for each in (await cli("controls", "camera0", "--json")).value if each["name"] == "brightness"
    )
    assert (kept["value"], kept["kept"]) == (64, 64)
    reset = await cli("controls", "camera0", "--reset", "--json")
    assert reset.value["controls"]["brightness"] == {"value": 0, "requested": 0, "status": "APPLIED"}


async def test_options_may_stand_before_the_values(agent: None, cli: "Cli") -> None:
    done = await cli("controls", "camera0", "contrast=7", "--reset", "brightness=3", "--json", "saturation=4")
    assert done.code == 0, done.err
    values = {name: each["value"] for name, each in done.value["controls"].items()}
    assert values == {
        "contrast": 7, "brightness": 3, "saturation": 4, "auto_exposure": 3,
    }  # fmt: skip
    called = await cli("call", "get_camera_status", "--json", "device=camera0")
    assert called.value["device"] == "camera0"
    wrong = await cli("controls", "camera0", "--rest", "brightness=3")
    assert (wrong.code, "--rest" in wrong.err) == (2, True)


async def test_a_refused_control_is_code_1(agent: None, cli: "Cli") -> None:
    refused = await cli("controls", "camera0", "brigtness=1", "contrast=5")
    assert refused.code == 1
    assert "the nearest are brightness" in refused.text
    assert "APPLIED" in refused.text
    assert (await cli("controls", "camera0", "brightness")).code == 2
    assert (await cli("controls", "camera7")).code == 1
