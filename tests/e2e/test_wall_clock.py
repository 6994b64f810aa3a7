"""A wall clock that is set under a stream and a recording: FFmpeg's only, as the test's own stays as it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import ffmpeg
from agent_core.testing.wall_clock import ProgramWallClock
from virtual_camera import burnt_in

from .media import counters, decoded, is_gapless, media_rig, publishers, read_stream

#: Tolerance of a duration: the beginning and the end of a recording are at key frames.
TOLERANCE_S = 1.5


@pytest.mark.parametrize("offset_s", [-3600, 7200])
async def test_a_wall_clock_that_is_set_changes_nothing_in_a_stream_and_its_recording(
    server_kind: str, tmp_path: Path, observe: Callable[[str], None], offset_s: float
) -> None:
    wall_clock = ProgramWallClock(tmp_path)
    program = wall_clock.wrapped(ffmpeg.locate())
    async with media_rig(server_kind, tmp_path, observe, ffmpeg={"program": program}) as rig:
        started = await rig.call("start_recording", wait=True)
        url = (await rig.call("get_stream_url"))["stream_url"]
        publisher = publishers()
        wall_clock.set(offset_s)
        expected_at = datetime.now(UTC) + timedelta(seconds=offset_s)
        with anyio.fail_after(20):
            while abs((seen := await read_stream(url, frames=20))[-1].drawn_at - expected_at) > timedelta(
                minutes=1
            ):
                pass
        assert is_gapless(seen)
        assert publishers() == publisher
        recording = await rig.call("stop_recording")
        assert recording["filename"] == started["filename"]
        (segment,) = rig.segments(recording)
        marks = await decoded(segment)
    assert is_gapless(marks)
    assert counters(seen)[0] in counters(marks)
    assert recording["duration"] == pytest.approx(shot_s(marks), abs=TOLERANCE_S)


def shot_s(marks: list[burnt_in.Mark]) -> float:
    """Return the time over which frames were drawn, without the step of the clock."""
    steps_s = [(after.drawn_at - before.drawn_at).total_seconds() for before, after in pairwise(marks)]
    return sum(step_s for step_s in steps_s if abs(step_s) < 60)
