"""Recordings that an agent which was killed has left: gone on with, or closed."""

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
    """Once, at the start: each camera's last recording that was never ended goes on, unless its time is over.

    What does not go on is not left to the media server either, which records for as long as somebody watches.

    `recovered` returns when the media server answers again: that ends the pauses.
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
        """Look for them, then try each until it goes on or is closed; returns when all are."""
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
                if note.ended_at is None and note.camera in seen:  # there is a later one
                    await self._close(stored)
                elif note.ended_at is None:
                    tg.start_soon(self._bring_back, stored)
                elif note.camera not in seen and note.reason == ENDED_WITH_AGENT:
                    tg.start_soon(self._put_right, note.camera)
                seen.add(note.camera)

    async def _bring_back(self, stored: StoredRecording) -> None:
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not self._is_over(stored):
            try:
                await self._recordings.resume(self._paths.camera(stored.note.camera), stored)
            except InvalidState:
                break  # somebody has started another one meanwhile
            except Unsupported as error:
                _log.warning(
                    "not resumed: %s", error.details, extra={"fields": {"recording": stored.note.id}}
                )
                break  # as the agent is configured now it never will be
            except AgentError as error:
                _log.info(
                    "not resumed yet: %s", error.details, extra={"fields": {"recording": stored.note.id}}
                )
            else:
                _log.info("resumed", extra={"fields": {"recording": stored.note.id}})
                return
            await self._pause(pauses)
        await self._close(stored)
        await self._put_right(stored.note.camera)

    async def _put_right(self, camera: str) -> None:
        """Have the media server record what should be recorded now, which may be nothing.

        An agent that was killed told it nothing, and one that ended could wait only so long for its answer.
        """
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                await self._paths.ensure(self._paths.camera(camera))
            except Unsupported:
                return  # as the agent is configured now it has no path
            except AgentError as error:
                _log.debug("not put right yet: %s", error.details, extra={"fields": {"camera": camera}})
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
        """Note that it has ended, with the last time that its files were written to."""
        note = stored.note.model_copy(update={"ended_at": stored.modified_at, "reason": "interrupted"})
        try:
            await self._store.threads.run(self._store.save, note)
            await self._store.threads.run(self._store.mend, stored)
        except AgentError as error:
            _log.error("%s %s", error.details, error.suggestion)
