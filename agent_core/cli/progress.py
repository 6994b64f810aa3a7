"""How far something is, on standard error."""

import shutil
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ("Progress",)

#: Between two lines where they stay, as in a log.
LINE_PERIOD_S = 5.0
_CLEAR_REST = "\x1b[K"


class Progress:
    """One line that changes on a terminal, elsewhere a line every few seconds.

    Args:
        stream: None says nothing.
        now_s: a monotonic clock, seconds.
    """

    def __init__(self, stream: TextIO | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now_s = now_s
        self._next_s = now_s() + LINE_PERIOD_S
        self._is_line_open = False

    def show(self, text: str) -> None:
        if self._stream is None:
            return
        if self._stream.isatty():
            self._is_line_open = True
            # A line that wraps could not be written over.
            width = max(1, shutil.get_terminal_size().columns - 1)
            self._write(f"\r{text[:width]}{_CLEAR_REST}")
        elif self._now_s() >= self._next_s:
            self._next_s = self._now_s() + LINE_PERIOD_S
            self._write(f"{text}\n")

    def clear(self) -> None:
        """Leave an empty line for what is printed next."""
        if self._is_line_open:
            self._is_line_open = False
            self._write(f"\r{_CLEAR_REST}")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
