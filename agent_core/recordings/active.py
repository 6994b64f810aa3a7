"""A recording under way, and its final files once the media server was told to stop."""

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, StorageFailed
from agent_core.base.models import CameraId
from agent_core.recordings.growth import Growth, Measured
from agent_core.recordings.models import RecordingEvent, RecordingNote, RecordingState, StoredRecording
from agent_core.recordings.problems import DISK_FULL, why_empty
from agent_core.recordings.segment_order import with_new
from agent_core.recordings.store import RecordingStore

__all__ = ("Active", "final_files", "why_cut_short")

_log = logging.getLogger("camera_agent.recordings")

#: A media server answers before it has closed the file: wait this long at most for the file to be final.
FINAL_LIMIT_S = 1.0
#: Pause between two looks at the file. A format without an end mark is final when two looks see the same size.
LOOK_S = 0.01


@dataclass
class Active:
    """A recording under way; its files determine `state` and `problem`.

    `decided` is set when it is no longer STARTING; `has_started` becomes True once media was recorded. `seen` are the
    names of the files at the last look, in the order in which they appeared; `flushed` is the newest one, if any, that
    the last flush wrote to the disk. `noted_s` is the monotonic time at which its files or its note last showed that
    the agent runs it. `is_withheld` is True while the media server was told not to record because the disk is not there.
    """

    note: RecordingNote
    growth: Growth
    noted_s: float
    state: RecordingState = RecordingState.STARTING
    problem: AgentError | None = None
    has_started: bool = False
    is_withheld: bool = False
    measured: Measured = field(default_factory=Measured)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    decided: anyio.Event = field(default_factory=anyio.Event)
    seen: tuple[str, ...] = ()
    flushed: tuple[str, ...] = ()

    @property
    def unflushed(self) -> tuple[str, ...]:
        """Names of the files that may have grown since the last flush: the newest one of then, and all after it."""
        known = [each for each in self.flushed if each in self.seen]
        return self.seen[self.seen.index(known[0]) :] if known else self.seen

    def notice(self, stored: StoredRecording) -> bool:
        """Take in the files of a look at the disk; return True if `note.order` has changed."""
        before = self.note.order
        order, self.seen = with_new(before, self.seen, stored.names)
        if order != before:
            self.note = self.note.model_copy(update={"order": order})
        return order != before

    def seen_by(self, clock: Clock) -> RecordingNote:
        """Return the note with the time as that at which the agent runs the recording, and the first picture's."""
        now, first_s = clock.now(), self.growth.first_sample_s
        first_at = None if first_s is None else now - timedelta(seconds=clock.monotonic_s() - first_s)
        return self.note.model_copy(update={"seen_at": now, "first_at": self.note.first_at or first_at})

    def event(self, reason: str = "") -> RecordingEvent:
        """Return the event that describes the current state."""
        return RecordingEvent(
            CameraId(self.note.camera), self.note.id, self.state, self.measured.duration_s, reason
        )


async def final_files(store: RecordingStore, active: Active, *, clock: Clock) -> StoredRecording:
    """Wait until the media server, already told to stop, has closed the files; repair and return them.

    If the disk cannot be read, return no segments and set `active.problem`.
    """
    try:
        stored = await _final_files(store, active, clock)
        return await store.threads.run(store.mend, stored)
    except StorageFailed as error:
        _log.warning("cannot read the recording's files: %s", error.details)
        active.problem = error
        return StoredRecording(active.note, store.folder(active.note), ())


async def _final_files(store: RecordingStore, active: Active, clock: Clock) -> StoredRecording:
    ends_s = clock.monotonic_s() + FINAL_LIMIT_S
    before: list[int] | None = None
    while True:
        stored = await store.threads.run(store.read, active.note)
        if active.notice(stored):
            stored = await store.threads.run(store.read, active.note)
        sizes = [each.size_bytes for each in stored.segments]
        if await store.threads.run(_is_finished, stored, sizes == before):
            # Read once more: the last part may have been written after the sizes were read.
            return await store.threads.run(store.read, active.note)
        if clock.monotonic_s() >= ends_s:
            return stored
        before = sizes
        await clock.sleep(LOOK_S)


def _is_finished(stored: StoredRecording, is_still: bool) -> bool:  # noqa: FBT001 - for run_sync
    if stored.is_last_empty:
        return False
    if not stored.segments or stored.segments[-1].path.suffix != ".mp4":
        return is_still
    from agent_core.media.fmp4 import is_finished

    return is_finished(stored.segments[-1].path)


def why_cut_short(
    store: RecordingStore, active: Active, stored: StoredRecording, problem: AgentError | None
) -> str:
    """Return the reason for media that is missing at the end, or altogether; empty if nothing is missing.

    `problem` is that of the stream. Blocks on the disk.
    """
    if active.problem is not None and (active.state is RecordingState.ERROR or not stored.segments):
        return active.problem.reason
    with suppress(StorageFailed):
        if store.is_full():
            return DISK_FULL
    return "" if stored.segments else why_empty(problem)
