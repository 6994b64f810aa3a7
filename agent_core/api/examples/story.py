"""Values that the examples share: one camera, one picture and one recording, seen by several methods."""

from datetime import UTC, datetime, timedelta

__all__ = ("CAMERA", "RECORDING", "SEGMENT", "SNAPSHOT", "STARTED_AT", "STOPPED_AT", "TAKEN_AT", "link")

CAMERA = "camera0"
TAKEN_AT = datetime(2026, 11, 22, 17, 3, 54, 120_000, tzinfo=UTC)
SNAPSHOT = "camera0/camera0_2026-11-22_17-03-54-120Z.jpg"
STARTED_AT = TAKEN_AT + timedelta(seconds=6)
STOPPED_AT = STARTED_AT + timedelta(seconds=12)
RECORDING = "camera0_2026-11-22_17-04-00Z"
SEGMENT = "2026-11-22_17-04-00-480000Z.mp4"


def link(path: str) -> str:
    """Return the address of a file as clients get it, with a shortened signature."""
    return f"/files/{path}?expires=1795370634&by=token:6ae3bc014406c7e1&sig=uyoxxxTOkjD8"
