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
        ({"defaults": {"fps": 0}}, "greater than or equal to 0.01"),
        ({"defaults": {"fps": 0.0004}}, "greater than or equal to 0.01"),
    ],
)
def test_a_wrong_one_is_refused_with_the_reason(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        V4l2TierSettings.model_validate(settings)
