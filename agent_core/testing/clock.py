"""Time that a test moves."""

import heapq
import itertools
from datetime import UTC, datetime, timedelta

import anyio
from anyio.lowlevel import checkpoint

__all__ = ("SimulatedClock",)

#: Turns of the event loop that usually suffice for what a sleeper's waking sets off.
_TURNS = 20


class SimulatedClock:
    """A `Clock` that stands still until `advance`; sleepers wake in order, each at exactly its time.

    For one event loop. Time passes only here: real sockets and processes go on at their own pace.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC)) -> None:
        self._start = start
        self._monotonic_s = 1000.0
        self._step = timedelta()
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        #: Every duration that was asked for, in order.
        self.sleeps: list[float] = []

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._monotonic_s - 1000.0) + self._step

    def step_wall_clock(self, step_s: float) -> None:
        """Set the wall clock forward, or back; the monotonic one does not notice."""
        self._step += timedelta(seconds=step_s)

    async def sleep(self, duration_s: float) -> None:
        self.sleeps.append(duration_s)
        if duration_s <= 0:
            await checkpoint()
            return
        woken = anyio.Event()
        sleeper = (self._monotonic_s + duration_s, next(self._order), woken)
        heapq.heappush(self._sleepers, sleeper)
        try:
            await woken.wait()
        finally:
            if sleeper in self._sleepers:  # cancelled
                self._sleepers.remove(sleeper)
                heapq.heapify(self._sleepers)

    async def advance(self, duration_s: float) -> None:
        """Let `duration_s` pass; returns when all tasks that this woke wait for something again."""
        await _settle()
        until_s = self._monotonic_s + duration_s
        while self._sleepers and self._sleepers[0][0] <= until_s:
            wake_at_s, _, woken = heapq.heappop(self._sleepers)
            self._monotonic_s = max(self._monotonic_s, wake_at_s)
            woken.set()
            await _settle()
        self._monotonic_s = until_s


async def _settle() -> None:
    for _ in range(_TURNS):  # anyio's own wait sleeps 0.1 s at a time while any task is ready
        await checkpoint()
    await anyio.wait_all_tasks_blocked()
