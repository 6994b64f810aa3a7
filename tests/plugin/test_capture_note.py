"""Notes that date the pictures of a coded video."""

import json

from agent_core.base.models import CapturedAtSource, SettledBy, Settlement
from agent_core.plugin.frames.capture_note import capture_note


def test_a_note_tells_when_a_picture_was_taken_and_never_a_later_time() -> None:
    note = json.loads(capture_note(12.3456789, CapturedAtSource.DEVICE))
    assert note == {"captured_us": 12_345_678, "source": "device", "settled": True}


def test_a_note_tells_how_the_exposure_settled() -> None:
    settlement = Settlement(SettledBy.TIME, 1.5)
    note = json.loads(capture_note(1.0, CapturedAtSource.ARRIVAL, settled=False, settlement=settlement))
    assert note == {
        "captured_us": 1_000_000,
        "source": "arrival",
        "settled": False,
        "settled_by": "time",
        "settled_after_s": 1.5,
    }
