"""Producer of one camera: the FFmpeg behind its frame broker."""

from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from agent_core.plugin import AgentError, CaptureFailed, Clock, WorkerPool, ffmpeg, first_of
from agent_core.plugin.ffmpeg import stream
from agent_core.plugin.frames import FrameProducer, FrameSink
from virtual_camera.controls import Look, PictureControls
from virtual_camera.faults import Faults
from virtual_camera.ffmpeg_arguments import arguments
from virtual_camera.live_matroska import MatroskaReader
from virtual_camera.settings import CameraSettings
from virtual_camera.smjpeg import SmjpegReader
from virtual_camera.timed_picture import DamagedOutput, TimedPicture

__all__ = ("PictureProducer", "age_s", "longest_age_s")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Longest plausible time from FFmpeg's writing of a frame to its arrival here.
_LATE_S = 5.0


def longest_age_s(camera: CameraSettings) -> float:
    """Return the greatest plausible age of a frame. An older or negative age means that the wall clock was set.

    FFmpeg writes a coded picture when the next one comes (`ffmpeg_arguments`).
    """
    return _LATE_S + (1 / camera.fps if camera.is_coded else 0.0)


def age_s(time_ms: int, now: datetime, *, longest_s: float) -> float | None:
    """Return the age at `now` of a frame drawn at `time_ms` (modulo 2^32); None if the clock has been set since."""
    now_ms = (now - _EPOCH) / timedelta(milliseconds=1)
    whole_ms = int(now_ms)
    difference_ms = (whole_ms - time_ms + 2**31) % 2**32 - 2**31
    age = (difference_ms + now_ms - whole_ms) / 1000
    return age if 0 <= age <= longest_s else None


class PictureProducer(FrameProducer):
    """Producer that runs FFmpeg on demand. The burnt-in counter continues from one FFmpeg to the next.

    New values of `controls` start another FFmpeg.
    """

    def __init__(
        self,
        camera: CameraSettings,
        faults: Faults,
        *,
        program: str | None,
        clock: Clock,
        controls: PictureControls | None = None,
    ) -> None:
        self._camera = camera
        self._faults = faults
        self._controls = controls or PictureControls()
        self._program = program
        self._clock = clock
        self._located = ""
        self._threads = WorkerPool(1)
        self._next_counter = 1
        self._longest_age_s = longest_age_s(camera)
        self._chance = Random(camera.recognised_by)  # noqa: S311 - the same frames in each run

    async def park(self) -> None:
        # In a thread: it may import imageio-ffmpeg and run its program once.
        self._located = await self._threads.run(ffmpeg.locate, self._program)
        await self._threads.run(self._controls.settle)
        self._controls.tell()

    async def stream(self, sink: FrameSink) -> None:
        problem: AgentError | None = None
        has_ended = False

        async def draw(look: Look) -> None:
            nonlocal problem, has_ended
            try:
                await self._draw(sink, look)
            except AgentError as error:
                problem = error
            has_ended = True

        while not has_ended:
            look = self._controls.look
            await first_of(partial(draw, look), partial(self._controls.until_other, look))
        if problem is not None:
            raise problem

    async def _draw(self, sink: FrameSink, look: Look) -> None:
        """Run one FFmpeg until it ends. Raises CaptureFailed."""
        reader = MatroskaReader() if self._camera.is_coded else SmjpegReader()

        def receive(chunk: bytes) -> None:
            if (
                self._controls.look != look
            ):  # a client that has set a control sees no older picture afterwards
                return
            for picture in reader.feed(chunk):
                # Pictures that FFmpeg drew but did not deliver were never seen, so counting those that arrive is
                # enough to keep the counter from going back.
                self._next_counter += 1
                self._deliver(picture, sink)

        try:
            await stream(self._located, arguments(self._camera, self._next_counter, look), receive)
        except DamagedOutput as error:
            raise CaptureFailed("FFmpeg's output was damaged.", reason="damaged_output") from error

    def _deliver(self, picture: TimedPicture, sink: FrameSink) -> None:
        if self._faults.stalled or self._chance.random() < self._camera.drop_rate:
            if self._camera.is_coded:
                sink.gap()
            return
        data = picture.data
        if self._faults.corrupting:
            data = data[: len(data) // 2]
        sink.offer(data, captured_s=self._captured_s(picture))

    def _captured_s(self, picture: TimedPicture) -> float | None:
        """Return the time of drawing on the monotonic clock, never later than the true one; None if it is unknown."""
        if self._camera.timestamps == "arrival":
            return None
        now_s = self._clock.monotonic_s()  # read first, so that a pause in between makes the frame seem older
        age = age_s(picture.time_ms, self._clock.now(), longest_s=self._longest_age_s)
        return None if age is None else now_s - age
