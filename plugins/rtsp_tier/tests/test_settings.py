"""Settings: descriptions equal to the README's, and refusal of values that cannot work."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from rtsp_tier.settings import RtspTierSettings

README = Path(__file__).parents[1] / "README.md"


def test_each_setting_is_a_row_of_the_readme() -> None:
    for name, field in RtspTierSettings.model_fields.items():
        default = "" if field.default is None else f"`{json.dumps(field.default)}` "
        assert f"| `{name}` | {default}| {field.description} |" in README.read_text()


@pytest.mark.parametrize(
    ("readers", "reader_mb", "worker_mb", "is_enough"),
    [(4, 8, 128, True), (64, 8, 400, False), (64, 4, 400, True), (2, 256, 500, False), (0, 256, 128, True)],
)
def test_the_process_has_room_for_its_readers(
    readers: int, reader_mb: int, worker_mb: int, *, is_enough: bool
) -> None:
    given = {"resident_readers": readers, "resident_mb": reader_mb, "worker_mb": worker_mb}
    if is_enough:
        assert RtspTierSettings.model_validate(given).worker_mb == worker_mb
        return
    with pytest.raises(ValidationError, match="worker_mb") as caught:
        RtspTierSettings.model_validate(given)
    assert str(readers * reader_mb + 64) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latency_s", -1),
        ("connect_timeout_s", 0),
        ("jpeg_quality", 0),
        ("resident_readers", -1),
        ("resident_ttl_s", 0),
        ("worker_mb", 1),
        ("resident_reader", 1),
    ],
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        RtspTierSettings.model_validate({name: value})

    assert caught.value.errors()[0]["loc"] == (name,)
