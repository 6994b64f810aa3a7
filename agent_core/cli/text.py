"""What is printed for people: text that cannot move the cursor, in columns."""

import json
from collections.abc import Iterable, Sequence

__all__ = ("one_line", "print_result", "size", "table")


def one_line(text: object) -> str:
    """`text` on one line, without control characters: names of cameras come from outside."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    cells = [list(head), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def size(size_bytes: int) -> str:
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    return f"{size_bytes / 1000:.0f} kB" if size_bytes < 1_000_000 else f"{size_bytes / 1e6:.1f} MB"


def print_result(value: object, lines: Iterable[str], *, as_json: bool) -> None:
    """One JSON value, or `lines` for people."""
    if as_json:
        print(json.dumps(value, default=str))
        return
    for line in lines:
        print(line)
