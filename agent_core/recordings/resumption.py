"""Resumption of recordings that an earlier run of the agent left unfinished: each is continued or closed."""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, InvalidState, NotFound, Unsupported
from agent_core.base.models import CameraId
from agent_core.base.waiting import GrowingPauses, first_of
from agent_core.recordings.manager import ENDED_WITH_AGENT, RecordingManager
from agent_core.recordings.models import StoredRecording
from agent_core.recordings.newest import newest
from agent_core.recordings.store import RecordingStore
from agent_core.recordings.unfinished import INTERRUPTED
from agent_core.streams import CameraPaths

__all__ = ("Resumption",)

_log = logging.getLogger("camera_agent.recordings")

#: Reason of a recording that could not continue within `recordings.resume_within_s`.
NOT_RESUMED = "resume_timed_out"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0


class Resumption:
    """Continues, once at start, each camera's last unfinished recording.

    Closes one whose duration has passed, or that could not continue within `within_s` of its interruption. Closes the
    other unfinished ones, and tells the media server to stop them: it would record for as long as
    the stream has readers.

    Args:
        within_s: seconds since the interruption within which a recording still continues.
        recovered: returns when the media server answers again, which ends a pause between attempts.
        open_files: returns camera and id of each recording without an end, as the index knows them; None if there is
            no index. May wait for the index. Default: there is none.
    """

    def __init__(
        self,
        recordings: RecordingManager,
        store: RecordingStore,
        paths: CameraPaths,
        *,
        within_s: float,
        recovered: Callable[[], Awaitable[None]],
        open_files: Callable[[], Awaitable[Sequence[tuple[CameraId, str]] | None]] | None = None,
        clock: Clock,
    ) -> None:
        self._open_files = open_files
        self._recordings = recordings
        self._store = store
        self._paths = paths
        self._within_s = within_s
        self._recovered = recovered
        self._clock = clock

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Find the unfinished recordings and try each until it continues or is closed; return when all are done."""
        found = await self._newest(logging.ERROR)
        task_status.started()
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while found is None:  # the disk may not be there yet
            await self._pause(pauses)
            found = await self._newest(logging.DEBUG)
        known, are_all = found
        self._recordings.expect(*self._to_continue(known))
        seen: set[str] = set()
        async with anyio.create_task_group() as tg:
            for stored in known:  # newest first
                note = stored.note
                if self._is_under_way(stored):
                    pass  # a client has started it meanwhile
                elif note.ended_at is None and note.camera in seen:  # the camera has a later one
                    await self._close(stored, INTERRUPTED)
                elif note.ended_at is None:
                    tg.start_soon(self._bring_back, stored)
                elif note.camera not in seen and note.reason == ENDED_WITH_AGENT:
                    tg.start_soon(self._correct_path, note.camera)
                seen.add(note.camera)
            if not are_all:
                tg.start_soon(self._close_older, {stored.note.id for stored in known})

    def _to_continue(self, known: Sequence[StoredRecording]) -> list[StoredRecording]:
        """Return each camera's latest recording if it is unfinished; `known` are newest first."""
        latest = {stored.note.camera: stored for stored in reversed(known)}
        return [
            each for each in latest.values() if each.note.ended_at is None and not self._is_under_way(each)
        ]

    async def _newest(self, level: int) -> tuple[list[StoredRecording], bool] | None:
        """Return the newest recordings as `newest.newest`; None if they cannot be read, which is logged at `level`."""
        try:
            return await newest(self._store)
        except AgentError as error:
            _log.log(level, "%s %s", error.details, error.suggestion)
            return None

    async def _close_older(self, known: Collection[str]) -> None:
        """Close the unfinished recordings that are not `known`, each of which has many later ones."""
        for stored in await self._older():
            is_over = stored.note.ended_at is None and not self._is_under_way(stored)
            if is_over and stored.note.id not in known:
                await self._close(stored, INTERRUPTED)

    async def _older(self) -> list[StoredRecording]:
        """Return the unfinished recordings, and others; none if they cannot be read, which is logged."""
        found: list[StoredRecording] = []
        try:
            files = await self._open_files() if self._open_files else None
            if files is None:
                return await self._store.all(keep=lambda stored: stored.note.ended_at is None)
            for _, recording in files:
                with suppress(NotFound):
                    found.append(await self._store.find(recording))
        except AgentError as error:
            _log.error("%s %s", error.details, error.suggestion)
        return found

    def _is_under_way(self, stored: StoredRecording) -> bool:
        active = self._recordings.active(CameraId(stored.note.camera))
        return active is not None and active.note.id == stored.note.id

    async def _bring_back(self, stored: StoredRecording) -> None:
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not (reason := self._why_over(stored)):
            try:
                await self._recordings.resume(self._paths.camera(stored.note.camera), stored)
            except InvalidState:
                reason = INTERRUPTED  # a client has stopped it, or started another one meanwhile
                break
            except Unsupported as error:  # impossible with the current configuration
                self._log_refusal("not resumed", stored, error)
                reason = error.reason
                break
            except AgentError as error:
                self._log_refusal("not resumed yet", stored, error)
            else:
                _log.info("resumed", extra={"fields": {"recording": stored.note.id}})
                return
            await self._pause(pauses)
        await self._close(stored, reason)
        await self._correct_path(stored.note.camera)

    def _log_refusal(self, what: str, stored: StoredRecording, error: AgentError) -> None:
        level = logging.WARNING if isinstance(error, Unsupported) else logging.INFO
        _log.log(level, "%s: %s", what, error.details, extra={"fields": {"recording": stored.note.id}})

    async def _correct_path(self, camera: str) -> None:
        """Set the camera's path as it should be now, so that the media server stops a recording of the past.

        A killed agent told the server nothing; an agent that ended waited for its answer only for a limited time.
        """
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                await self._paths.ensure(self._paths.camera(camera))
            except Unsupported:
                return  # the camera has no path with the current configuration
            except AgentError as error:
                _log.debug(
                    "the path is not corrected yet: %s", error.details, extra={"fields": {"camera": camera}}
                )
            else:
                return
            await self._pause(pauses)

    async def _pause(self, pauses: GrowingPauses) -> None:
        await first_of(partial(self._clock.sleep, pauses.next_s()), self._recovered)

    def _why_over(self, stored: StoredRecording) -> str:
        """Return the reason to close the recording; empty while it may continue."""
        note, now = stored.note, self._clock.now()
        age_s = (now - (note.first_at or note.started_at)).total_seconds()
        is_due = note.duration_s is not None and age_s >= note.duration_s
        if is_due and stored.segments:  # the duration counts from the first picture
            return INTERRUPTED
        if (now - stored.interrupted_at).total_seconds() > self._within_s:
            return NOT_RESUMED
        return ""

    async def _close(self, stored: StoredRecording, reason: str) -> None:
        try:
            await self._recordings.close(stored, reason=reason)
        except AgentError as error:
            _log.error("%s %s", error.details, error.suggestion)
