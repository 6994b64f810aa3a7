"""Watchdog of a running media server: a hanging one does not end by itself.

Apart from `server`, so that the decision is tested without a program and without waiting.
"""

from agent_core.base.clock import Clock
from agent_core.base.errors import MediaServerError, MediaServerUnavailable
from agent_core.mediamtx.client import MediaServerClient

__all__ = ("HangWatch", "until_hung")

#: Between two questions: while they are answered, and while they are not.
ASK_S, DOUBT_S = 10.0, 1.0


class HangWatch:
    """The decision, without I/O: told how each question ended."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._silent_since_s: float | None = None

    def answered(self) -> None:
        self._silent_since_s = None

    def unanswered(self, asked_s: float, now_s: float) -> bool:
        """Return True after `timeout_s` without an answer, counted from the first unanswered question."""
        if self._silent_since_s is None:
            self._silent_since_s = asked_s
            return False  # one alone says nothing: the agent may have been stopped itself
        return now_s - self._silent_since_s >= self._timeout_s

    @property
    def pause_s(self) -> float:
        """Until the next question."""
        return ASK_S if self._silent_since_s is None else min(DOUBT_S, self._timeout_s / 2)


async def until_hung(client: MediaServerClient, *, timeout_s: float, clock: Clock) -> None:
    """Ask from time to time; return when there has been no answer for `timeout_s`."""
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
            watch.answered()  # whatever it says, it says something
        else:
            watch.answered()
