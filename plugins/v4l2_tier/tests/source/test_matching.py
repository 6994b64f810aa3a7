"""Choice of the settings table for a camera."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.inventory import DeviceNode, UsbDevice
from v4l2_tier.source.matching import SettingsTables

Make = Callable[..., DeviceNode]
Watch = Callable[..., AbstractAsyncContextManager[Any]]


def tables(*matches: str) -> SettingsTables:
    return SettingsTables(V4l2TierSettings.model_validate({"cameras": [{"match": each} for each in matches]}))


@pytest.mark.parametrize(
    "match",
    ["CAM-A", "CAM-?", "1d6b:0102:CAM-A", "1d6b:0102:*", "*usb-0:1:1.0", "Sim Cam", "Sim*", "*"],
)
def test_serial_port_and_name_match(node: Make, match: str) -> None:
    known = tables("other", match)
    table = known.of(node(), None)
    assert table is not None
    assert table.match == match
    assert known.unused == ("other",)


@pytest.mark.parametrize("match", ["CAM", "cam-a", "video0", "/dev/video0", "Sim"])
def test_nothing_else_does(node: Make, match: str) -> None:
    known = tables(match)
    assert known.of(node(), None) is None
    assert known.unused == (match,)


def test_the_first_that_matches_counts_alone(node: Make) -> None:
    settings = {"cameras": [{"match": "CAM-A", "width": 320}, {"match": "*", "height": 99}]}
    table = SettingsTables(V4l2TierSettings.model_validate(settings)).of(node(), None)
    assert table is not None
    assert (table.width, table.height) == (320, None)


@pytest.mark.parametrize("name", ["HD Cam [rev B]", "*", "[", "a]b[c", "x[!y]", "Cam?", "[[]", "[a-"])
def test_each_camera_matches_its_own_name(node: Make, name: str) -> None:
    usb = UsbDevice("1d6b", "0102", name, f"SER-{name}", "1-1:1.0")
    for match in (name, f"SER-{name}"):
        assert tables(match).of(replace(node(), usb=usb), None) is not None


def test_the_name_that_v4l2_ctl_lists_matches_too(node: Make) -> None:
    assert tables("Sim Cam: Sim Cam").of(node(), None) is not None


async def test_a_table_that_no_camera_uses_is_said_at_the_start(
    watch: Watch, node: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "camera_agent.v4l2_tier")
    cameras = [{"match": "CAM-A"}, {"match": "Sim Cam [rev B]"}, {"match": "CAM-C", "enabled": False}]
    async with watch(node(0), node(1, serial="CAM-C", port=2), cameras=cameras) as bench:
        warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert [each for each in warned if "matches" in each] == [
            "no connected camera matches 'Sim Cam [rev B]', a table of plugins.v4l2_tier.cameras"
        ]
        bench.devices.plug(node(2, serial="CAM-D", port=3))
        await bench.clock.advance(1)
        await bench.report.wait_count(2)
    assert "matches no table" in caplog.text
    assert "'CAM-D'" in caplog.text
