"""The methods about recordings."""

from collections.abc import Callable
from dataclasses import dataclass

from agent_core.api.schema import recordings as wire
from agent_core.api.schema.params import DeviceParams, ListParams, NameParams
from agent_core.auth.roles import Role
from agent_core.base.errors import InvalidState, StorageFailed, Unsupported
from agent_core.base.models import CameraId
from agent_core.controller import Controller
from agent_core.recordings.active import Active
from agent_core.recordings.models import ListedRecording, Stopped, StoredRecording
from agent_core.rpc.table import Caller, Method

__all__ = ("recording_methods",)


@dataclass(frozen=True)
class _Handlers:
    controller: Controller
    download_url: Callable[[str, str], str]

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
        return _stopped(await self.controller.recordings.stop(camera.id))

    async def list_recordings(self, params: ListParams, caller: Caller) -> wire.RecordingFileList:
        camera = self.controller.cameras.get(params.device).id if params.device else None
        page = await self.controller.recording_files.page(camera, offset=params.offset, limit=params.limit)
        return wire.RecordingFileList(
            files=[self._file(each) for each in page.items],
            total=page.total,
            limit=params.limit,
            offset=params.offset,
        )

    def _file(self, listed: ListedRecording) -> wire.RecordingFile:
        stored = listed.stored
        return wire.RecordingFile(
            filename=stored.note.id,
            device=stored.note.camera,
            file_size=stored.size_bytes,
            modified_time=stored.modified_at,
            duration=round(listed.duration_s, 3),
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
            segments=_segments(stored, durations_s),
            reason=stored.note.reason or _going_wrong(active if going_on else None),
            download_url=self.download_url("recordings", stored.note.id),
        )


def _going_wrong(active: Active | None) -> str | None:
    return active.problem.reason if active and active.problem and active.state.value == "ERROR" else None


def _segments(stored: StoredRecording, durations_s: list[float]) -> list[wire.SegmentForm]:
    return [
        wire.SegmentForm(filename=each.name, file_size=each.size_bytes, duration=round(duration_s, 3))
        for each, duration_s in zip(stored.segments, durations_s, strict=True)
    ]


def _stopped(stopped: Stopped) -> wire.RecordingStopped:
    note = stopped.stored.note
    return wire.RecordingStopped(
        device=note.camera,
        filename=note.id,
        start_time=note.started_at,
        end_time=stopped.ended_at,
        duration=round(sum(stopped.durations_s)),
        file_size=stopped.stored.size_bytes,
        format=note.format,
        segments=_segments(stopped.stored, list(stopped.durations_s)),
        reason=stopped.reason or None,
    )


def recording_methods(controller: Controller, *, download_url: Callable[[str, str], str]) -> list[Method]:
    """The rows of the method table."""
    do = _Handlers(controller, download_url)
    viewer, operator = Role.VIEWER, Role.OPERATOR
    return [
        Method(
            "start_recording",
            operator,
            "Start recording a camera.",
            wire.StartRecordingParams,
            wire.RecordingStarted,
            do.start_recording,
            errors=(InvalidState, StorageFailed, Unsupported),
        ),
        Method(
            "stop_recording",
            operator,
            "Stop recording a camera.",
            DeviceParams,
            wire.RecordingStopped,
            do.stop_recording,
            errors=(InvalidState,),
        ),
        Method(
            "list_recordings",
            viewer,
            "The stored recordings, newest first.",
            ListParams,
            wire.RecordingFileList,
            do.list_recordings,
        ),
        Method(
            "get_recording_info",
            viewer,
            "One stored recording.",
            NameParams,
            wire.RecordingInfo,
            do.get_recording_info,
        ),
    ]
