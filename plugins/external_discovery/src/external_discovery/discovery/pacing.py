"""Pace of a scan's packets."""

import math

from agent_core.plugin import Clock

__all__ = ("Pacer",)

#: Time whose packets may go at once after a pause.
_BURST_S = 0.25


class Pacer:
    """Spaces packets out evenly, for any number of tasks.

    Args:
        per_s: packets per second.
        clock: source of times and pauses.
    """

    def __init__(self, per_s: float, clock: Clock) -> None:
        self._pause_s = 1 / per_s
        self._clock = clock
        self._next_s = -math.inf

    async def wait(self, packets: int = 1) -> None:
        """Wait until `packets` more may be sent."""
        now_s = self._clock.monotonic_s()
        at_s = max(self._next_s, now_s - _BURST_S)
        self._next_s = at_s + packets * self._pause_s
        if at_s > now_s:
            await self._clock.sleep(at_s - now_s)
