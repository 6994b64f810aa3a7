"""One camera of libcamera with its broker and frame socket."""

import hashlib
import logging
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
    GrowingPauses,
    VideoCodec,
)
from agent_core.plugin.frames import FrameBroker, FrameServer, report_problems
from libcamera_source.cam_reader import CamOutput
from libcamera_source.listing import ListedCamera
from libcamera_source.outputs import CodedOutput, JpegOutput, OutputReader
from libcamera_source.producer import ProgramProducer, broker_settings
from libcamera_source.programs import CAM, Tools, command
from libcamera_source.settings import SOURCE, CameraSettings, CaptureSettings
from libcamera_source.tools import Toolbox

__all__ = ("LibcameraCamera",)

_log = logging.getLogger("camera_agent.libcamera_source")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_INTERNAL = "The agent met an internal error at this camera. It tries again; see the agent's log."


class LibcameraCamera:
    """Camera in libcamera's list. The source owns it: runs `run` and calls `gone`.

    Args:
        listed: the camera, which the source replaces when its place in the list has changed.
        settings: its table, or the defaults.
        tools: programs that were found with it, which the source replaces when others are installed; used from the
            next start on.
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
        self._codec = VideoCodec(settings.codec)
        self.tools = tools
        self._environment = toolbox.environment_for(settings)
        self._lock = toolbox.lock
        self.broker = self._new_broker()

    def _new_broker(self) -> FrameBroker:
        settings, pipe = self._settings, self._socket.with_suffix(".pipe")
        producer = ProgramProducer(
            lambda: command(self.tools, self.listed, settings, pipe),
            lambda: _reader(self.tools, settings, pipe, self._clock),
            self._environment,
            settings,
            clock=self._clock,
            lock=self._lock,
        )
        return FrameBroker(producer, clock=self._clock, settings=broker_settings(settings), codec=self._codec)

    @property
    def key(self) -> str:
        return self.listed.id

    def gone(self, reason: str) -> None:
        """Report the camera as disconnected, then end `run`."""
        self._is_gone = True
        self._report.disconnected(self.key, reason)
        self._scope.cancel()

    async def run(self) -> None:
        """Serve the camera until `gone`; report it, and its problems. Raises nothing: the other cameras keep running."""
        pauses = GrowingPauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        with self._scope:
            while True:
                try:
                    await self._serve()
                except Exception:  # noqa: BLE001 - the other cameras keep running
                    _log.exception("the camera %s failed with an unexpected error", self.listed.shown_name)
                    if not self._is_gone:
                        self._report.failed(self.key, _INTERNAL, self.detected())
                await self._clock.sleep(pauses.next_s())
                self.broker = self._new_broker()

    async def _serve(self) -> None:
        server = FrameServer(self.broker, self._socket, clock=self._clock, fps=self._settings.fps)
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


def _reader(tools: Tools, settings: CaptureSettings, pipe: Path, clock: Clock) -> OutputReader:
    if tools.program is CAM:
        return CamOutput(pipe, settings.jpeg_quality, clock)
    return JpegOutput() if settings.codec == "mjpeg" else CodedOutput()
