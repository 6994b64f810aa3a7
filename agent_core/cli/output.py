"""Output for people: tables, sizes, times and progress."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

__all__ = (
    "CommandPrinter",
    "Progress",
    "bit_rate",
    "duration",
    "iso_time",
    "one_line",
    "print_result",
    "size",
    "table",
)


def one_line(text: object) -> str:
    """Return `text` on one line without control characters: names of cameras come from devices."""
    return " ".join(_harmless(str(text)).split())


def _harmless(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table with aligned columns."""
    cells = [list(head), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def size(size_bytes: int) -> str:
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.0f} kB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1_000_000_000 else f"{size_bytes / 1e9:.2f} GB"


def duration(duration_s: float) -> str:
    if duration_s < 59.95:
        return f"{duration_s:.1f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02} min"


def iso_time(moment: datetime) -> str:
    """Return `moment` (in UTC) in ISO 8601 with whole seconds."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def bit_rate(size_bytes: int, duration_s: float) -> str:
    """Return the mean bit rate over `duration_s`."""
    bits_per_s = 8 * size_bytes / duration_s if duration_s > 0 else 0.0
    return f"{bits_per_s / 1000:.0f} kbit/s" if bits_per_s < 999_500 else f"{bits_per_s / 1e6:.1f} Mbit/s"


def print_result(value: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print one JSON value, or `lines` for people."""
    from agent_core.cli.standard_streams import writing_output

    with writing_output():
        if as_json:
            print(json.dumps(value, default=str))
            return
        for line in lines:
            print(_harmless(line))


@dataclass(frozen=True, slots=True)
class CommandPrinter:
    """Output of a command that another distribution adds; see `agent_core.plugin.commands.CommandOutput`."""

    as_json: bool

    def print_result(self, value: object, lines: Iterable[str]) -> None:
        from agent_core.cli.standard_streams import writing_output

        print_result(value, lines, as_json=self.as_json)
        with writing_output():
            sys.stdout.flush()

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
        return table(head, rows)

    def one_line(self, text: object) -> str:
        return one_line(text)

    def note(self, text: str) -> None:
        from agent_core.cli.standard_streams import print_error

        if not self.as_json:
            print_error(one_line(text))


#: Period of progress lines when the output is not a terminal.
LINE_PERIOD_S = 5.0


_CLEAR_REST = "\x1b[K"


class Progress:
    """Progress display: one changing line on a terminal, elsewhere a line every few seconds.

    Args:
        stream: output; None prints nothing.
        now_s: monotonic clock (seconds).
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
            # A wrapped line cannot be overwritten.
            width = max(1, shutil.get_terminal_size().columns - 1)
            self._write(f"\r{text[:width]}{_CLEAR_REST}")
        elif self._now_s() >= self._next_s:
            self._next_s = self._now_s() + LINE_PERIOD_S
            self._write(f"{text}\n")

    def clear(self) -> None:
        """Clear the line for other output."""
        if self._is_line_open:
            self._is_line_open = False
            self._write(f"\r{_CLEAR_REST}")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
