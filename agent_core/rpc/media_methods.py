"""The methods about streams and recordings."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agent_core.controller import Controller
from agent_core.errors import InvalidState, StorageFailed, Unsupported
from agent_core.models import CameraId
from agent_core.recording_files import StoredRecording
from agent_core.rpc import media_models as wire
from agent_core.rpc.forms import Forms
from agent_core.rpc.media_forms import going_wrong, is_published, segments, stopped
from agent_core.rpc.models import DeviceParams, ListParams, NameParams, NoParams
from agent_core.rpc.roles import Role
from agent_core.rpc.table import Caller, Method
from agent_core.streams import StreamState

__all__ = ("media_methods",)


@dataclass(frozen=True)
class _Handlers:
    controller: Controller
    forms: Forms
    download_url: Callable[[str, str], str]
    auto_close_after_s: float
    started: dict[tuple[str, CameraId], datetime]

    # Recordings.

    async def start_recording(
        self, params: wire.StartRecordingParams, caller: Caller
    ) -> wire.RecordingStarted:
        camera = self.controller.cameras.get(params.device)
        active = await self.controller.recordings.start(
            camera, duration_s=params.duration, form=params.recording_format, wait=params.wait
        )
        return wire.RecordingStarted(
            device=camera.id,
            filename=active.note.id,
            status="STARTING" if active.state.value == "STARTING" else "RECORDING",
            start_time=active.note.started_at,
            format=active.note.format,
            duration=params.duration,
            auto_stop=params.duration is not None,
        )

    async def stop_recording(self, params: DeviceParams, caller: Caller) -> wire.RecordingStopped:
        camera = self.controller.cameras.get(params.device)
        return stopped(await self.controller.recordings.stop(camera.id))

    async def list_recordings(self, params: ListParams, caller: Caller) -> wire.RecordingFileList:
        camera = self.controller.cameras.get(params.device).id if params.device else None
        found = await self.controller.recording_files.all(camera)
        page = found[params.offset : params.offset + params.limit]
        return wire.RecordingFileList(
            files=[await self._file(stored) for stored in page],
            total=len(found),
            limit=params.limit,
            offset=params.offset,
        )

    async def _file(self, stored: StoredRecording) -> wire.RecordingFile:
        return wire.RecordingFile(
            filename=stored.note.id,
            device=stored.note.camera,
            file_size=stored.size_bytes,
            modified_time=stored.modified_at,
            duration=round(await self.controller.recording_files.duration_s(stored), 3),
            format=stored.note.format,
            download_url=self.download_url("recordings", stored.note.id),
        )

    async def get_recording_info(self, params: NameParams, caller: Caller) -> wire.RecordingInfo:
        stored = await self.controller.recording_files.find(params.filename)
        durations_s = await self.controller.recording_files.durations_s(stored)
        active = self.controller.recordings.active(CameraId(stored.note.camera))
        going_on = active is not None and active.note.id == stored.note.id
        return wire.RecordingInfo(
            filename=stored.note.id,
            device=stored.note.camera,
            file_size=stored.size_bytes,
            duration=round(sum(durations_s), 3),
            created_time=stored.note.started_at,
            format=stored.note.format,
            complete=stored.note.ended_at is not None and not going_on,
            segments=segments(stored, durations_s),
            reason=stored.note.reason or going_wrong(active if going_on else None),
            download_url=self.download_url("recordings", stored.note.id),
        )

    # Streams.

    async def start_streaming(self, params: DeviceParams, caller: Caller) -> wire.StreamStarted:
        camera = self.controller.cameras.get(params.device)
        holder = f"session:{caller.session.id}"
        streams = self.controller.streams
        publisher = streams.command(camera)
        await streams.ensure(camera)
        streams.acquire(camera.id, holder)
        caller.session.on_close(holder + camera.id, lambda: self._release(camera.id, holder))
        try:
            await streams.wait_live(camera.id)
        except BaseException:
            self._release(camera.id, holder)
            raise
        now = self.started.setdefault((holder, camera.id), self.controller.clock.now())
        return wire.StreamStarted(
            device=camera.id,
            stream_name=camera.id,
            stream_url=self.forms.streams(camera).rtsp,
            start_time=now,
            auto_close_after=self.auto_close_after_s,
            ffmpeg_command=publisher.redacted if publisher else "",
        )

    def _release(self, camera: CameraId, holder: str) -> bool:
        self.started.pop((holder, camera), None)
        return self.controller.streams.release(camera, holder)

    async def stop_streaming(self, params: DeviceParams, caller: Caller) -> wire.StreamStopped:
        camera = self.controller.cameras.get(params.device)
        holder = f"session:{caller.session.id}"
        if not self.controller.streams.has_lease(camera.id, holder):
            raise InvalidState(
                f"This connection does not stream {camera.id}.",
                state="INACTIVE",
                allowed_states=("ACTIVE", "STARTING"),
                reason="not_streaming",
                suggestion="Only the connection that called start_streaming can end its own hold.",
            )
        ended_at = self.controller.clock.now()
        started_at = self.started.get((holder, camera.id), ended_at)
        continues = self._release(camera.id, holder)
        path = await self.controller.streams.runtime(camera.id)
        return wire.StreamStopped(
            device=camera.id,
            stream_name=camera.id,
            start_time=started_at,
            end_time=ended_at,
            duration=round((ended_at - started_at).total_seconds(), 3),
            stream_continues=continues or self.controller.streams.viewers(path) > 0,
        )

    async def get_stream_url(self, params: DeviceParams, caller: Caller) -> wire.StreamUrlForm:
        camera = self.controller.cameras.get(params.device)
        path = await self.controller.streams.runtime(camera.id)
        if path is None and camera.media_input is not None:
            await self.controller.streams.ensure(camera)  # so that the address that is answered opens
        state, _ = self.controller.streams.state(camera.id)
        live = path is not None and path.live
        failed = state is StreamState.ERROR and not live
        return wire.StreamUrlForm(
            device=camera.id,
            stream_name=camera.id,
            stream_url=self.forms.streams(camera).rtsp,
            available=live,
            active_consumers=self.controller.streams.viewers(path),
            stream_status="READY" if live else "ERROR" if failed else "NOT_READY",
        )

    async def get_stream_status(self, params: DeviceParams, caller: Caller) -> wire.StreamStatusForm:
        camera = self.controller.cameras.get(params.device)
        path = await self.controller.streams.runtime(camera.id)
        state, problem = self.controller.streams.state(camera.id)
        live = path is not None and path.live
        return wire.StreamStatusForm(
            device=camera.id,
            stream_name=camera.id,
            status="ACTIVE" if live else state.value if state is not StreamState.ACTIVE else "STARTING",
            ready=live,
            ffmpeg_process=wire.FfmpegProcess(
                running=live and is_published(camera, path), pid=None, uptime=None
            ),
            mediamtx_path=wire.PathForm(
                exists=path is not None, ready=live, readers=self.controller.streams.viewers(path)
            ),
            metrics=wire.StreamMetrics(
                bytes_sent=path.outbound_bytes if path else 0,
                frames_sent=None,
                bitrate=None,
                fps=camera.detected.fps if live else None,
            ),
            start_time=path.live_since if path else None,
            reason=problem.reason if problem and not live else None,
        )

    async def get_streams(self, params: NoParams, caller: Caller) -> list[wire.StreamEntry]:
        return [
            wire.StreamEntry(
                name=path.name,
                source=path.source.type if path.source else None,
                ready=path.live,
                readers=self.controller.streams.viewers(path),
                bytes_sent=path.outbound_bytes,
            )
            for path in await self.controller.streams.all_runtime()
        ]


def media_methods(
    controller: Controller,
    forms: Forms,
    *,
    download_url: Callable[[str, str], str],
    auto_close_after_s: float,
) -> list[Method]:
    """The rows of the method table."""
    do = _Handlers(controller, forms, download_url, auto_close_after_s, {})
    return [*_recording_methods(do), *_stream_methods(do)]


def _recording_methods(do: _Handlers) -> list[Method]:
    return [
        Method(
            *("start_recording", Role.OPERATOR, "Start recording a camera."),
            wire.StartRecordingParams,
            wire.RecordingStarted,
            do.start_recording,
            errors=(InvalidState, StorageFailed, Unsupported),
        ),
        Method(
            *("stop_recording", Role.OPERATOR, "Stop recording a camera."),
            DeviceParams,
            wire.RecordingStopped,
            do.stop_recording,
            errors=(InvalidState,),
        ),
        Method(
            *("list_recordings", Role.VIEWER, "The stored recordings, newest first."),
            ListParams,
            wire.RecordingFileList,
            do.list_recordings,
        ),
        Method(
            *("get_recording_info", Role.VIEWER, "One stored recording."),
            NameParams,
            wire.RecordingInfo,
            do.get_recording_info,
        ),
    ]


def _stream_methods(do: _Handlers) -> list[Method]:
    return [
        Method(
            *("start_streaming", Role.OPERATOR, "Hold a live stream for this connection."),
            DeviceParams,
            wire.StreamStarted,
            do.start_streaming,
            errors=(Unsupported,),
        ),
        Method(
            *("stop_streaming", Role.OPERATOR, "End this connection's hold on a live stream."),
            DeviceParams,
            wire.StreamStopped,
            do.stop_streaming,
            errors=(InvalidState,),
        ),
        Method(
            *("get_stream_url", Role.VIEWER, "Where a camera's stream is."),
            DeviceParams,
            wire.StreamUrlForm,
            do.get_stream_url,
            errors=(Unsupported,),
        ),
        Method(
            *("get_stream_status", Role.VIEWER, "How a camera's stream is."),
            DeviceParams,
            wire.StreamStatusForm,
            do.get_stream_status,
            omit_none=False,
            errors=(Unsupported,),
        ),
        Method(
            *("get_streams", Role.VIEWER, "All streams of the media server."),
            NoParams,
            list[wire.StreamEntry],
            do.get_streams,
            omit_none=False,
            errors=(Unsupported,),
        ),
    ]
