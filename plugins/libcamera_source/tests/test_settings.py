"""Settings: one description in the code and the README."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from libcamera_source.settings import CameraSettings, CaptureSettings, LibcameraSettings

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize("model", [LibcameraSettings, CaptureSettings, CameraSettings])
def test_the_readme_has_a_row_for_each(model: Any) -> None:
    for name, field in model.model_fields.items():
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        default = f"`{str(value).lower()}` " if isinstance(value, bool | int | float | str) else ""
        assert f"| `{name}` | {default}| {field.description} |" in README


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ([{"match": "a", "id": "camera1"}, {"match": "b", "id": "camera1"}], "two tables with id 'camera1'"),
        ([{"match": "a"}, {"match": "a"}], "two tables with match 'a'"),
        ([{"match": "a", "codec": "h264", "camera_format": "jpeg"}], "encoded from raw pictures"),
    ],
)
def test_contradictions_are_told(tables: list[dict[str, str]], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        LibcameraSettings.model_validate({"cameras": tables})
