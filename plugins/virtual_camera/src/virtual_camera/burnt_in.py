"""Read the marks back out of a picture."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from PIL import Image

from virtual_camera import marks

__all__ = ("Mark", "MarkUnreadable", "read")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Each cell is reduced to so many values a side; only the inner ones are looked at, away from blurred edges.
_SAMPLES = 4
_INNER = (1, 2)
#: The least difference between black and white, of 255.
_CONTRAST = 64


class MarkUnreadable(ValueError):
    """The picture shows no intact marks; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`counter` counts one camera's frames; `drawn_at` (UTC, whole milliseconds, rounded down) is when it was drawn."""

    counter: int
    drawn_at: datetime


def read(picture: bytes) -> Mark:
    """The marks of a picture in any format and size that Pillow reads; also after resizing and recompression.

    Raises:
        MarkUnreadable: it is not a picture, or not one of a virtual camera, or too damaged to tell.
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
    """The mean brightness of the inside of each cell, row by row."""
    across, down = marks.COLUMNS * _SAMPLES, marks.ROWS * _SAMPLES
    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG", "PPM")) as image:
            grey = image.convert("L")
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        raise MarkUnreadable("It is not a whole picture.") from error
    strip = (0.0, 0.0, float(grey.width), grey.height * marks.STRIP_HEIGHT)
    values = grey.resize((across, down), Image.Resampling.BOX, strip).tobytes()

    def inside(row: int, column: int) -> float:
        inner = [
            values[(row * _SAMPLES + y) * across + column * _SAMPLES + x] for y in _INNER for x in _INNER
        ]
        return sum(inner) / len(inner)

    return [[inside(row, column) for column in range(marks.COLUMNS)] for row in range(marks.ROWS)]


def _word(row: list[float]) -> int:
    """Sixteen bits, highest first, judged by the white and the black cell at the ends of the row."""
    white, *bits, black = row
    if white - black < _CONTRAST:
        raise MarkUnreadable("The picture has no strip of marks.")
    threshold = (white + black) / 2
    word = 0
    for bit in bits:
        word = word << 1 | (bit > threshold)
    return word
