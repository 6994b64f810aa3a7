"""One virtual camera with its broker and frame socket."""

from functools import partial
from pathlib import Path

import anyio

from agent_core.plugin import (
    NOT_ASKED,
    CameraId,
    CameraMode,
    CameraReport,
    CaptureFailed,
    ChangedControls,
    Clock,
    DetectedCamera,
    Fingerprint,
    FrameSocket,
    Started,
    VideoCodec,
)
from agent_core.plugin.frames import BrokerSettings, FrameBroker, FrameServer, report_problems
from virtual_camera.controls import PictureControls, PicturePanel
from virtual_camera.faults import Faults
from virtual_camera.producer import PictureProducer
from virtual_camera.settings import CameraSettings

__all__ = ("SOURCE", "VirtualCamera")

#: Name of the source, of its fingerprints and of the plugin.
SOURCE = "virtual_camera"
#: Names of the formats in a camera's modes, those of V4L2.
_FORMATS = {VideoCodec.MJPEG: "MJPG", VideoCodec.H264: "H264", VideoCodec.H265: "HEVC"}
#: Silence, in frame intervals, that counts as a stall of a slow camera.
_STALL_FRAMES = 3


class VirtualCamera:
    """Virtual camera, owned by the source, which runs `watch`. Tests switch its `faults`."""

    def __init__(
        self, settings: CameraSettings, *, socket_path: Path, program: str | None, clock: Clock
    ) -> None:
        self.settings = settings
        self.faults = Faults()
        self.controls = PictureControls()
        self._socket_path = socket_path
        self._clock = clock
        self._producer = PictureProducer(
            settings, self.faults, program=program, clock=clock, controls=self.controls
        )
        self._broker: FrameBroker | None = None

    @property
    def key(self) -> str:
        return self.settings.recognised_by

    @property
    def broker(self) -> FrameBroker | None:
        """Current broker; None while the camera is absent."""
        return self._broker

    async def watch(self, report: CameraReport, *, task_status: Started = NOT_ASKED) -> None:
        """Report the camera and serve its frames until cancelled. Started when the camera is first reported."""
        while True:
            await self._be_present(report, task_status)
            task_status = NOT_ASKED
            await self.faults.wait_present()

    async def _be_present(self, report: CameraReport, task_status: Started) -> None:
        codec = self.settings.codec
        broker = FrameBroker(self._producer, clock=self._clock, settings=self._broker_settings(), codec=codec)
        server = FrameServer(broker, self._socket_path, clock=self._clock, fps=self.settings.fps)
        panel = self.controls.appear(partial(self._controls_set, report))
        async with anyio.create_task_group() as tg:
            await tg.start(broker.run)
            await tg.start(server.run)
            tg.start_soon(panel.run)
            self._broker = broker
            report.connected(self._detected(broker, panel))
            task_status.started()
            tg.start_soon(self._report_problems, broker, panel, report)
            try:
                await self.faults.wait_vanished()
            finally:
                self._broker = None
                self.controls.vanish()
            report.disconnected(self.key, "The virtual camera was made to vanish.")
            tg.cancel_scope.cancel()

    def _controls_set(self, report: CameraReport, changed: ChangedControls) -> None:
        if self._broker is not None:
            report.controls(self.key, changed)

    async def _report_problems(self, broker: FrameBroker, panel: PicturePanel, report: CameraReport) -> None:
        """Report a camera that does not deliver, until cancelled; nothing more once it has vanished."""

        def failed(error: CaptureFailed) -> None:
            if self._broker is broker:
                report.failed(self.key, f"{error.details} {error.suggestion}")

        def connected() -> None:
            if self._broker is broker:
                report.connected(self._detected(broker, panel))

        await report_problems(broker, failed=failed, connected=connected, clock=self._clock)

    def _broker_settings(self) -> BrokerSettings:
        usual = BrokerSettings()
        # The first of two pictures comes with the second.
        return BrokerSettings(
            stall_s=max(usual.stall_s, _STALL_FRAMES / self.settings.fps),
            first_frame_s=max(usual.first_frame_s, _STALL_FRAMES / self.settings.fps),
            key_frame_s=max(usual.key_frame_s, 2 * self.settings.key_interval_s),
        )

    def _detected(self, broker: FrameBroker, panel: PicturePanel) -> DetectedCamera:
        camera = self.settings
        return DetectedCamera(
            key=self.key,
            name=camera.name,
            fingerprint=Fingerprint(source=SOURCE, serial=self.key),
            media_input=FrameSocket(self._socket_path, camera.width, camera.height, camera.fps, camera.codec),
            modes=(CameraMode(_FORMATS[camera.codec], camera.width, camera.height, (camera.fps,)),),
            resolution=(camera.width, camera.height),
            fps=camera.fps,
            configured_id=CameraId(camera.id) if camera.id else None,
            frames=None if camera.is_coded else broker,
            device=broker,
            controls=panel.controls,
            panel=panel,
        )
