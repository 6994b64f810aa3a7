"""One camera of libcamera with its broker and frame socket."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import anyio

from agent_core.plugin import (
    CameraId,
    CameraMode,
    CameraReport,
    CaptureFailed,
    Clock,
    DetectedCamera,
    Fingerprint,
    FrameSocket,
    VideoCodec,
)
from agent_core.plugin.frames import FrameBroker, FrameServer, report_problems
from libcamera_source.listing import ListedCamera
from libcamera_source.outputs import CamOutput, CodedOutput, JpegOutput, OutputReader
from libcamera_source.producer import ProgramProducer, broker_settings
from libcamera_source.programs import CAM, Tools, command
from libcamera_source.settings import SOURCE, CameraSettings, CaptureSettings
from libcamera_source.tools import Toolbox

__all__ = ("LibcameraCamera",)


class LibcameraCamera:
    """Camera in libcamera's list. The source owns it: runs `run` and calls `gone`.

    Args:
        listed: the camera, which the source replaces when its place in the list has changed.
        settings: its table, or the defaults.
        tools: programs that were found with it.
        toolbox: services of the source.
        report: the core's.
        clock: the monotonic clock.
        folder: folder for the frame socket.
        missed: called when the program says that the camera is not there.
    """

    def __init__(
        self,
        listed: ListedCamera,
        settings: CaptureSettings,
        tools: Tools,
        *,
        toolbox: Toolbox,
        report: CameraReport,
        clock: Clock,
        folder: Path,
        missed: Callable[[], object],
    ) -> None:
        self.listed = listed
        self._settings = settings
        self._report = report
        self._clock = clock
        self._missed = missed
        self._scope = anyio.CancelScope()
        self._is_gone = False
        self._socket = folder / f"libcamera_{hashlib.sha256(listed.id.encode()).hexdigest()[:12]}.sock"
        pipe = self._socket.with_suffix(".pipe")
        producer = ProgramProducer(
            lambda: command(tools, self.listed, settings, pipe),
            _reader(tools, settings, pipe),
            toolbox.environment_for(settings),
            settings,
            clock=clock,
            lock=toolbox.lock,
        )
        self._codec = VideoCodec(settings.codec)
        self.broker = FrameBroker(
            producer, clock=clock, settings=broker_settings(settings), codec=self._codec
        )

    @property
    def key(self) -> str:
        return self.listed.id

    def gone(self, reason: str) -> None:
        """Report the camera as disconnected, then end `run`."""
        self._is_gone = True
        self._report.disconnected(self.key, reason)
        self._scope.cancel()

    async def run(self) -> None:
        """Serve the camera until `gone`; report it, and its problems."""
        server = FrameServer(self.broker, self._socket, clock=self._clock, fps=self._settings.fps)
        with self._scope:
            async with anyio.create_task_group() as tg:
                await tg.start(self.broker.run)
                await tg.start(server.run)
                self._connected()
                await report_problems(
                    self.broker, failed=self._failed, connected=self._connected, clock=self._clock
                )

    def _connected(self) -> None:
        if not self._is_gone:
            self._report.connected(self.detected())

    def _failed(self, error: CaptureFailed) -> None:
        if self._is_gone:
            return
        self._report.failed(self.key, f"{error.details} {error.suggestion}")
        if error.reason == "camera_gone":
            self._missed()

    def detected(self) -> DetectedCamera:
        """Return the camera as the core is told of it. It has no controls: the programs take values only at their start."""
        listed, settings = self.listed, self._settings
        size = settings.width, settings.height
        has_jpegs = self._codec is VideoCodec.MJPEG
        own = settings.id if isinstance(settings, CameraSettings) else None
        return DetectedCamera(
            key=self.key,
            name=listed.shown_name,
            fingerprint=Fingerprint(source=SOURCE, port=listed.id, descriptor=listed.model or None),
            media_input=FrameSocket(self._socket, *size, settings.fps, self._codec),
            modes=(CameraMode("MJPG" if has_jpegs else "H264", *size, (settings.fps,)),),
            resolution=size,
            fps=settings.fps,
            number_hint=listed.index,
            configured_id=CameraId(own) if own else None,
            frames=self.broker if has_jpegs else None,
            device=None if has_jpegs else self.broker,
            tracks=() if has_jpegs else ("H264",),
        )


def _reader(tools: Tools, settings: CaptureSettings, pipe: Path) -> OutputReader:
    if tools.program is CAM:
        return CamOutput(pipe, settings.jpeg_quality)
    return JpegOutput() if settings.codec == "mjpeg" else CodedOutput()
