"""Producer of one camera: the program behind its frame broker."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from agent_core.plugin import Clock, WorkerPool
from agent_core.plugin.frames import BrokerSettings, ExposureSettling, FrameProducer, FrameSink, measure
from agent_core.plugin.processes import Tail, child
from libcamera_source.failures import explain, not_executed
from libcamera_source.outputs import OutputReader
from libcamera_source.settings import CaptureSettings
from libcamera_source.tools import CameraLock

__all__ = ("ProgramProducer", "broker_settings")

#: Time for the program to stop the camera in order, and to end after it has closed its output.
_GRACE_S, _END_S = 1.0, 5.0
#: Greatest plausible age of a frame. Drivers without a time, or with another clock, give others.
_MAX_AGE_S = 5.0
#: Pictures that may wait between the sensor and us: libcamera's pipelines have four buffers.
_BUFFERS = 4
#: Time for the exposure of a camera whose pictures are not measured: cameras need 0.3 to 2 s.
_CODED_SETTLE_S = 2.0
#: A program's first picture takes seconds on a small board: it starts libcamera, GStreamer and the sensor.
_FIRST_PICTURE_S = 20.0


class ProgramProducer(FrameProducer):
    """Producer that runs a program while pictures are wanted.

    Args:
        command: returns the words of the program, anew for each start.
        reader: reads its output.
        environment: the program's environment.
        settings: of the camera.
        clock: the monotonic clock.
        lock: keeps lists of cameras from taking the camera at its start.
    """

    def __init__(
        self,
        command: Callable[[], tuple[str, ...]],
        reader: OutputReader,
        environment: Mapping[str, str],
        settings: CaptureSettings,
        *,
        clock: Clock,
        lock: CameraLock,
    ) -> None:
        self._command = command
        self._reader = reader
        self._environment = environment
        self._clock = clock
        self._lock = lock
        self._threads = WorkerPool(1)
        # The brightness of coded video is not measured.
        usual_s = None if settings.codec == "mjpeg" else _CODED_SETTLE_S
        self._settling = ExposureSettling(usual_s if settings.settle_s is None else settings.settle_s)

    async def park(self) -> None:
        self._reader.open()

    async def close(self) -> None:
        self._reader.close()

    async def stream(self, sink: FrameSink) -> None:
        command = self._command()
        name = Path(command[0]).name
        said = Tail()
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
        started = partial(child, stop_signal=signal.SIGINT, grace_s=_GRACE_S, env=self._environment)
        async with started(command) as process:
            assert process.stdout is not None  # noqa: S101 - PIPE was asked for
            assert process.stderr is not None  # noqa: S101
            async with anyio.create_task_group() as readers:
                readers.start_soon(said.follow, process.stderr)
                problem = await self._reader.read(process.stdout, said, _Taker(sink, self._offer))
                if problem is None:
                    with anyio.move_on_after(_END_S):
                        await process.wait()
                if process.returncode is None:
                    readers.cancel_scope.cancel()
            if problem is not None:  # without the group of the readers
                raise problem
            return process.returncode

    async def _offer(self, picture: bytes, stamp_s: float | None, sink: FrameSink) -> None:
        settling, now_s = self._settling, self._clock.monotonic_s()
        brightness = await self._threads.run(measure, picture) if settling.needs_brightness else None
        settling.note(now_s, brightness)
        is_known = stamp_s is not None and 0 <= now_s - stamp_s <= _MAX_AGE_S
        sink.offer(
            picture,
            captured_s=stamp_s if is_known else None,
            settled=settling.is_settled,
            settlement=settling.settlement,
        )


@dataclass(frozen=True, slots=True)
class _Taker:
    """Receiver of pictures that gives them to the broker."""

    sink: FrameSink
    offer: Callable[[bytes, float | None, FrameSink], Awaitable[None]]

    async def take(self, picture: bytes, stamp_s: float | None = None) -> None:
        await self.offer(picture, stamp_s, self.sink)

    def drop(self, reason: str) -> None:
        self.sink.drop(reason)


def broker_settings(settings: CaptureSettings) -> BrokerSettings:
    """Return the limits of the camera's broker, which allow for slow boards and for long exposures."""
    usual = BrokerSettings()
    interval_s = 1 / settings.fps
    # A coded picture is known to be whole when the next one begins.
    waiting = _BUFFERS + (settings.codec != "mjpeg")
    return BrokerSettings(
        warm_ttl_s=settings.warm_ttl_s,
        stall_s=max(usual.stall_s, 5 * interval_s),
        first_frame_s=_FIRST_PICTURE_S + 5 * interval_s,
        pipeline_latency_s=max(usual.pipeline_latency_s, waiting * interval_s),
    )
