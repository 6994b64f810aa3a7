"""Producer of one camera: the program behind its frame broker."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

from agent_core.plugin import CaptureFailed, Clock, WorkerPool, first_of
from agent_core.plugin.frames import BrokerSettings, ExposureSettling, FrameProducer, FrameSink, measure
from agent_core.plugin.processes import Tail, child
from libcamera_source.driver_times import DriverTimes
from libcamera_source.failures import explain, explain_silence, not_executed
from libcamera_source.outputs import OutputReader
from libcamera_source.settings import CaptureSettings
from libcamera_source.tools import CameraLock

__all__ = ("ProgramProducer", "broker_settings")

#: Time for the program to stop the camera in order, and to end after it has closed its output.
_GRACE_S, _END_S = 1.0, 5.0
#: Greatest plausible age of a frame, besides its exposure. Drivers without a time, or with another clock, give others.
_MAX_AGE_S = 5.0
#: Pictures that may wait between the sensor and us: libcamera's pipelines have four buffers.
_BUFFERS = 4
#: Time for the exposure of a camera whose pictures are not measured: cameras need 0.3 to 2 s.
_CODED_SETTLE_S = 2.0
#: A program's first picture takes seconds on a small board: it starts libcamera, GStreamer and the sensor.
_FIRST_PICTURE_S = 20.0
#: The broker's limits are longer than ours, because only we know what the program has said.
_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Silence:
    """Seconds without a picture after which a program counts as hung: before the first picture, and later."""

    first_s: float
    between_s: float

    @classmethod
    def of(cls, settings: CaptureSettings) -> "Silence":
        """Return the limits for a camera, with five intervals for one that lengthens its exposure in the dark."""
        frames_s = 5 / settings.fps
        return cls(_FIRST_PICTURE_S + frames_s, max(BrokerSettings().stall_s, frames_s))


class ProgramProducer(FrameProducer):
    """Producer that runs a program while pictures are wanted.

    Args:
        command: returns the words of the program, anew for each start.
        new_reader: returns the reader of its output, anew for each start.
        environment: the program's environment.
        settings: of the camera.
        clock: the monotonic clock.
        lock: keeps lists of cameras from taking the camera at its start.
    """

    def __init__(
        self,
        command: Callable[[], tuple[str, ...]],
        new_reader: Callable[[], OutputReader],
        environment: Mapping[str, str],
        settings: CaptureSettings,
        *,
        clock: Clock,
        lock: CameraLock,
    ) -> None:
        self._command = command
        self._new_reader = new_reader
        self._reader = new_reader()
        self._environment = environment
        self._clock = clock
        self._lock = lock
        self._threads = WorkerPool(1)
        # The brightness of coded video is not measured.
        usual_s = None if settings.codec == "mjpeg" else _CODED_SETTLE_S
        self._settling = ExposureSettling(usual_s if settings.settle_s is None else settings.settle_s)
        self._limits = Silence.of(settings)
        self._longest_age_s = _MAX_AGE_S + _BUFFERS / settings.fps
        self._times = DriverTimes(self._longest_age_s)
        self._last_s = 0.0
        self._has_pictures = False
        self._dropped = 0

    async def park(self) -> None:
        self._reader.close()
        self._reader = self._new_reader()
        self._reader.open()

    async def close(self) -> None:
        self._reader.close()

    async def stream(self, sink: FrameSink) -> None:
        command = self._command()
        name = Path(command[0]).name
        said = Tail(listener=self._reader.hear)
        async with self._lock.in_use():
            try:
                returncode = await self._run(command, said, sink)
            except FileNotFoundError as error:
                raise not_executed(name) from error
        raise explain(said.text, returncode, name)

    async def _run(self, command: tuple[str, ...], said: Tail, sink: FrameSink) -> int | None:
        """Run the program until it ends; return its status, None if it closed its output only.

        Raises:
            CaptureFailed: what it delivers cannot be used.
        """
        self._settling.start()
        self._times = DriverTimes(self._longest_age_s)
        self._last_s, self._has_pictures, self._dropped = self._clock.monotonic_s(), False, 0
        started = partial(child, stop_signal=signal.SIGINT, grace_s=_GRACE_S, env=self._environment)
        async with started(command) as process:
            assert process.stdout is not None  # noqa: S101 - PIPE was asked for
            assert process.stderr is not None  # noqa: S101
            async with anyio.create_task_group() as readers:
                readers.start_soon(said.follow, process.stderr)
                problem = await self._read(process.stdout, said, sink)
                if problem is None:
                    with anyio.move_on_after(_END_S):
                        await process.wait()
                if process.returncode is None:
                    readers.cancel_scope.cancel()
            if problem is not None:  # without the group of the readers
                raise problem
            return process.returncode

    async def _read(self, output: ByteReceiveStream, said: Tail, sink: FrameSink) -> CaptureFailed | None:
        """Read until the output ends, or the program hangs; return the reason in the second case."""
        problem: CaptureFailed | None = None
        taker = _Taker(partial(self._offer, sink), partial(self._drop, sink), sink.skip)

        async def read() -> None:
            nonlocal problem
            problem = await self._reader.read(output, taker)

        async def watch() -> None:
            nonlocal problem
            limit_s = await self._until_silent()
            problem = explain_silence(said.text, limit_s, has_begun=self._has_pictures)

        await first_of(read, watch)
        return problem

    async def _until_silent(self) -> float:
        """Return the limit (s) for which no picture came. The broker tells of pictures that are all damaged."""
        while True:
            limit_s = self._limits.between_s if self._has_pictures else self._limits.first_s
            left_s = self._last_s + limit_s - self._clock.monotonic_s()
            if left_s <= 0 and not self._dropped:
                return limit_s
            # The limit becomes shorter if the first picture comes during the sleep.
            usual_s = self._limits.between_s
            await self._clock.sleep(min(left_s, usual_s) if left_s > 0 else usual_s)

    async def _offer(
        self, sink: FrameSink, picture: bytes, stamp_s: float | None, arrived_s: float | None
    ) -> None:
        settling, now_s = self._settling, self._clock.monotonic_s()
        self._last_s, self._has_pictures, self._dropped = now_s, True, 0
        brightness = await self._threads.run(measure, picture) if settling.needs_brightness else None
        settling.note(now_s, brightness)
        sink.offer(
            picture,
            captured_s=self._times.captured_s(stamp_s, now_s if arrived_s is None else arrived_s),
            settled=settling.is_settled,
            settlement=settling.settlement,
            arrived_s=arrived_s,
        )

    def _drop(self, sink: FrameSink, reason: str) -> None:
        self._dropped += 1
        sink.drop(reason)


@dataclass(frozen=True, slots=True)
class _Taker:
    """Receiver of one run's pictures."""

    offer: Callable[[bytes, float | None, float | None], Awaitable[None]]
    drop: Callable[[str], None]
    skip: Callable[[str], None]

    async def take(
        self, picture: bytes, stamp_s: float | None = None, arrived_s: float | None = None
    ) -> None:
        await self.offer(picture, stamp_s, arrived_s)


def broker_settings(settings: CaptureSettings) -> BrokerSettings:
    """Return the limits of the camera's broker, which allow for slow boards and for long exposures."""
    usual, silence = BrokerSettings(), Silence.of(settings)
    interval_s = 1 / settings.fps
    # A coded picture is known to be whole when the next one begins.
    waiting = _BUFFERS + (settings.codec != "mjpeg")
    return BrokerSettings(
        warm_ttl_s=settings.warm_ttl_s,
        stall_s=silence.between_s + _MARGIN_S,
        first_frame_s=silence.first_s + _MARGIN_S,
        awaits_first=True,
        pipeline_latency_s=max(usual.pipeline_latency_s, waiting * interval_s),
    )
