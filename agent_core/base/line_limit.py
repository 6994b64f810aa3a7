"""Limit on the lines of a program that are logged. A decision without I/O: the callers pass the time."""

import math

__all__ = ("LineLimit",)

#: Lines and bytes of each level in one window. An endless flood adds 46 MB per day to the log, a trace of a Go
#: program's end fits.
_LINES, _BYTES, WINDOW_S = 200, 32_768, 60.0


class LineLimit:
    """Decides which lines are logged: a number of lines and bytes per minute for each level.

    The levels are apart so that a flood of one does not hide the others. After the first line of a level that is left
    out, all further ones are, until a new minute begins.
    """

    def __init__(self) -> None:
        self._began_s = -math.inf
        #: Lines and bytes that each level has left in this window.
        self._left: dict[int, tuple[int, int]] = {}
        self._left_out = 0

    @property
    def is_exceeded(self) -> bool:
        """True if a line of the current window was left out."""
        return any(lines == 0 and size_bytes == 0 for lines, size_bytes in self._left.values())

    def turn(self, now_s: float) -> None:
        """Begin a new window if the last one is over. `now_s` is the time of a monotonic clock."""
        if now_s - self._began_s >= WINDOW_S:
            self._began_s = now_s
            self._left.clear()

    def take_left_out(self) -> int:
        """Return the number of lines left out since the last call."""
        left_out, self._left_out = self._left_out, 0
        return left_out

    def admits(self, level: int, size_bytes: int) -> bool:
        """Return True if a line is to be logged; count it."""
        lines, left_bytes = self._left.get(level, (_LINES, _BYTES))
        if lines == 0 or left_bytes < size_bytes:
            self._left[level] = (0, 0)
            self._left_out += 1
            return False
        self._left[level] = (lines - 1, left_bytes - size_bytes)
        return True
