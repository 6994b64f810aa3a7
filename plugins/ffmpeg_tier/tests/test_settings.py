"""Settings: descriptions equal to the README's, and refusal of values that FFmpeg would refuse."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ffmpeg_tier import FfmpegTierSettings

README = Path(__file__).parents[1] / "README.md"


def test_each_setting_is_a_row_of_the_readme() -> None:
    for name, field in FfmpegTierSettings.model_fields.items():
        default = "" if field.default is None else f"`{json.dumps(field.default)}` "
        assert f"| `{name}` | {default}| {field.description} |" in README.read_text()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", "libx264 -f null"),
        ("preset", "-ultrafast"),
        ("crf", 52),
        ("bitrate_kbps", 0),
        ("key_frame_interval_s", 0),
        ("network_latency_s", -1),
        ("jpeg_qscale", 0),
        ("program", ""),
        ("programme", "ffmpeg"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        FfmpegTierSettings.model_validate({name: value})

    assert caught.value.errors()[0]["loc"] == (name,)
