"""Retention of recordings by age and number: a decision without I/O, and the loop that applies it."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, StorageFailed
from agent_core.base.events import Event, EventBus
from agent_core.base.models import CameraId
from agent_core.base.waiting import first_of
from agent_core.config import RecordingsConfig
from agent_core.recordings.clock_trust import FIRST_VERSION, STEADY_S, ClockTrust
from agent_core.recordings.models import RecordingNote, StoredRecording
from agent_core.recordings.store import RecordingStore

__all__ = ("RecordingCleaner", "contradiction", "expired")

_log = logging.getLogger("camera_agent.retention")

#: Follows the reason for which nothing is deleted.
_SUSPENDED = f"No recording is deleted until the clock is right, or has run for {STEADY_S / 3600:.0f} hours without a step."
#: Pause between two cleanups, unless a recording ends.
PAUSE_S = 900.0
#: A note may be this much later than now without doubt about the clock.
_AHEAD = timedelta(seconds=60)


def _noted_at(note: RecordingNote) -> datetime:
    """Return the newest time in the note, from which a recording's age counts."""
    return max(note.started_at, note.ended_at or note.started_at)


def expired(
    recordings: Iterable[StoredRecording],
    *,
    now: datetime,
    max_age_s: float | None,
    max_count: int | None,
    in_use: Callable[[StoredRecording], bool],
) -> list[StoredRecording]:
    """Return the recordings to delete, oldest first.

    A recording is deleted when the newest time in its note is older than `max_age_s`, or when its camera has
    `max_count` newer ones. One from the future was made before the clock was put right, so it counts as older than the
    others. A recording that is in use, or was never ended, is neither deleted nor counted.
    """
    finished = [each for each in recordings if each.note.ended_at is not None and not in_use(each)]
    newest_first = sorted(
        finished,
        key=lambda each: (_noted_at(each.note) <= now + _AHEAD, each.note.started_at, each.note.id),
        reverse=True,
    )
    counts: defaultdict[str, int] = defaultdict(int)
    gone = []
    for each in newest_first:
        counts[each.note.camera] += 1
        too_many = max_count is not None and counts[each.note.camera] > max_count
        if too_many or (max_age_s is not None and _is_older(each.note, now, max_age_s)):
            gone.append(each)
    return gone[::-1]


def _is_older(note: RecordingNote, now: datetime, max_age_s: float) -> bool:
    at = _noted_at(note)
    return at >= FIRST_VERSION and now - at > timedelta(seconds=max_age_s)


def contradiction(
    recordings: Sequence[StoredRecording], gone: Sequence[StoredRecording], *, now: datetime
) -> str:
    """Return a sentence if the recordings say that the clock is wrong, else ""."""
    finished = [each for each in recordings if each.note.ended_at is not None]
    if any(_noted_at(each.note) > now + _AHEAD for each in finished):
        return "The clock is behind the time of a recording."
    if gone and len(gone) == len(finished):
        return "By the clock, every recording is too old."
    return ""


class RecordingCleaner:
    """Deletes recordings that the configured limits exclude, while the clock is trusted.

    Args:
        in_use: returns True for a recording under way.
        trust: judges the clock before each deletion.
        events: a `recording.stop` on it starts a cleanup.
        tell: called with a sentence when deletion is suspended, and with "" when it goes on.
    """

    def __init__(
        self,
        store: RecordingStore,
        *,
        settings: RecordingsConfig,
        in_use: Callable[[CameraId, str], bool],
        trust: ClockTrust,
        events: EventBus,
        tell: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._settings = settings
        self._in_use = in_use
        self._trust = trust
        self._events = events
        self._tell = tell
        self._clock = clock
        self._problem = ""

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Clean now, when a recording ends and every quarter of an hour; return at once if no limit is configured."""
        task_status.started()
        if self._settings.max_age_days is None and self._settings.max_count is None:
            return
        with self._events.subscribe(_is_end, capacity=1) as ends:
            while True:
                try:
                    await self.clean()
                except AgentError as error:
                    _log.error("%s %s", error.details, error.suggestion)
                await first_of(partial(self._clock.sleep, PAUSE_S), ends.receive)

    async def clean(self) -> list[str]:
        """Delete the expired recordings and return their ids; log each that cannot be deleted, and continue.

        Deletes nothing while the clock is doubted.

        Raises:
            StorageFailed: the folder cannot be read.
        """
        days = self._settings.max_age_days
        recordings = await self._store.all()
        now = self._clock.now()
        gone = expired(
            recordings,
            now=now,
            max_age_s=None if days is None else days * 86_400,
            max_count=self._settings.max_count,
            in_use=lambda each: self._in_use(CameraId(each.note.camera), each.note.id),
        )
        doubt = contradiction(recordings, gone, now=now)
        self._note(await self._store.threads.run(self._trust.judge, doubt))
        if self._problem:
            return []
        return [each.note.id for each in gone if await self._delete(each)]

    def _note(self, problem: str) -> None:
        """Log and tell that deletion is suspended, or goes on, once each."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem:
            problem = f"{problem} {_SUSPENDED}"
            _log.warning("%s", problem)
        else:
            _log.info("the clock is trusted: old recordings are deleted again")
        self._tell(problem)

    async def _delete(self, stored: StoredRecording) -> bool:
        try:
            await self._store.threads.run(self._store.delete, stored)
        except StorageFailed as error:
            _log.error("%s: %s %s", stored.note.id, error.details, error.suggestion)
            return False
        _log.info("deleted the recording %s", stored.note.id)
        return True


def _is_end(event: Event) -> bool:
    return event.topic == "recording.stop"
