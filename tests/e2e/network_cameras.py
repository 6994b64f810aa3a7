"""Network cameras of a test: a source that reports what the test tells it, and broken parts of them."""

from dataclasses import replace

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.models import CameraId, DetectedCamera, Fingerprint, Frame, FrameReader, MediaInput, Url
from agent_core.plugin import (
    AgentContext,
    AgentError,
    CameraReport,
    CameraSource,
    CaptureFailed,
    LiveStream,
    Plugin,
    Settings,
    hookimpl,
)

__all__ = ("HeldByAnother", "MirrorPlugin", "NetworkCameras", "network_camera")


class HeldByAnother(FrameReader):
    """Broker of a device that another program holds."""

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> Frame:
        raise CaptureFailed(
            "Another program uses the camera.", reason="device_busy", suggestion="End that program."
        )


def network_camera(
    name: str, url: str, *, has_credentials: bool = False, frames: FrameReader | None = None
) -> DetectedCamera:
    """Return the camera of the id `name`; only tiers of rank 2 and 3 open it if it has credentials."""
    media_input: MediaInput = Url(url, has_credentials)
    fingerprint = Fingerprint("network", name)
    return DetectedCamera(
        name, name, fingerprint, media_input, configured_id=CameraId(name), frames=frames, fps=15
    )


class NetworkCameras(CameraSource):
    """Source of the cameras that a test connects, also while the agent runs."""

    name = "network"

    def __init__(self, *cameras: DetectedCamera) -> None:
        self._cameras = {each.key: each for each in cameras}
        self._report: CameraReport | None = None

    def plugin(self) -> type[Plugin[Settings]]:
        """Return the plugin of this source."""
        source = self

        class NetworkPlugin(Plugin[Settings]):
            @hookimpl
            def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
                return [source]

        return NetworkPlugin

    def connect(self, camera: DetectedCamera) -> None:
        self._cameras[camera.key] = camera
        if self._report is not None:
            self._report.connected(camera)

    def change(self, name: str, **values: object) -> None:
        """Report the camera again with these attributes."""
        self.connect(replace(self._cameras[name], **values))  # type: ignore[arg-type] # attributes by name

    def disconnect(self, name: str) -> None:
        del self._cameras[name]
        if self._report is not None:
            self._report.disconnected(name, "It was unplugged.")

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        self._report = report
        for camera in self._cameras.values():
            report.connected(camera)
        task_status.started()
        await anyio.sleep_forever()


class MirrorSettings(Settings):
    stream_of: str


class MirrorPlugin(Plugin[MirrorSettings]):
    """Plugin of an agent that is a process: one network camera, camera1, at the stream of another camera."""

    Settings = MirrorSettings

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        return [_Mirror(self.settings.stream_of, agent)]


class _Mirror(CameraSource):
    name = "network"

    def __init__(self, stream_of: str, agent: AgentContext) -> None:
        self._stream_of = CameraId(stream_of)
        self._agent = agent

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        while (stream := await self._stream()) is None:
            await anyio.sleep(0.05)
        report.connected(network_camera("camera1", stream.url, has_credentials=True))
        task_status.started()
        await anyio.sleep_forever()

    async def _stream(self) -> LiveStream | None:
        try:
            return await self._agent.streams.look(self._stream_of)
        except AgentError:  # the server or the camera is not there yet
            return None
