"""Methods about recordings, and the wire form of recordings."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_core.api.examples import recordings as examples
from agent_core.api.schema import recordings as wire
from agent_core.api.schema.params import Deleted, DeviceParams, ListParams, NameParams
from agent_core.auth.links import DownloadLinks, DownloadUrl
from agent_core.auth.roles import Role
from agent_core.base.errors import DependencyFailed, InvalidState, NotFound, Unsupported
from agent_core.base.events import Stamp
from agent_core.controller import Controller
from agent_core.recordings.models import (
    ListedRecording,
    RecordingDetails,
    RecordingEvent,
    RecordingState,
    Stopped,
    StoredRecording,
)
from agent_core.rpc.table import Caller, Method

__all__ = ("recording_event_form", "recording_methods", "recording_update_form")

#: Names of changes that differ from the state that they lead to.
_CHANGES = {RecordingState.RECORDING: "STARTED", RecordingState.STARTING: "STARTED"}


def recording_event_form(event: RecordingEvent, stamp: Stamp) -> wire.RecordingEventForm:
    """Return the parameters of a notification whose status names the change: started, stopped, failed."""
    return _event_form(event, _CHANGES.get(event.state, event.state.value), stamp)


def recording_update_form(event: RecordingEvent, stamp: Stamp) -> wire.RecordingEventForm:
    """Return the parameters of a notification whose status names the state."""
    return _event_form(event, event.state.value, stamp)


def _event_form(event: RecordingEvent, status: str, stamp: Stamp) -> wire.RecordingEventForm:
    return wire.RecordingEventForm(
        device=event.camera,
        status=status,
        filename=event.recording,
        duration=round(event.duration_s, 3),
        reason=event.reason or None,
        timestamp=stamp.at,
        sequence=stamp.sequence,
    )


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about recordings."""

    controller: Controller
    links: DownloadLinks

    async def start_recording(
        self, params: wire.StartRecordingParams, caller: Caller
    ) -> wire.RecordingStarted:
        started = await self.controller.start_recording(
            params.device, duration_s=params.duration, form=params.recording_format, wait=params.wait
        )
        return wire.RecordingStarted(
            device=started.note.camera,
            filename=started.note.id,
            status="STARTING" if started.state is RecordingState.STARTING else "RECORDING",
            start_time=started.note.started_at,
            format=started.note.format,
            duration=params.duration,
            auto_stop=params.duration is not None,
            notes=list(started.notes) or None,
        )

    async def stop_recording(self, params: DeviceParams, caller: Caller) -> wire.RecordingStopped:
        return _stopped(await self.controller.stop_recording(params.device))

    async def list_recordings(self, params: ListParams, caller: Caller) -> wire.RecordingFileList:
        page = await self.controller.list_recordings(params.device, offset=params.offset, limit=params.limit)
        download_url = self.links.offered_to(caller.user)
        return wire.RecordingFileList(
            files=[self._file(each, download_url) for each in page.items],
            total=page.total,
            limit=params.limit,
            offset=params.offset,
        )

    def _file(self, listed: ListedRecording, download_url: DownloadUrl) -> wire.RecordingFile:
        stored = listed.stored
        return wire.RecordingFile(
            filename=stored.note.id,
            device=stored.note.camera,
            file_size=stored.size_bytes,
            modified_time=stored.modified_at,
            duration=round(listed.duration_s, 3),
            format=stored.note.format,
            download_url=_url(stored, listed.duration_s, download_url),
            thumbnail_url=self._thumbnail_url(stored, listed.duration_s, download_url),
        )

    async def delete_recording(self, params: NameParams, caller: Caller) -> Deleted:
        deleted = await self.controller.delete_recording(params.filename)
        return Deleted(filename=deleted.note.id, message="The recording was deleted.")

    async def get_recording_info(self, params: NameParams, caller: Caller) -> wire.RecordingInfo:
        details = await self.controller.recording_info(params.filename)
        return self._info(details, self.links.offered_to(caller.user))

    def _info(self, details: RecordingDetails, download_url: DownloadUrl) -> wire.RecordingInfo:
        stored = details.stored
        return wire.RecordingInfo(
            filename=stored.note.id,
            device=stored.note.camera,
            file_size=stored.size_bytes,
            duration=round(sum(details.durations_s), 3),
            created_time=stored.note.started_at,
            format=stored.note.format,
            complete=details.is_complete,
            segments=_segment_files(details, download_url),
            reason=details.reason or None,
            download_url=_url(stored, sum(details.durations_s), download_url),
            thumbnail_url=self._thumbnail_url(stored, sum(details.durations_s), download_url),
        )

    def _thumbnail_url(
        self, stored: StoredRecording, duration_s: float, download_url: DownloadUrl
    ) -> str | None:
        has_one = duration_s > 0 and self.controller.has_recording_thumbnails()
        return download_url("thumbnails", f"recordings/{stored.note.id}.jpg") if has_one else None


def _url(stored: StoredRecording, duration_s: float, download_url: DownloadUrl) -> str | None:
    """Return the link for downloads; None without media, for which a download would answer 404."""
    return download_url("recordings", stored.note.whole_name) if duration_s > 0 else None


def _segment_files(details: RecordingDetails, download_url: DownloadUrl) -> list[wire.SegmentFile]:
    recording = details.stored.note.id
    return [
        wire.SegmentFile(
            filename=each.filename,
            file_size=each.file_size,
            duration=each.duration,
            download_url=download_url("recordings", f"{recording}/{each.filename}"),
        )
        for each in _segments(details.stored, details.durations_s)
    ]


def _segments(stored: StoredRecording, durations_s: Sequence[float]) -> list[wire.SegmentForm]:
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
        segments=_segments(stopped.stored, stopped.durations_s),
        reason=stopped.reason or None,
    )


def _control_methods(do: _Handlers) -> list[Method]:
    return [
        Method(
            "start_recording",
            Role.OPERATOR,
            "Start recording a camera.",
            wire.StartRecordingParams,
            wire.RecordingStarted,
            do.start_recording,
            errors=(NotFound, InvalidState, Unsupported, DependencyFailed),
            example=examples.start_recording,
        ),
        Method(
            "stop_recording",
            Role.OPERATOR,
            "Stop recording a camera.",
            DeviceParams,
            wire.RecordingStopped,
            do.stop_recording,
            errors=(NotFound, InvalidState, DependencyFailed),
            example=examples.stop_recording,
        ),
    ]


def _file_methods(do: _Handlers) -> list[Method]:
    return [
        Method(
            "list_recordings",
            Role.VIEWER,
            "List the stored recordings, newest first.",
            ListParams,
            wire.RecordingFileList,
            do.list_recordings,
            errors=(NotFound, DependencyFailed),
            example=examples.list_recordings,
        ),
        Method(
            "get_recording_info",
            Role.VIEWER,
            "Return one stored recording with its segments.",
            NameParams,
            wire.RecordingInfo,
            do.get_recording_info,
            errors=(NotFound, Unsupported, DependencyFailed),
            example=examples.get_recording_info,
        ),
        Method(
            "delete_recording",
            Role.ADMIN,
            "Delete a recording that has ended, with all its files.",
            NameParams,
            Deleted,
            do.delete_recording,
            errors=(NotFound, InvalidState, Unsupported, DependencyFailed),
            example=examples.delete_recording,
        ),
    ]


def recording_methods(controller: Controller, links: DownloadLinks) -> list[Method]:
    """Return the rows of the method table."""
    do = _Handlers(controller, links)
    return [*_control_methods(do), *_file_methods(do)]
