"""Clock that tests can replace: monotonic seconds inside the agent, aware UTC times outside."""

import time
from datetime import UTC, datetime
from typing import Protocol

import anyio

__all__ = ("Clock", "SystemClock")


class Clock(Protocol):
    """Source of times and pauses; `agent_core.testing.SimulatedClock` is the other implementation."""

    def monotonic_s(self) -> float:
        """Return the seconds of a clock that never steps; only differences are meaningful."""
        ...

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        ...

    async def sleep(self, duration_s: float) -> None: ...


class SystemClock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, duration_s: float) -> None:
        await anyio.sleep(duration_s)
