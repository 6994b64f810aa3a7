"""Time that passes only when a test says so."""

from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

__all__ = ("SimulatedClock",)


class SimulatedClock:
    """A `Clock` that stands still; `advance` moves it and wakes the sleepers whose time has come."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._moved = anyio.Event()
        self.sleeps: list[float] = []

    def monotonic_s(self) -> float:
        return 1000.0 + self._elapsed_s

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    async def sleep(self, duration_s: float) -> None:
        """Wait until the clock has been advanced by `duration_s`; what was asked for is kept in `sleeps`."""
        self.sleeps.append(duration_s)
        until_s = self._elapsed_s + duration_s
        await anyio.lowlevel.checkpoint()
        while self._elapsed_s < until_s:
            await self._moved.wait()

    async def advance(self, duration_s: float) -> None:
        """Move the clock once every other task waits for something, then let the sleepers run on."""
        await anyio.wait_all_tasks_blocked()
        self._elapsed_s += duration_s
        self._moved.set()
        self._moved = anyio.Event()
        await anyio.wait_all_tasks_blocked()
