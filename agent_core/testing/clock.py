"""Clock that a test sets forward."""

import heapq
import itertools
from datetime import UTC, datetime, timedelta

import anyio
from anyio.lowlevel import checkpoint

__all__ = ("SimulatedClock",)

#: Reading of the monotonic clock at the start: nothing may rely on a zero.
_START_S = 1000.0
#: Turns of the event loop in which the work that a woken sleeper starts usually ends.
_TURNS = 20


class SimulatedClock:
    """`Clock` that moves only with `advance` and `jump`.

    For one event loop. Real sockets and processes keep their own pace.

    Attributes:
        sleeps: every duration passed to `sleep`, in order.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC)) -> None:
        self._start = start
        self._passed_s = 0.0
        self._step = timedelta()
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self.sleeps: list[float] = []

    def monotonic_s(self) -> float:
        return _START_S + self._passed_s

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed_s) + self._step

    def step_wall_clock(self, step_s: float) -> None:
        """Move the wall clock by `step_s`, which may be negative, and leave the monotonic clock alone."""
        self._step += timedelta(seconds=step_s)

    async def sleep(self, duration_s: float) -> None:
        self.sleeps.append(duration_s)
        if duration_s <= 0:
            await checkpoint()
            return
        woken = anyio.Event()
        sleeper = (self._passed_s + duration_s, next(self._order), woken)
        heapq.heappush(self._sleepers, sleeper)
        try:
            await woken.wait()
        finally:
            if sleeper in self._sleepers:  # cancelled
                self._sleepers.remove(sleeper)
                heapq.heapify(self._sleepers)

    async def advance(self, duration_s: float) -> None:
        """Let `duration_s` pass, and return when every task that this woke is waiting again.

        Sleepers wake in order, each at exactly its time.
        """
        await _settle()
        until_s = self._passed_s + duration_s
        while self._sleepers and self._sleepers[0][0] <= until_s:
            due_s, _, woken = heapq.heappop(self._sleepers)
            self._passed_s = max(self._passed_s, due_s)
            woken.set()
            await _settle()
        self._passed_s = until_s

    def jump(self, duration_s: float) -> None:
        """Let `duration_s` pass at once: every due sleeper wakes after the end of it, when the caller next waits."""
        self._passed_s += duration_s
        while self._sleepers and self._sleepers[0][0] <= self._passed_s:
            heapq.heappop(self._sleepers)[2].set()


async def _settle() -> None:
    for _ in range(_TURNS):  # anyio's own wait sleeps 0.1 s at a time while any task is ready
        await checkpoint()
    await anyio.wait_all_tasks_blocked()
