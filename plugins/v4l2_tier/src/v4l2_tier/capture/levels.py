"""Choice of black and white for samples of more than 8 bits, such as those of thermal cameras."""

from typing import TYPE_CHECKING

from v4l2_tier.settings import DeepLevels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Values = NDArray[np.uint16]

__all__ = ("used_levels", "with_levels")

#: Share of the pixels that may be darker than black, and brighter than white, with automatic levels: dead pixels.
_OUTLIERS = 0.001


def with_levels(values: "Values", bits: int, levels: DeepLevels) -> "Plane":
    """Return `values` of `bits` bits as 8 bits; what is beyond the levels becomes black or white.

    Args:
        values: the picture's samples.
        bits: depth of the samples.
        levels: `full` for the range of `bits`; `auto` for the range of this picture, without a thousandth of the pixels
            at both ends; or the values of black and white, the larger first for an inverted picture.
    """
    if levels == "full":
        return _stretched(values, 0, 2**bits - 1)
    black, white = used_levels(values) if levels == "auto" else levels
    return _stretched(values, black, white)


def used_levels(values: "Values") -> tuple[int, int]:
    """Return the lowest and highest value, without a few outliers."""
    import numpy as np

    counts = np.cumsum(np.bincount(values.ravel(), minlength=1))
    outliers = int(counts[-1] * _OUTLIERS)
    lowest = int(np.searchsorted(counts, outliers, side="right"))
    highest = int(np.searchsorted(counts, counts[-1] - outliers, side="left"))
    return lowest, highest


def _stretched(values: "Values", black: int, white: int) -> "Plane":
    """Map `black` to 0 and `white` to 255 by a table of all values."""
    import numpy as np

    span = white - black or 1
    numbers = np.arange(2**16, dtype=np.float32)
    table = np.clip((numbers - black) * (255 / span) + 0.5, 0, 255).astype(np.uint8)
    mapped: Plane = table[values]
    return mapped
