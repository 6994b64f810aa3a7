"""Recordings that an agent which was killed has left: gone on with, or closed."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.cameras.registry import CameraRegistry
from agent_core.clock import Clock
from agent_core.errors import AgentError, InvalidState, Unsupported
from agent_core.first_of import first_of
from agent_core.pauses import GrowingPauses
from agent_core.recording_files import RecordingStore, StoredRecording
from agent_core.recordings import RecordingManager

__all__ = ("Resumption",)

_log = logging.getLogger("camera_agent.recordings")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0


class Resumption:
    """Once, at the start: each camera's last recording that was never ended goes on, unless its time is over.

    `recovered` returns when the media server answers again: that ends the pauses.
    """

    def __init__(
        self,
        recordings: RecordingManager,
        store: RecordingStore,
        cameras: CameraRegistry,
        *,
        recovered: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._recordings = recordings
        self._store = store
        self._cameras = cameras
        self._recovered = recovered
        self._clock = clock

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look for them, then try each until it goes on or is closed; returns when all are."""
        try:
            left = [each for each in await self._store.all() if each.note.ended_at is None]
        except AgentError as error:
            _log.error("%s %s", error.details, error.suggestion)
            left = []
        task_status.started()
        seen: set[str] = set()
        async with anyio.create_task_group() as tg:
            for stored in left:  # newest first
                if stored.note.camera in seen:
                    await self._close(stored)
                else:
                    tg.start_soon(self._bring_back, stored)
                seen.add(stored.note.camera)

    async def _bring_back(self, stored: StoredRecording) -> None:
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not self._is_over(stored):
            try:
                await self._recordings.resume(self._cameras.get(stored.note.camera), stored)
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
            await first_of(partial(self._clock.sleep, pauses.next_s()), self._recovered)
        await self._close(stored)

    def _is_over(self, stored: StoredRecording) -> bool:
        duration_s = stored.note.duration_s
        age_s = (self._clock.now() - stored.note.started_at).total_seconds()
        return duration_s is not None and age_s >= duration_s

    async def _close(self, stored: StoredRecording) -> None:
        note = stored.note.model_copy(update={"ended_at": stored.modified_at, "reason": "interrupted"})
        try:
            await anyio.to_thread.run_sync(self._store.save, note)
        except AgentError as error:
            _log.error("%s %s", error.details, error.suggestion)
