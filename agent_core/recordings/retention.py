"""Retention of recordings by age and number: a decision without I/O, and the loop that applies it."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, StorageFailed
from agent_core.base.models import CameraId
from agent_core.config import RecordingsConfig
from agent_core.recordings.models import StoredRecording
from agent_core.recordings.store import RecordingStore

__all__ = ("RecordingCleaner", "expired")

_log = logging.getLogger("camera_agent.retention")

#: Pause between two cleanups.
PAUSE_S = 900.0


def expired(
    recordings: Iterable[StoredRecording],
    *,
    now: datetime,
    max_age_s: float | None,
    max_count: int | None,
    in_use: Callable[[StoredRecording], bool],
) -> list[StoredRecording]:
    """Return the recordings to delete, oldest first.

    A recording is deleted when its newest file is older than `max_age_s`, or when its camera has `max_count` newer
    ones. A recording that is in use, or was never ended, is neither deleted nor counted.
    """
    finished = [each for each in recordings if each.note.ended_at is not None and not in_use(each)]
    newest_first = sorted(finished, key=lambda each: (each.note.started_at, each.note.id), reverse=True)
    counts: defaultdict[str, int] = defaultdict(int)
    gone = []
    for each in newest_first:
        counts[each.note.camera] += 1
        too_many = max_count is not None and counts[each.note.camera] > max_count
        too_old = max_age_s is not None and now - each.modified_at > timedelta(seconds=max_age_s)
        if too_many or too_old:
            gone.append(each)
    return gone[::-1]


class RecordingCleaner:
    """Deletes recordings that the configured limits exclude.

    Args:
        in_use: returns True for a recording under way.
    """

    def __init__(
        self,
        store: RecordingStore,
        *,
        settings: RecordingsConfig,
        in_use: Callable[[CameraId, str], bool],
        clock: Clock,
    ) -> None:
        self._store = store
        self._settings = settings
        self._in_use = in_use
        self._clock = clock

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Clean now and every quarter of an hour until cancelled; return at once if no limit is configured."""
        task_status.started()
        if self._settings.max_age_days is None and self._settings.max_count is None:
            return
        while True:
            try:
                await self.clean()
            except AgentError as error:
                _log.error("%s %s", error.details, error.suggestion)
            await self._clock.sleep(PAUSE_S)

    async def clean(self) -> list[str]:
        """Delete the expired recordings and return their ids; log each that cannot be deleted, and continue.

        Raises:
            StorageFailed: the folder cannot be read.
        """
        days = self._settings.max_age_days
        gone = expired(
            await self._store.all(),
            now=self._clock.now(),
            max_age_s=None if days is None else days * 86_400,
            max_count=self._settings.max_count,
            in_use=lambda each: self._in_use(CameraId(each.note.camera), each.note.id),
        )
        return [each.note.id for each in gone if await self._delete(each)]

    async def _delete(self, stored: StoredRecording) -> bool:
        try:
            await self._store.threads.run(self._store.delete, stored)
        except StorageFailed as error:
            _log.error("%s: %s %s", stored.note.id, error.details, error.suggestion)
            return False
        _log.info("deleted the recording %s", stored.note.id)
        return True
