"""Settings: one description in the code and the README, and rejection of invalid values."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from v4l2_tier.settings import CameraSettings, CaptureSettings, V4l2TierSettings

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("model", [V4l2TierSettings, CaptureSettings, CameraSettings])
def test_the_readme_has_a_row_for_each(model: Any) -> None:
    for name, field in model.model_fields.items():
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        default = f"`{str(value).lower()}` " if isinstance(value, bool | int | float | str) else ""
        assert f"| `{name}` | {default}| {field.description} |" in README


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hotplug": "dbus"}, "'auto', 'udev'"),
        ({"settle_s": -1}, "greater than or equal to 0"),
        ({"reconcile_s": 1}, "greater than or equal to 2"),
        ({"cameras": [{}]}, "match"),
        ({"cameras": [{"match": ""}]}, "at least 1"),
        ({"cameras": [{"match": "*", "id": "door"}]}, "pattern"),
        ({"cameras": [{"match": "*", "device": "video0"}]}, "device"),
        ({"defaults": {"match": "*"}}, "match"),
        ({"cameras": [{"match": "A"}, {"match": "B"}, {"match": "A"}]}, "two tables with match 'A'"),
        ({"defaults": {"pixel_format": "MJPEG"}}, "'MJPEG' is not a four-character code; .* such as MJPG"),
        ({"defaults": {"pixel_format": "mjpg"}}, "'mjpg' is not a four-character code"),
        ({"defaults": {"deep_levels": [700, 700]}}, "two different values"),
        ({"defaults": {"deep_levels": [0, 70000]}}, "from 0 to 65535"),
        ({"defaults": {"deep_levels": "bright"}}, "'full' or 'auto'"),
        ({"defaults": {"fps": 0}}, "greater than or equal to 0.01"),
        ({"defaults": {"fps": 0.0004}}, "greater than or equal to 0.01"),
    ],
)
def test_a_wrong_one_is_refused_with_the_reason(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        V4l2TierSettings.model_validate(settings)


@pytest.mark.parametrize("code", ["MJPG", "Y16", "Y16 ", "Y16 -BE", "pRAA", "422P", "XR15-BE", "ABCD"])
def test_codes_as_v4l2_ctl_prints_them_are_taken(code: str) -> None:
    assert CaptureSettings(pixel_format=code, deep_levels=(9000, 7000)).pixel_format == code
