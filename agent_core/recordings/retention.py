"""Retention of recordings and snapshots: the policy in force, and the loop that applies it."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import StorageFailed
from agent_core.base.events import Event, EventBus
from agent_core.base.waiting import first_of
from agent_core.base.workers import WorkerPool
from agent_core.media.retention import (
    Cleaned,
    Limits,
    MediaCleaner,
    Plan,
    PolicyFile,
    RetentionPolicy,
    planned,
)
from agent_core.media.retention.limits import AHEAD, age_limit, is_expired
from agent_core.recordings.clock_trust import STEADY_S, ClockTrust
from agent_core.recordings.models import Cleanup, RecordingNote
from agent_core.recordings.stock import noted_at

__all__ = ("Retention", "Told", "contradiction")

_log = logging.getLogger("camera_agent.retention")

#: Follows the reason for which nothing is deleted by age.
_SUSPENDED = f"Nothing is deleted by age until the clock is right, or has run for {STEADY_S / 3600:.0f} hours without a step."
#: Pause between two cleanups by all limits.
PAUSE_S = 900.0
#: Pause between two looks at the total size, while it is limited: a recording under way grows.
WATCH_S = 15.0
#: Pause between two attempts while the index is not settled; and the time after which the folders are read instead.
RETRY_S, PATIENCE_S = 2.0, 60.0
#: The same time for an administrator who waits for the answer.
ASKED_PATIENCE_S = 10.0
#: Longest wait of a new policy for the last step of a cleanup by the one before.
LAST_STEP_S = 5.0
#: Events after which a number or a size may be passed.
_TOPICS = frozenset({"recording.stop", "snapshot.taken"})


def contradiction(newest: Iterable[RecordingNote], *, now: datetime, max_age_s: float) -> str:
    """Return a sentence if the newest recordings say that the clock is wrong, else ""."""
    finished = [noted_at(each) for each in newest if each.ended_at is not None]
    if any(at > now + AHEAD for at in finished):
        return "The clock is behind the time of a recording."
    limit = age_limit(now, max_age_s)
    if finished and all(is_expired(at, limit) for at in finished):
        return "By the clock, every recording is too old."
    return ""


@dataclass(frozen=True, slots=True)
class Told:
    """Receivers of what an operator should know; each gets a sentence, or "" when it is over.

    Args:
        clock: deletion by age is suspended.
        policy: the stored policy cannot be read.
        failure: old files cannot be deleted, so that limits do not hold.
    """

    clock: Callable[[str], None]
    policy: Callable[[str], None]
    failure: Callable[[str], None]


class Retention:
    """Deletes stored media by the policy, or else by the configured limits: at once where these are passed, and on schedule.

    A doubted clock suspends deletion by age only: the order of files, which decides for the other limits, stays right
    when all times are wrong by the same amount, and a full disk stops all recordings.

    Args:
        cleaner: deletes what a plan excludes.
        configured: limits of the configuration, by kind.
        file: keeps the policy.
        trust: judges the clock before each deletion by age.
        newest: returns the notes of the newest recordings; used until the clock was trusted once.
        events: a `recording.stop` or `snapshot.taken` on it starts a cleanup.
    """

    def __init__(
        self,
        cleaner: MediaCleaner,
        *,
        configured: Mapping[str, Limits],
        file: PolicyFile,
        trust: ClockTrust,
        newest: Callable[[], Awaitable[Sequence[RecordingNote]]],
        events: EventBus,
        told: Told,
        clock: Clock,
    ) -> None:
        self._cleaner = cleaner
        self._configured = configured
        self._file = file
        self._trust = trust
        self._newest = newest
        self._events = events
        self._told = told
        self._clock = clock
        self._thread = WorkerPool(1)
        self._policy: RetentionPolicy | None = None
        self._is_loaded = False
        self._doubt = ""
        self._problems: tuple[str, ...] = ()
        self._cleaning = anyio.Lock()
        self._changing = anyio.Lock()
        self._changed = anyio.Event()
        #: Number of changes of the policy or of the limits; a cleanup ends once it is another than at its beginning.
        self._policies = 0

    async def policy(self) -> RetentionPolicy | None:
        """Return the policy, enabled or not; None if none was ever set."""
        async with self._changing:
            if not self._is_loaded:
                self._policy, problem = await self._thread.run(self._file.load)
                self._is_loaded = True
                if problem is not None:
                    _log.error("%s %s", problem.details, problem.suggestion)
                    self._told.policy(f"{problem.details} {problem.suggestion}")
            return self._policy

    async def set_policy(self, policy: RetentionPolicy) -> Plan:
        """Store the policy and apply it soon; return the limits that are in force from now on.

        A cleanup by the policy before ends first, after its present step; on a hanging disk only some seconds are waited.

        Raises:
            StorageFailed: it cannot be stored; the one before stays in force.
        """
        async with self._changing:
            await self._thread.run(self._file.save, policy)
            self._policy, self._is_loaded = policy, True
            self._policies += 1
            self._told.policy("")
        _log.info("the retention policy was set: %s", policy.model_dump_json(exclude_none=True))
        self._changed.set()
        with anyio.move_on_after(LAST_STEP_S):
            async with self._cleaning:
                pass
        return await self.plan()

    def configure(self, limits: Mapping[str, Limits]) -> str:
        """Apply other limits of the configuration soon, unless a policy replaces them.

        Returns:
            A sentence if a policy does; else "".
        """
        if limits == self._configured:
            return ""
        self._configured = limits
        self._policies += 1
        self._changed.set()
        if self._policy is None or not self._policy.enabled:
            return ""
        return "The policy set by set_retention_policy goes on replacing the limits of retention in the configuration."

    async def plan(self, *, asked: bool = False) -> Plan:
        """Return the limits in force; with `asked`, those that an administrator's cleanup applies."""
        return planned(self._configured, await self.policy(), asked=asked)

    async def state(self) -> tuple[RetentionPolicy | None, Plan]:
        """Return the policy, None if none was ever set, and the limits in force."""
        policy = await self.policy()
        return policy, planned(self._configured, policy, asked=False)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Clean now, when a limit may be passed, when the policy changes, and every quarter of an hour; until cancelled."""
        task_status.started()
        due_s = self._clock.monotonic_s()
        with self._events.subscribe(_matters, capacity=1) as happened:
            while True:
                self._changed = anyio.Event()
                now_s = self._clock.monotonic_s()
                is_due = now_s >= due_s
                is_late = now_s >= due_s + PATIENCE_S
                plan, cleaned = await self._clean(by_age=is_due, from_folders=is_late)
                if is_due and cleaned.is_settled:
                    due_s = now_s + PAUSE_S
                pause_s = _pause_s(plan, cleaned, due_s - now_s)
                await first_of(partial(self._clock.sleep, pause_s), happened.receive, self._changed.wait)
                if self._changed.is_set():
                    due_s = self._clock.monotonic_s()

    async def make_room(self) -> None:
        """Apply the limits in force once, as the index knows the files; for a disk that is nearly full."""
        await self._clean(by_age=True, from_folders=False)

    async def cleanup(self) -> Cleanup:
        """Apply the limits for an administrator who asks for it; return what was done.

        Raises:
            StorageFailed: nothing could be deleted because of a disk.
        """
        give_up_s = self._clock.monotonic_s() + ASKED_PATIENCE_S
        plan, cleaned = await self._clean(by_age=True, from_folders=False, asked=True)
        while not cleaned.is_settled:
            await self._clock.sleep(RETRY_S)
            is_late = self._clock.monotonic_s() >= give_up_s
            plan, more = await self._clean(by_age=True, from_folders=is_late, asked=True)
            more.freed += cleaned.freed
            cleaned = more
        if cleaned.problems and not cleaned.freed.files:
            raise cleaned.problems[0]
        return Cleanup(plan, cleaned, self._doubt if plan.ages_s else "")

    async def _clean(self, *, by_age: bool, from_folders: bool, asked: bool = False) -> tuple[Plan, Cleaned]:
        """Apply the limits in force, one caller at a time; return them, and what was done.

        Leaves out the limits by age unless `by_age`, or while the clock is doubted.
        """
        async with self._cleaning:
            policies = self._policies
            plan = await self.plan(asked=asked)
            cleaned = await self._apply(
                plan, by_age=by_age, from_folders=from_folders, is_wanted=lambda: self._policies == policies
            )
        freed = cleaned.freed
        if freed.files:
            _log.info("deleted %s files of %s bytes by the limits", freed.files, freed.size_bytes)
        self._note_problems(cleaned, is_whole=cleaned.is_settled and (by_age or not plan.ages_s))
        return plan, cleaned

    async def _apply(
        self, plan: Plan, *, by_age: bool, from_folders: bool, is_wanted: Callable[[], bool]
    ) -> Cleaned:
        now = self._clock.now()
        problems: list[StorageFailed] = []
        if plan.ages_s and not (by_age and await self._is_trusted(plan, problems)):
            plan = replace(plan, ages_s=())
        cleaned = await self._cleaner.clean(plan, now=now, from_folders=from_folders, is_wanted=is_wanted)
        cleaned.problems += problems
        return cleaned

    def _note_problems(self, cleaned: Cleaned, *, is_whole: bool) -> None:
        """Log the faults of disks, and one file that cannot be deleted, once each as long as they last; tell one.

        Those of before are over if a cleanup by all limits, `is_whole`, did not find them.
        """
        found = tuple(f"{each.details} {each.suggestion}" for each in cleaned.problems)
        if cleaned.freed.fault:
            found = (*found, f"Not all old files can be deleted. {cleaned.freed.fault}")
        if not is_whole:
            found = tuple(dict.fromkeys((*self._problems, *found)))
        for each in found:
            if each not in self._problems:
                _log.error("%s", each)
        if found != self._problems:
            self._told.failure(found[0] if found else "")
        self._problems = found

    async def _is_trusted(self, plan: Plan, problems: list[StorageFailed]) -> bool:
        """Judge the clock; return False, without deletion by age, while it is doubted or the recordings cannot be read."""
        max_age_s = plan.max_age_s
        assert max_age_s is not None  # noqa: S101 - the plan has ages
        said = ""
        if not await self._thread.run(self._trust.has_measure):
            try:
                newest = await self._newest()
            except StorageFailed as error:
                problems.append(error)
                return False
            said = contradiction(newest, now=self._clock.now(), max_age_s=max_age_s)
        self._note(await self._thread.run(self._trust.judge, said, max_age_s))
        return not self._doubt

    def _note(self, problem: str) -> None:
        """Log and tell that deletion by age is suspended, or goes on, once each."""
        if problem == self._doubt:
            return
        self._doubt = problem
        if problem:
            problem = f"{problem} {_SUSPENDED}"
            _log.warning("%s", problem)
        else:
            _log.info("the clock is trusted: old files are deleted again")
        self._told.clock(problem)


def _matters(event: Event) -> bool:
    return event.topic in _TOPICS


def _pause_s(plan: Plan, cleaned: Cleaned, due_in_s: float) -> float:
    """Return the seconds until the next cleanup, unless something happens before."""
    if not cleaned.is_settled:
        return RETRY_S
    return min(WATCH_S, due_in_s) if plan.sizes else due_in_s
