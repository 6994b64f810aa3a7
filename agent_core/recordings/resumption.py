"""Resumption of recordings that a killed agent left unfinished: each is continued or closed."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, InvalidState, Unsupported
from agent_core.base.waiting import GrowingPauses, first_of
from agent_core.recordings.manager import ENDED_WITH_AGENT, RecordingManager
from agent_core.recordings.models import StoredRecording
from agent_core.recordings.store import RecordingStore
from agent_core.streams import CameraPaths

__all__ = ("Resumption",)

_log = logging.getLogger("camera_agent.recordings")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0


class Resumption:
    """Continues, once at start, each camera's last unfinished recording, unless its duration has passed.

    Closes the other unfinished ones, and tells the media server to stop them: it would record for as long as
    the stream has readers.

    Args:
        recovered: returns when the media server answers again, which ends a pause between attempts.
    """

    def __init__(
        self,
        recordings: RecordingManager,
        store: RecordingStore,
        paths: CameraPaths,
        *,
        recovered: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._recordings = recordings
        self._store = store
        self._paths = paths
        self._recovered = recovered
        self._clock = clock

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Find the unfinished recordings and try each until it continues or is closed; return when all are done."""
        try:
            known = await self._store.all()
        except AgentError as error:
            _log.error("%s %s", error.details, error.suggestion)
            known = []
        task_status.started()
        seen: set[str] = set()
        async with anyio.create_task_group() as tg:
            for stored in known:  # newest first
                note = stored.note
                if note.ended_at is None and note.camera in seen:  # the camera has a later one
                    await self._close(stored)
                elif note.ended_at is None:
                    tg.start_soon(self._bring_back, stored)
                elif note.camera not in seen and note.reason == ENDED_WITH_AGENT:
                    tg.start_soon(self._correct_path, note.camera)
                seen.add(note.camera)

    async def _bring_back(self, stored: StoredRecording) -> None:
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not self._is_over(stored):
            try:
                await self._recordings.resume(self._paths.camera(stored.note.camera), stored)
            except InvalidState:
                break  # a client has started another one meanwhile
            except Unsupported as error:
                _log.warning(
                    "not resumed: %s", error.details, extra={"fields": {"recording": stored.note.id}}
                )
                break  # impossible with the current configuration
            except AgentError as error:
                _log.info(
                    "not resumed yet: %s", error.details, extra={"fields": {"recording": stored.note.id}}
                )
            else:
                _log.info("resumed", extra={"fields": {"recording": stored.note.id}})
                return
            await self._pause(pauses)
        await self._close(stored)
        await self._correct_path(stored.note.camera)

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

    def _is_over(self, stored: StoredRecording) -> bool:
        duration_s = stored.note.duration_s
        age_s = (self._clock.now() - stored.note.started_at).total_seconds()
        return duration_s is not None and age_s >= duration_s

    async def _close(self, stored: StoredRecording) -> None:
        """Save the note with the time of the last write to the files as the end."""
        note = stored.note.model_copy(update={"ended_at": stored.modified_at, "reason": "interrupted"})
        try:
            await self._store.threads.run(self._store.save, note)
            await self._store.threads.run(self._store.mend, stored)
        except AgentError as error:
            _log.error("%s %s", error.details, error.suggestion)
