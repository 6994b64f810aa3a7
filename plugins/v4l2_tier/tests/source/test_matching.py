"""Choice of the settings table for a camera."""

from collections.abc import Callable

import pytest

from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.context import settings_of
from v4l2_tier.source.fingerprint import fingerprint
from v4l2_tier.source.inventory import DeviceNode

Make = Callable[..., DeviceNode]


@pytest.mark.parametrize(
    "match",
    ["CAM-A", "CAM-?", "1d6b:0102:CAM-A", "1d6b:0102:*", "*usb-0:1:1.0", "Sim Cam", "Sim*", "*"],
)
def test_serial_port_and_name_match(node: Make, match: str) -> None:
    settings = V4l2TierSettings.model_validate({"cameras": [{"match": "other"}, {"match": match}]})
    table = settings_of(settings, node(), fingerprint(node(), None), "Sim Cam")
    assert table is settings.cameras[1]


@pytest.mark.parametrize("match", ["CAM", "cam-a", "video0", "/dev/video0", "Sim"])
def test_nothing_else_does(node: Make, match: str) -> None:
    settings = V4l2TierSettings.model_validate({"cameras": [{"match": match}]})
    assert settings_of(settings, node(), fingerprint(node(), None), "Sim Cam") is None


def test_the_first_that_matches_counts_alone(node: Make) -> None:
    tables = [{"match": "CAM-A", "width": 320}, {"match": "*", "height": 99}]
    table = settings_of(
        V4l2TierSettings.model_validate({"cameras": tables}), node(), fingerprint(node(), None), "Sim Cam"
    )
    assert table is not None
    assert (table.width, table.height) == (320, None)
