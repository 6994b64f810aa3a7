"""Order of the first reports of several cameras that are asked at once.

Ids of cameras without a serial number depend on the order of the reports: it is that of the nodes' numbers, as long as
each camera answers in time.
"""

from functools import partial

import anyio

from agent_core.plugin import Clock, first_of

__all__ = ("ProbePlace", "ProbePlaces", "StartOrder", "Turn")

#: Time for which a camera waits for those before it, and the agent's start for all.
_PATIENCE_S = 2.0
#: Devices that are asked at once: more would only compete for a small board's processor and its USB bus.
_PLACES = 8


class StartOrder:
    """Order of cameras that are started together, at the time of its making."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadline_s = clock.monotonic_s() + _PATIENCE_S
        self._is_done: list[bool] = []
        #: Set for each camera once it and all before it have reported.
        self._passed: list[anyio.Event] = []

    def next(self) -> "Turn":
        """Return the turn of the next camera."""
        self._is_done.append(False)
        self._passed.append(anyio.Event())
        return Turn(self, len(self._passed))

    def note_done(self, count: int) -> None:
        """Note that camera number `count`, from 1, has reported."""
        self._is_done[count - 1] = True
        for is_done, passed in zip(self._is_done, self._passed, strict=True):
            if not is_done:
                return
            passed.set()

    async def wait(self, count: int | None = None) -> None:
        """Return when the first `count` cameras, or all, have reported, or when the time for it is over."""
        passed = self._passed[:count]
        left_s = self._deadline_s - self._clock.monotonic_s()
        if passed and not passed[-1].is_set() and left_s > 0:
            await first_of(passed[-1].wait, partial(self._clock.sleep, left_s))

    async def wait_all(self) -> None:
        """Return when all cameras have reported, however long it takes."""
        for passed in self._passed:
            await passed.wait()


class Turn:
    """Place of one camera in the order; its owner calls `done` after its first report, or if there is none."""

    def __init__(self, order: StartOrder, count: int) -> None:
        self._order = order
        self._count = count

    async def wait(self) -> None:
        """Return when all cameras before this one have reported, or when the time for it is over."""
        await self._order.wait(self._count - 1)

    def done(self) -> None:
        """Let the next camera report. A second call has no effect."""
        self._order.note_done(self._count)


class ProbePlaces:
    """Limit on the devices that are asked at once. A device that does not answer gives its place back early."""

    def __init__(self) -> None:
        self._free = anyio.Semaphore(_PLACES)

    async def take(self) -> "ProbePlace":
        """Wait for a place, and return it."""
        await self._free.acquire()
        return ProbePlace(self._free)


class ProbePlace:
    """Place of one device."""

    def __init__(self, free: anyio.Semaphore) -> None:
        self._free: anyio.Semaphore | None = free

    def leave(self) -> None:
        """Give the place to the next device. A second call has no effect."""
        free, self._free = self._free, None
        if free is not None:
            free.release()
