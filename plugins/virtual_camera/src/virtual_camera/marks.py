"""Marks burnt into each picture: their geometry, and the FFmpeg filters that draw them without a font.

Positions are fractions of the picture, so a picture can be resized and read without knowing its original size. At the
top is a strip of black and white cells for programs (`virtual_camera.burnt_in` reads it); at the bottom are the frame
counter and the UTC time in seven-segment digits for people. Both show the same numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = (
    "CHECK_OFFSET",
    "COLUMNS",
    "COUNTER_BITS",
    "EPOCH_MS_BITS",
    "ROWS",
    "STRIP_HEIGHT",
    "Box",
    "cells",
    "drawing",
)

#: A row of the strip: a white cell, sixteen bits (highest first), a black cell.
COLUMNS = 18
#: Two rows of counter, three of milliseconds since 1970, one of checksum.
ROWS = 6
#: Height of the strip as a fraction of the picture.
STRIP_HEIGHT = 0.25
COUNTER_BITS = 32
EPOCH_MS_BITS = 48
#: Added to the sum of the five 16-bit words, so that an all-black strip is not valid.
CHECK_OFFSET = 0x5A5A

#: The counter and the milliseconds as FFmpeg expressions; `setpts` has subtracted half a millisecond.
_COUNTER = "mod(n+{offset},4294967296)"
_EPOCH_MS = "floor(t*1000+0.5)"
#: The lit segments of the digits 0 to 9: bit d of a segment's mask is set when digit d lights it.
_SEGMENTS = {"a": 0x3ED, "b": 0x39F, "c": 0x3FB, "d": 0x36D, "e": 0x145, "f": 0x371, "g": 0x37C}
_COUNTER_DIGITS = 8
#: Width of the line of digits in digit places: counter, gap, HH:MM:SS.mmm.
_PLACES = 21.0
_DIGITS_TOP, _DIGITS_BOTTOM = 0.88, 0.98


@dataclass(frozen=True, slots=True)
class Box:
    """Rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int

    def filter(self, color: str, enable: str = "") -> str:
        condition = f":enable='{enable}'" if enable else ""
        return f"drawbox=x={self.x}:y={self.y}:w={self.width}:h={self.height}:color={color}:t=fill{condition}"


def _span(first: float, last: float, size: int) -> tuple[int, int]:
    """Convert the fractions `first` to `last` of `size` to a start and a length of at least one pixel."""
    start, end = round(first * size), round(last * size)
    return start, max(end - start, 1)


def _box(left: float, top: float, right: float, bottom: float, width: int, height: int) -> Box:
    (x, box_width), (y, box_height) = _span(left, right, width), _span(top, bottom, height)
    return Box(x, y, box_width, box_height)


def cells(width: int, height: int) -> list[list[Box]]:
    """Return the strip's cells, row by row, in a picture of this size."""
    row_height = STRIP_HEIGHT / ROWS
    return [
        [
            _box(
                column / COLUMNS,
                row * row_height,
                (column + 1) / COLUMNS,
                (row + 1) * row_height,
                width,
                height,
            )
            for column in range(COLUMNS)
        ]
        for row in range(ROWS)
    ]


def _words(counter: str) -> tuple[str, ...]:
    """Return the strip's rows as expressions for 16-bit numbers."""
    words = (
        f"floor({counter}/65536)",
        f"mod({counter},65536)",
        f"floor({_EPOCH_MS}/4294967296)",
        f"mod(floor({_EPOCH_MS}/65536),65536)",
        f"mod({_EPOCH_MS},65536)",
    )
    return (*words, f"mod({'+'.join(words)}+{CHECK_OFFSET},65536)")


def _strip(width: int, height: int, counter: str) -> Iterator[str]:
    yield _box(0, 0, 1, STRIP_HEIGHT, width, height).filter("black")
    for row, word in zip(cells(width, height), _words(counter), strict=True):
        yield row[0].filter("white")
        for bit, cell in enumerate(reversed(row[1:-1])):
            yield cell.filter("white", f"mod(floor({word}/{2**bit}),2)")


def _digit(left: float, place: float, value: str, width: int, height: int) -> Iterator[str]:
    """Yield the filters for a digit `place` wide that shows the expression `value`."""
    top, bottom = _DIGITS_TOP, _DIGITS_BOTTOM
    right = left + 0.7 * place
    middle = (top + bottom) / 2
    thick_x, thick_y = 0.16 * place, 0.14 * (bottom - top)
    shapes = {
        "a": (left, top, right, top + thick_y),
        "b": (right - thick_x, top, right, middle),
        "c": (right - thick_x, middle, right, bottom),
        "d": (left, bottom - thick_y, right, bottom),
        "e": (left, middle, left + thick_x, bottom),
        "f": (left, top, left + thick_x, middle),
        "g": (left, middle - thick_y / 2, right, middle + thick_y / 2),
    }
    for name, shape in shapes.items():
        yield _box(*shape, width, height).filter("white", f"mod(floor({_SEGMENTS[name]}/pow(2,{value})),2)")


def _number(
    left: float, expression: str, digits: int, width: int, height: int, place: float
) -> Iterator[str]:
    for position in range(digits):
        power = 10 ** (digits - 1 - position)
        value = f"mod(floor({expression}/{power}),10)"
        yield from _digit(left + position * place, place, value, width, height)


def _separator(left: float, place: float, heights: tuple[float, ...], width: int, height: int) -> str:
    size = _DIGITS_BOTTOM - _DIGITS_TOP
    dots = (
        _box(
            left + 0.1 * place,
            _DIGITS_TOP + at * size,
            left + 0.3 * place,
            _DIGITS_TOP + (at + 0.16) * size,
            width,
            height,
        )
        for at in heights
    )
    return ",".join(dot.filter("white") for dot in dots)


def _digits(width: int, height: int, counter: str) -> Iterator[str]:
    """Yield the filters for the counter and HH:MM:SS.mmm."""
    place = 1 / _PLACES
    colon, point = (0.25, 0.6), (0.84,)
    yield _box(0, _DIGITS_TOP - 0.02, 1, 1, width, height).filter("black")
    at = 0.4 * place
    yield from _number(at, f"{counter}", _COUNTER_DIGITS, width, height, place)
    at += (_COUNTER_DIGITS + 1.2) * place
    clock = (
        (f"mod(floor({_EPOCH_MS}/3600000),24)", 2, colon),
        (f"mod(floor({_EPOCH_MS}/60000),60)", 2, colon),
        (f"mod(floor({_EPOCH_MS}/1000),60)", 2, point),
        (f"mod({_EPOCH_MS},1000)", 3, ()),
    )
    for expression, digits, dots in clock:
        yield from _number(at, expression, digits, width, height, place)
        at += digits * place
        if dots:
            yield _separator(at, place, dots, width, height)
            at += 0.5 * place


def drawing(width: int, height: int, first_counter: int) -> str:
    """Return the FFmpeg filters that draw the marks. `first_counter` is the first frame's; `t` is the UTC time."""
    counter = _COUNTER.format(offset=first_counter)
    return ",".join((*_strip(width, height, counter), *_digits(width, height, counter)))
