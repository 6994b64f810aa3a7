"""State machine of `runOnDemand` and `sourceOnDemand`: starts and stops the source of a path."""

from collections.abc import Callable
from enum import Enum

from embedded_server.context import ServerContext, Timer

__all__ = ("OnDemand",)


class _State(Enum):
    INITIAL = 0
    WAITING = 1
    READY = 2
    CLOSING = 3


class OnDemand:
    """State of a source that runs on demand.

    The path reports requests, readers and the stream; `start`, `stop` and, if no stream came in time, `timed_out` are
    called. As in MediaMTX, the loss of the publisher does not reset the state: only the close timer does.
    """

    def __init__(
        self,
        context: ServerContext,
        *,
        start: Callable[[], None],
        stop: Callable[[], None],
        timed_out: Callable[[], None],
        start_timeout_s: float,
        close_after_s: float,
    ) -> None:
        self._timer = Timer(context)
        self._start = start
        self._stop = stop
        self._timed_out = timed_out
        self._start_timeout_s = start_timeout_s
        self._close_after_s = close_after_s
        self._state = _State.INITIAL

    @property
    def idle(self) -> bool:
        return self._state is _State.INITIAL

    def wanted(self) -> None:
        """Report a request for a stream that is not available."""
        if self._state is _State.INITIAL:
            self._state = _State.WAITING
            self._timer.start(self._start_timeout_s, self._give_up)
            self._start()

    def available(self) -> None:
        """Report that the stream is available and has no reader yet."""
        if self._state is not _State.INITIAL:
            self._schedule_close()

    def read(self) -> None:
        """Report a reader."""
        if self._state is _State.CLOSING:
            self._state = _State.READY
            self._timer.cancel()

    def unread(self) -> None:
        """Report that the last reader has left."""
        if self._state is _State.READY:
            self._schedule_close()

    def close(self) -> None:
        """Stop the source, because the path is closed."""
        self._timer.cancel()
        if self._state is not _State.INITIAL:
            self._state = _State.INITIAL
            self._stop()

    def _schedule_close(self) -> None:
        self._state = _State.CLOSING
        self._timer.start(self._close_after_s, self._not_needed)

    def _not_needed(self) -> None:
        self._state = _State.INITIAL
        self._stop()

    def _give_up(self) -> None:
        self._state = _State.INITIAL
        self._timed_out()
        self._stop()
