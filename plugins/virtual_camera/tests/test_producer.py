import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path

import anyio
import pytest
from PIL import Image

from agent_core.plugin import CaptureFailed, DependencyFailed, Settlement, VideoCodec
from agent_core.plugin.jpeg import WholeJpeg
from agent_core.testing import SimulatedClock, SystemClock
from agent_core.testing.wall_clock import ProgramWallClock
from virtual_camera import burnt_in
from virtual_camera.controls import PictureControls
from virtual_camera.faults import Faults
from virtual_camera.producer import PictureProducer, age_s, longest_age_s
from virtual_camera.settings import CameraSettings

NOW = datetime(2026, 11, 22, 17, 3, 54, 123000, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SMALL = CameraSettings(name="a", width=160, height=120, fps=60)


def stamp(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1) % 2**32


@pytest.mark.parametrize(
    ("drawn_ago_s", "expected_s"),
    [(0.0, 0.0), (0.04, 0.04), (5.0, 5.0), (5.001, None), (-0.001, None), (3600.0, None), (-3600.0, None)],
)
def test_a_frame_is_as_old_as_its_time_says_unless_the_clock_was_set(
    drawn_ago_s: float, expected_s: float | None
) -> None:
    age = age_s(stamp(NOW - timedelta(seconds=drawn_ago_s)), NOW, longest_s=5.0)
    assert age == (None if expected_s is None else pytest.approx(expected_s, abs=1e-4))


def test_ages_are_right_where_the_32_bit_time_wraps() -> None:
    wrap = EPOCH + timedelta(milliseconds=420 * 2**32)
    assert age_s(2**32 - 5, wrap + timedelta(milliseconds=5), longest_s=5.0) == pytest.approx(0.010, abs=1e-4)


def test_ages_are_finer_than_a_millisecond() -> None:
    assert age_s(stamp(NOW), NOW + timedelta(microseconds=400), longest_s=5.0) == pytest.approx(
        0.0004, abs=1e-5
    )


@pytest.mark.parametrize("fps", [0.2, 1, 60])
def test_a_coded_picture_that_waited_for_the_next_one_keeps_its_time(fps: float) -> None:
    camera = CameraSettings(name="a", fps=fps, codec=VideoCodec.H264)
    waited_s = 1 / fps + 0.2
    age = age_s(stamp(NOW - timedelta(seconds=waited_s)), NOW, longest_s=longest_age_s(camera))
    assert age == pytest.approx(waited_s, abs=2e-3)


class Sink:
    """Sink that keeps the frames and cancels the stream when it has enough. It calls `each` with their numbers."""

    def __init__(self, enough: int, each: Callable[[int], None] = lambda _: None) -> None:
        self._each = each
        self.offered: list[tuple[bytes, float | None]] = []
        self.scope = anyio.CancelScope()
        self._enough = enough

    def offer(
        self,
        data: bytes | WholeJpeg,
        *,
        captured_s: float | None = None,
        settled: bool = True,
        settlement: Settlement | None = None,
        arrived_s: float | None = None,
    ) -> None:
        assert isinstance(data, bytes)
        self.offered.append((data, captured_s))
        self._each(len(self.offered))
        if len(self.offered) >= self._enough:
            self.scope.cancel()

    def skip(self, reason: str, count: int = 1) -> None:
        raise AssertionError(reason)

    def drop(self, reason: str) -> None:
        raise AssertionError(reason)

    def gap(self) -> None:
        raise AssertionError("a gap")


async def stream(
    producer: PictureProducer, count: int, each: Callable[[int], None] = lambda _: None
) -> list[tuple[bytes, float | None]]:
    sink = Sink(count, each)
    with anyio.fail_after(40):
        await producer.park()
        with sink.scope:
            await producer.stream(sink)
    return sink.offered


async def test_times_are_those_burnt_in(program: str) -> None:
    clock = SystemClock()
    producer = PictureProducer(SMALL, Faults(), program=program, clock=clock)
    for data, captured_s in await stream(producer, 20):
        assert captured_s is not None
        offset_s = clock.monotonic_s() - clock.now().timestamp()
        drawn_s = burnt_in.read(data).drawn_at.timestamp() + offset_s
        # The mark is rounded down by up to 1 ms; the rest passes between our two clock readings.
        assert -0.5 < captured_s - drawn_s <= 0.001


async def test_the_counter_goes_on_from_one_ffmpeg_to_the_next(program: str) -> None:
    producer = PictureProducer(SMALL, Faults(), program=program, clock=SystemClock())
    counters = []
    for _ in range(3):
        counters += [burnt_in.read(data).counter for data, _ in await stream(producer, 5)]
    assert counters[0] == 1
    assert counters == sorted(set(counters))


async def test_a_camera_can_keep_its_times_to_itself(program: str) -> None:
    camera = SMALL.model_copy(update={"timestamps": "arrival"})
    producer = PictureProducer(camera, Faults(), program=program, clock=SystemClock())
    assert {captured_s for _, captured_s in await stream(producer, 3)} == {None}


async def test_after_the_wall_clock_was_set_frames_have_no_time(program: str) -> None:
    clock = SimulatedClock(datetime.now(UTC) - timedelta(hours=1))
    producer = PictureProducer(SMALL, Faults(), program=program, clock=clock)
    assert {captured_s for _, captured_s in await stream(producer, 3)} == {None}


class SetClock(SystemClock):
    """Agent's clock that is set together with FFmpeg's."""

    def __init__(self, ffmpegs: ProgramWallClock) -> None:
        self._ffmpegs = ffmpegs
        self._offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self._offset

    def set(self, offset_s: float) -> None:
        self._offset = timedelta(seconds=offset_s)
        self._ffmpegs.set(offset_s)


async def test_a_wall_clock_that_is_set_back_and_forth_stops_no_frame(program: str, tmp_path: Path) -> None:
    ffmpegs = ProgramWallClock(tmp_path)
    clock = SetClock(ffmpegs)
    camera = SMALL.model_copy(update={"fps": 20.0})
    producer = PictureProducer(camera, Faults(), program=ffmpegs.wrapped(program), clock=clock)
    offsets_s = {10: -3600, 25: 0}
    before = datetime.now(UTC)

    def set_clock(number: int) -> None:
        if number in offsets_s:
            clock.set(offsets_s[number])

    frames = await stream(producer, 40, set_clock)
    marks = [burnt_in.read(data) for data, _ in frames]
    assert [mark.counter for mark in marks] == list(range(1, 41))
    behind = [mark.drawn_at < before - timedelta(minutes=50) for mark in marks]
    assert [key for key, _ in groupby(behind)] == [False, True, False]
    assert None not in {captured_s for _, captured_s in frames[:10]}
    assert {captured_s for _, captured_s in frames[10:]} == {None}


async def test_a_time_from_before_the_clock_was_set_back_is_never_taken_for_a_time_of_drawing(
    program: str, tmp_path: Path
) -> None:
    """Even if only FFmpeg has a new clock: a time that stood still would stop the stream."""
    ffmpegs = ProgramWallClock(tmp_path)
    camera = SMALL.model_copy(update={"fps": 20.0})
    producer = PictureProducer(camera, Faults(), program=ffmpegs.wrapped(program), clock=SystemClock())
    before = datetime.now(UTC)
    frames = await stream(producer, 30, lambda number: ffmpegs.set(-3600) if number == 10 else None)
    marks = [burnt_in.read(data) for data, _ in frames]
    behind = [mark.drawn_at < before - timedelta(minutes=50) for mark in marks]
    assert behind[-1]
    assert {captured_s for (_, captured_s), is_behind in zip(frames, behind, strict=True) if is_behind} == {
        None
    }


async def test_a_missing_ffmpeg_is_an_error_with_a_suggestion() -> None:
    producer = PictureProducer(SMALL, Faults(), program="/nowhere/ffmpeg", clock=SystemClock())
    with pytest.raises(DependencyFailed) as caught:
        await producer.park()
    assert caught.value.reason == "ffmpeg_missing"
    assert "Install FFmpeg" in caught.value.suggestion
    assert "/nowhere" not in caught.value.details


async def test_a_missing_file_is_an_error_without_its_path(program: str, tmp_path: Path) -> None:
    camera = CameraSettings(name="a", picture="file", file=tmp_path / "gone.mp4")
    producer = PictureProducer(camera, Faults(), program=program, clock=SystemClock())
    with pytest.raises(DependencyFailed) as caught:
        await stream(producer, 1)
    assert caught.value.reason == "input_missing"
    assert str(tmp_path) not in caught.value.details + caught.value.detail


async def test_a_file_that_is_no_picture_is_an_error(program: str, tmp_path: Path) -> None:
    file = tmp_path / "text.mp4"
    file.write_text("no video")
    camera = CameraSettings(name="a", picture="file", file=file)
    producer = PictureProducer(camera, Faults(), program=program, clock=SystemClock())
    with pytest.raises(DependencyFailed) as caught:
        await stream(producer, 1)
    assert caught.value.reason == "no_picture"


async def test_output_that_is_not_smjpeg_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho something else entirely\n")
    program.chmod(0o755)
    producer = PictureProducer(SMALL, Faults(), program=str(program), clock=SystemClock())
    with pytest.raises(CaptureFailed) as caught:
        await stream(producer, 1)
    assert caught.value.reason == "damaged_output"


async def test_lost_frames_leave_gaps_of_varying_length(program: str) -> None:
    camera = CameraSettings(name="a", width=160, height=120, fps=60, drop_rate=0.5)
    producer = PictureProducer(camera, Faults(), program=program, clock=SystemClock())
    frames = await stream(producer, 20)
    counters = [burnt_in.read(data).counter for data, _ in frames]
    gaps = {after - before for before, after in pairwise(counters)}
    assert min(gaps) == 1
    assert len(gaps) >= 3


def luma(picture: bytes) -> int:
    """Return the brightness in the middle, below the strip of marks."""
    with Image.open(io.BytesIO(picture)) as image:
        grey = image.convert("L")
    return grey.tobytes()[grey.height // 2 * grey.width + grey.width // 2]


async def test_kept_values_are_in_every_picture_from_the_very_first(program: str, tmp_path: Path) -> None:
    """Only the producer sets them here: the panel's own task does not run."""
    Image.new("RGB", (160, 120), (100, 100, 100)).save(tmp_path / "grey.png")
    camera = CameraSettings(name="a", width=160, height=120, fps=60, file=tmp_path / "grey.png")
    controls = PictureControls()
    panel = controls.appear(lambda _: None)
    panel.keep({"brightness": 60})
    producer = PictureProducer(camera, Faults(), program=program, clock=SystemClock(), controls=controls)
    seen = [luma(data) for data, _ in await stream(producer, 5)]
    assert seen == [pytest.approx(160, abs=4)] * len(seen)  # FFmpeg may write many at once
