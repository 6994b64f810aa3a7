"""Progress of a peer in reading. Apart from the peer, so that the decision is tested without a connection."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Progress",)


class Progress:
    """Distinguishes a peer that reads slowly from one that does not read. Decides without I/O.

    Between two looks, a peer with unsent data, or one being closed, must have read some of it.
    """

    def __init__(self) -> None:
        self._is_paused = False
        self._taken_bytes: int | None = None
        #: Called whenever the peer has read the pending data.
        self.when_resumed: Callable[[], object] = lambda: None

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        """Note that the peer has read the pending data."""
        self._is_paused = False
        self._taken_bytes = None
        self.when_resumed()

    def is_stalled(self, taken_bytes: int, least_bytes: int, *, is_closing: bool) -> bool:
        """Return True if the peer has read less than `least_bytes` since the last look.

        `taken_bytes` counts from any origin that stays fixed while there is unsent data.
        """
        if not self._is_paused and not is_closing:
            self._taken_bytes = None
            return False
        before_bytes, self._taken_bytes = self._taken_bytes, taken_bytes
        return before_bytes is not None and taken_bytes - before_bytes < least_bytes
