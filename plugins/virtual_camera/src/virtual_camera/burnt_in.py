"""Reader of the marks in a picture."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from PIL import Image

from virtual_camera import marks

__all__ = ("Mark", "MarkUnreadable", "read")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Values per side to which each cell is reduced. Only the inner ones count, away from blurred edges.
_SAMPLES = 4
_INNER = (1, 2)
#: Smallest difference between black and white, out of 255.
_CONTRAST = 64


class MarkUnreadable(ValueError):
    """Error for a picture without intact marks. The message names the fault."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Marks of one frame: its number, and its time of drawing in UTC, rounded down to milliseconds."""

    counter: int
    drawn_at: datetime


def read(picture: bytes) -> Mark:
    """Return the marks of a JPEG, PNG or PPM of any size, even after resizing and recompression.

    Raises:
        MarkUnreadable: the data is not a picture of a virtual camera, or is too damaged.
    """
    words = [_word(row) for row in _brightness(picture)]
    if (sum(words[:-1]) + marks.CHECK_OFFSET) % 65536 != words[-1]:
        raise MarkUnreadable("The checksum of the marks is wrong.")
    counter = words[0] << 16 | words[1]
    epoch_ms = words[2] << 32 | words[3] << 16 | words[4]
    try:
        return Mark(counter, _EPOCH + timedelta(milliseconds=epoch_ms))
    except OverflowError as error:
        raise MarkUnreadable("The marks show an impossible time.") from error


def _brightness(picture: bytes) -> list[list[float]]:
    """Return the mean brightness of the inside of each cell, row by row."""
    across, down = marks.COLUMNS * _SAMPLES, marks.ROWS * _SAMPLES
    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG", "PPM")) as image:
            grey = image.convert("L")
    except (OSError, SyntaxError, ValueError) as error:  # Pillow, for damaged files
        raise MarkUnreadable("The data is not a whole picture.") from error
    strip = (0.0, 0.0, float(grey.width), grey.height * marks.STRIP_HEIGHT)
    values = grey.resize((across, down), Image.Resampling.BOX, strip).tobytes()

    def inside(row: int, column: int) -> float:
        inner = [
            values[(row * _SAMPLES + y) * across + column * _SAMPLES + x] for y in _INNER for x in _INNER
        ]
        return sum(inner) / len(inner)

    return [[inside(row, column) for column in range(marks.COLUMNS)] for row in range(marks.ROWS)]


def _word(row: list[float]) -> int:
    """Return the number in sixteen bits, highest first, between the white and the black reference cell of `row`."""
    white, *bits, black = row
    if white - black < _CONTRAST:
        raise MarkUnreadable("The picture has no strip of marks.")
    threshold = (white + black) / 2
    word = 0
    for bit in bits:
        word = word << 1 | (bit > threshold)
    return word
