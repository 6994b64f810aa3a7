"""From the agent's values to the wire's."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent_core.api.schema import system as status
from agent_core.api.schema.cameras import (
    CameraCapabilities,
    CameraEventForm,
    CameraForm,
    CameraMetrics,
    CameraStatusForm,
    ControlForm,
    FormatsAndSizes,
    ModeForm,
    StreamUrls,
)
from agent_core.api.schema.recordings import RecordingEventForm
from agent_core.api.schema.snapshots import FileForm, SnapshotForm, SnapshotInfo, TierAttemptForm
from agent_core.base.clock import Clock
from agent_core.base.models import Camera, CameraEvent, CameraId, CameraStatus, Control, PluginEvent
from agent_core.config import MediaServerConfig
from agent_core.health.models import SystemEvent
from agent_core.mediamtx.schema import RuntimePath
from agent_core.recordings.models import RecordingEvent, RecordingState
from agent_core.snapshots.models import Snapshot, StoredFile

__all__ = ("Forms", "MediaView")


def _words(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


class MediaView(Protocol):
    """What forms ask about streams and recordings; answered from memory."""

    @property
    def rtsp_port(self) -> int: ...

    @property
    def hls_port(self) -> int: ...

    @property
    def webrtc_port(self) -> int: ...

    @property
    def served(self) -> Sequence[str]:
        """The protocols that the media server serves; empty while there is none."""
        ...

    def is_recording(self, camera: CameraId) -> bool: ...

    def viewers(self, path: RuntimePath | None) -> int:
        """How many read the path, the agent itself not counted."""
        ...


@dataclass(frozen=True, slots=True)
class Forms:
    """From values to forms, with what the values do not say.

    Args:
        media_server: host name of stream URLs.
        media: what is true of streams and recordings at the moment.
        download_url: signs a link for a kind of file (`snapshots`, `recordings`) and a name.
    """

    media_server: MediaServerConfig
    media: MediaView
    clock: Clock
    download_url: Callable[[str, str], str]

    def streams(self, camera: Camera) -> StreamUrls:
        host = self.media_server.host
        return StreamUrls(
            rtsp=f"rtsp://{host}:{self.media.rtsp_port}/{camera.id}",
            hls=f"http://{host}:{self.media.hls_port}/{camera.id}/index.m3u8",
            webrtc=f"http://{host}:{self.media.webrtc_port}/{camera.id}/",
        )

    def cameras_basis(self, cameras: Sequence[Camera]) -> object:
        """All that `camera` reads and that can change: while it compares equal, the forms would be the same."""
        media = self.media
        recording = [media.is_recording(camera.id) for camera in cameras]
        ports = (media.rtsp_port, media.hls_port, media.webrtc_port)
        return [*cameras], recording, ports, tuple(media.served)

    def camera(self, camera: Camera) -> CameraForm:
        streams = self.streams(camera)
        size, fps = camera.detected.resolution, camera.detected.fps or 0.0
        return CameraForm(
            device=camera.id,
            name=camera.name,
            status=camera.status,
            resolution=f"{size[0]}x{size[1]}" if size else "",
            fps=fps,
            frame_rate=fps,
            capabilities=_words(mode.format for mode in camera.detected.modes),
            streams=streams,
            stream_url=streams.rtsp,
            served=list(self.media.served),
            is_recording=self.media.is_recording(camera.id),
            ambiguous=camera.ambiguous,
            moved=camera.moved,
            problem=camera.problem,
        )

    def camera_status(
        self, camera: Camera, path: RuntimePath | None, age_s: float | None
    ) -> CameraStatusForm:
        connected = camera.status is CameraStatus.CONNECTED
        uptime_s = self.clock.monotonic_s() - camera.since_s if connected else 0.0
        listed = self.camera(camera).model_dump()
        listed["capabilities"] = FormatsAndSizes(
            formats=_words(mode.format for mode in camera.detected.modes), resolutions=_resolutions(camera)
        )
        metrics = CameraMetrics(
            bytes_sent=path.outbound_bytes if path else 0,
            readers=self.media.viewers(path),
            uptime=round(uptime_s, 3),
            age_ms=None if age_s is None else round(age_s * 1000),
        )
        return CameraStatusForm(**listed, metrics=metrics)

    def capabilities(self, camera: Camera) -> CameraCapabilities:
        modes = camera.detected.modes
        validation = "NONE" if not modes else "CONFIRMED"
        if camera.status is CameraStatus.DISCONNECTED:
            validation = "DISCONNECTED"
        return CameraCapabilities(
            device=camera.id,
            formats=_words(mode.format for mode in modes),
            resolutions=_resolutions(camera),
            fps_options=sorted({round(fps) for mode in modes for fps in mode.fps}),
            modes=[
                ModeForm(format=mode.format, width=mode.width, height=mode.height, fps=list(mode.fps))
                for mode in modes
            ],
            controls=[_control(control) for control in camera.detected.controls],
            validation_status=validation,
        )

    def camera_event(self, event: CameraEvent) -> CameraEventForm:
        return CameraEventForm(**self.camera(event.camera).model_dump(), timestamp=self.clock.now())

    def system_event(self, event: SystemEvent) -> status.SystemEventForm:
        return status.SystemEventForm(
            status=event.status,
            components=dict(event.components),
            reason=event.reason or None,
            timestamp=self.clock.now(),
        )

    def plugin_event(self, event: PluginEvent) -> status.PluginEventForm:
        return status.PluginEventForm(plugin=event.plugin, reason=event.reason, timestamp=self.clock.now())

    def recording_event(self, event: RecordingEvent) -> RecordingEventForm:
        """For the topics whose status says what happened: started, stopped, failed."""
        words = {RecordingState.RECORDING: "STARTED", RecordingState.STARTING: "STARTED"}
        return self._recording(event, words.get(event.state, event.state.value))

    def recording_update(self, event: RecordingEvent) -> RecordingEventForm:
        """For the topic whose status says what is."""
        return self._recording(event, event.state.value)

    def _recording(self, event: RecordingEvent, status: str) -> RecordingEventForm:
        return RecordingEventForm(
            device=event.camera,
            status=status,
            filename=event.recording,
            duration=round(event.duration_s, 3),
            reason=event.reason or None,
            timestamp=self.clock.now(),
        )

    def snapshot(self, snapshot: Snapshot) -> SnapshotForm:
        return SnapshotForm(
            device=snapshot.camera,
            filename=snapshot.name,
            file_path=str(snapshot.path),
            file_size=snapshot.size_bytes,
            resolution=f"{snapshot.width}x{snapshot.height}",
            format=snapshot.format,
            tier_used=snapshot.tier_rank,
            tier_name=snapshot.tier_name,
            capture_time=round(snapshot.duration_s, 6),
            timestamp=snapshot.taken_at,
            captured_at=snapshot.captured_at,
            captured_at_source=snapshot.captured_at_source,
            age_ms=round(snapshot.age_s * 1000),
            settled=snapshot.settled,
            tiers_tried=[
                TierAttemptForm(
                    tier=each.rank, name=each.name, reason=each.reason, ms=round(each.duration_s * 1000)
                )
                for each in snapshot.tiers_tried
            ],
            download_url=self.download_url("snapshots", snapshot.name),
        )

    def file(self, stored: StoredFile) -> FileForm:
        return FileForm(
            filename=stored.name,
            device=stored.camera,
            file_size=stored.size_bytes,
            modified_time=stored.modified_at,
            format=stored.format,
            download_url=self.download_url("snapshots", stored.name),
        )

    def snapshot_info(self, stored: StoredFile, size: tuple[int, int] | None) -> SnapshotInfo:
        return SnapshotInfo(
            filename=stored.name,
            device=stored.camera,
            file_size=stored.size_bytes,
            created_time=stored.modified_at,
            timestamp=stored.modified_at,
            resolution=f"{size[0]}x{size[1]}" if size else "",
            format=stored.format,
            file_path=str(stored.path),
            download_url=self.download_url("snapshots", stored.name),
        )


def _resolutions(camera: Camera) -> list[str]:
    return _words(f"{mode.width}x{mode.height}" for mode in camera.detected.modes)


def _control(control: Control) -> ControlForm:
    return ControlForm(
        name=control.name,
        kind=control.kind,
        minimum=control.minimum,
        maximum=control.maximum,
        step=control.step,
        default=control.default,
        value=control.value,
        choices={str(value): label for value, label in control.choices},
    )
