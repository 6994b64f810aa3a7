"""Producer of one camera: the program behind its frame broker."""

import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

from agent_core.plugin import Clock, WorkerPool
from agent_core.plugin.frames import BrokerSettings, ExposureSettling, FrameProducer, FrameSink, measure
from agent_core.plugin.processes import Tail, child
from libcamera_source.failures import explain, not_executed
from libcamera_source.jpeg_stream import JpegStream
from libcamera_source.settings import CaptureSettings
from libcamera_source.tools import CameraLock

__all__ = ("ProgramProducer", "broker_settings")

#: Time for the program to stop the camera in order, and to end after it has closed its output.
_GRACE_S, _END_S = 1.0, 5.0
#: Pictures that may wait between the sensor and us: libcamera's pipelines have four buffers.
_BUFFERS = 4
#: Time for the exposure of a camera whose pictures are not measured: cameras need 0.3 to 2 s.
_CODED_SETTLE_S = 2.0
#: A program's first picture takes seconds on a small board: it starts libcamera, GStreamer and the sensor.
_FIRST_PICTURE_S = 20.0


class ProgramProducer(FrameProducer):
    """Producer that runs a program while pictures are wanted.

    Pictures carry no capture time: the programs' output has none.

    Args:
        command: returns the words of the program, anew for each start.
        environment: the program's environment.
        settings: of the camera.
        clock: the monotonic clock.
        lock: keeps lists of cameras from taking the camera at its start.
    """

    def __init__(
        self,
        command: Callable[[], tuple[str, ...]],
        environment: Mapping[str, str],
        settings: CaptureSettings,
        *,
        clock: Clock,
        lock: CameraLock,
    ) -> None:
        self._command = command
        self._environment = environment
        self._clock = clock
        self._lock = lock
        self._threads = WorkerPool(1)
        self._is_coded = settings.codec != "mjpeg"
        # The brightness of coded video is not measured.
        usual_s = _CODED_SETTLE_S if self._is_coded else None
        self._settling = ExposureSettling(usual_s if settings.settle_s is None else settings.settle_s)

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
        """Run the program until it ends; return its status, None if it closed its output only."""
        self._settling.start()
        started = partial(child, stop_signal=signal.SIGINT, grace_s=_GRACE_S, env=self._environment)
        async with started(command) as process:
            assert process.stdout is not None  # noqa: S101 - PIPE was asked for
            assert process.stderr is not None  # noqa: S101
            async with anyio.create_task_group() as readers:
                readers.start_soon(said.follow, process.stderr)
                await (self._pass if self._is_coded else self._deliver)(process.stdout, sink)
                with anyio.move_on_after(_END_S):
                    await process.wait()
                if process.returncode is None:
                    readers.cancel_scope.cancel()
            return process.returncode

    async def _pass(self, output: ByteReceiveStream, sink: FrameSink) -> None:
        """Offer coded video as it comes, until it ends.

        The last byte of each piece is left for the next one. So no piece begins with a start code, by which the broker
        would take pieces for whole pictures.
        """
        held = b""
        async for chunk in output:
            self._settling.note(self._clock.monotonic_s())
            data = held + chunk
            held = data[-1:]
            if len(data) > 1:
                settling = self._settling
                sink.offer(data[:-1], settled=settling.is_settled, settlement=settling.settlement)

    async def _deliver(self, output: ByteReceiveStream, sink: FrameSink) -> None:
        """Offer the pictures in `output` until it ends."""
        pictures = JpegStream()
        async for chunk in output:
            skipped = pictures.skipped
            for picture in pictures.feed(chunk):
                await self._offer(picture, sink)
            for _ in range(pictures.skipped - skipped):
                sink.drop("damaged")

    async def _offer(self, picture: bytes, sink: FrameSink) -> None:
        settling = self._settling
        brightness = await self._threads.run(measure, picture) if settling.needs_brightness else None
        settling.note(self._clock.monotonic_s(), brightness)
        sink.offer(picture, settled=settling.is_settled, settlement=settling.settlement)


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
