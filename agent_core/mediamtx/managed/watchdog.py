"""Watchdog of a running media server: a hanging one does not end by itself.

Apart from `server`, so that the decision is tested without a program and without waiting.
"""

from agent_core.base.clock import Clock
from agent_core.base.errors import MediaServerError, MediaServerUnavailable
from agent_core.mediamtx.client import MediaServerClient

__all__ = ("HangWatch", "until_hung")

#: Pauses between two calls: while they are answered, and while they are not.
ASK_S, DOUBT_S = 10.0, 1.0


class HangWatch:
    """Decides without I/O whether the server hangs, from the result of each call."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._silent_since_s: float | None = None

    def answered(self) -> None:
        """Record an answered call."""
        self._silent_since_s = None

    def unanswered(self, asked_s: float, now_s: float) -> bool:
        """Record an unanswered call; return True after `timeout_s` of silence since the first unanswered one."""
        if self._silent_since_s is None:
            self._silent_since_s = asked_s
            return False  # one alone proves nothing: the agent itself may have been stopped
        return now_s - self._silent_since_s >= self._timeout_s

    @property
    def pause_s(self) -> float:
        """Seconds until the next call."""
        return ASK_S if self._silent_since_s is None else min(DOUBT_S, self._timeout_s / 2)


async def until_hung(client: MediaServerClient, *, timeout_s: float, clock: Clock) -> None:
    """Call the server at intervals; return when it has not answered for `timeout_s`."""
    watch = HangWatch(timeout_s)
    while True:
        await clock.sleep(min(watch.pause_s, timeout_s))
        asked_s = clock.monotonic_s()
        try:
            await client.info()
        except MediaServerUnavailable:
            if watch.unanswered(asked_s, clock.monotonic_s()):
                return
        except MediaServerError:
            watch.answered()  # an error is an answer too
        else:
            watch.answered()
