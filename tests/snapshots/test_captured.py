"""Pictures of tiers, which are foreign code, as the agent takes them over."""

from pathlib import Path

import pytest

from agent_core.api.snapshots import snapshot_form
from agent_core.base.clock import SystemClock
from agent_core.base.errors import CaptureFailed
from agent_core.base.models import CameraId, CapturedAtSource, Picture, PictureFormat, SettledBy, Settlement
from agent_core.snapshots.captured import checked_picture
from agent_core.snapshots.models import Snapshot
from agent_core.testing.scripted_producer import a_jpeg

JPEG = a_jpeg()


def picture(data: bytes = JPEG, settlement: object = None) -> Picture:
    return Picture(data, PictureFormat.JPG, 64, 48, 5.0, CapturedAtSource.DEVICE, True, settlement)  # type: ignore[arg-type]


def test_a_whole_picture_is_taken_as_it_is() -> None:
    taken = picture()
    assert checked_picture("x", taken) is taken


@pytest.mark.parametrize(
    "data", [JPEG + b"\1" * 9000, JPEG + JPEG, b"\0" + JPEG, JPEG[:20] + b"\0\0" + JPEG[20:]]
)
def test_what_decoders_skip_is_left_out(data: bytes) -> None:
    assert checked_picture("x", picture(data)).data == JPEG


@pytest.mark.parametrize("data", [JPEG[:-2], JPEG[:-9], b"GIF89a", JPEG[:100] + b"\xff\xd9"])
def test_what_is_not_whole_is_refused(data: bytes) -> None:
    with pytest.raises(CaptureFailed, match="not a complete JPG file"):
        checked_picture("x", picture(data))


def test_a_settlement_of_another_type_is_refused() -> None:
    assert checked_picture("x", picture(settlement=Settlement(SettledBy.TIME, 1.0))).settlement is not None
    with pytest.raises(CaptureFailed, match="settlement"):
        checked_picture("x", picture(settlement="brightness"))


@pytest.mark.parametrize(
    ("settlement", "by", "after_ms"),
    [(Settlement(SettledBy.LIMIT, 3.0334), "limit", 3033), (None, None, None)],
)
def test_a_snapshot_tells_how_the_exposure_settled(
    tmp_path: Path, settlement: Settlement | None, by: str | None, after_ms: int | None
) -> None:
    at = SystemClock().now()
    snapshot = Snapshot(
        CameraId("camera0"),
        "camera0/x.jpg",
        tmp_path / "x.jpg",
        size_bytes=5,
        width=64,
        height=48,
        format=PictureFormat.JPG,
        tier_rank=0,
        tier_name="frames",
        duration_s=0.1,
        captured_at=at,
        captured_at_source=CapturedAtSource.DEVICE,
        age_s=0.1,
        taken_at=at,
        settlement=settlement,
    )
    form = snapshot_form(snapshot, lambda *_: None).model_dump(mode="json")
    assert (form["settled_by"], form["settle_ms"]) == (by, after_ms)
