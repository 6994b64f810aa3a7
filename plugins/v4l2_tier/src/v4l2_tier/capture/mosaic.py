"""Colours of sensors' mosaics (Bayer), by bilinear interpolation; without white balance, which needs the sensor's data."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Values = NDArray[np.uint16]

__all__ = ("with_colours",)


def with_colours(mosaic: "Plane", order: str) -> "Plane":
    """Return red, green and blue of each pixel: height, width, 3.

    Args:
        mosaic: one sample for each pixel, at least two by two.
        order: colours of the first two pixels of the first line, then of the second, such as `RGGB`.
    """
    import numpy as np

    # Mirrored at the outer pixels, so that the colours keep their places.
    around = np.pad(mosaic, 1, mode="reflect").astype(np.uint16)
    picture = np.empty((*mosaic.shape, 3), np.uint8)
    for top in (0, 1):
        for left in (0, 1):
            place = _Place(around, top, left)
            own, beside, below = (
                order[2 * row + column] for row, column in ((top, left), (top, 1 - left), (1 - top, left))
            )
            target = picture[top::2, left::2]
            target[:, :, "RGB".index(own)] = place.at(0, 0)
            if own == "G":
                target[:, :, "RGB".index(beside)] = place.mean((0, -1), (0, 1))
                target[:, :, "RGB".index(below)] = place.mean((-1, 0), (1, 0))
            else:
                target[:, :, 1] = place.mean((0, -1), (0, 1), (-1, 0), (1, 0))
                target[:, :, 2 - "RGB".index(own)] = place.mean((-1, -1), (-1, 1), (1, -1), (1, 1))
    return picture


class _Place:
    """One of the four places in the squares of two by two, of all squares at once."""

    def __init__(self, around: "Values", top: int, left: int) -> None:
        self._around, self._top, self._left = around, top, left

    def at(self, down: int, right: int) -> "Values":
        """Return the samples that are so many pixels away; the border is one pixel wide."""
        height, width = self._around.shape
        first, start = 1 + self._top + down, 1 + self._left + right
        return self._around[first : height - 1 + down : 2, start : width - 1 + right : 2]

    def mean(self, *offsets: tuple[int, int]) -> "Values":
        total = self.at(*offsets[0])
        for down, right in offsets[1:]:
            total = total + self.at(down, right)
        return (total + len(offsets) // 2) // len(offsets)
