"""Deinterlacing of single pictures: lines of two fields, exposed one after the other, become one picture.

Of what moved between the fields, the lines of the lower field are replaced by the mean of their neighbours, which are of
the upper one; what is still keeps all its lines. Apart from the encoder, so that tests judge it by the true picture and
by FFmpeg's filters.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

__all__ = ("progressive",)

#: Difference from both neighbours, in steps of brightness, that is more than a camera's noise.
_COMB = 8


def progressive(plane: "Plane") -> "Plane":
    """Return the plane of one picture; its lines 0, 2, ... are of the upper field. Small planes are returned as they are."""
    import numpy as np

    if plane.shape[0] < 4:
        return plane
    lower = plane[1::2]
    above = plane[0::2][: lower.shape[0]]
    below = np.concatenate((plane[2::2], above[-1:]))[: lower.shape[0]]
    combed = _combed(lower, np.minimum(above, below), np.maximum(above, below))
    made = plane.copy()
    mean = (above & below) + ((above ^ below) >> 1)  # without a wider type
    np.copyto(made[1::2], mean, where=combed)
    return made


def _combed(lower: "Plane", low: "Plane", high: "Plane") -> Any:
    """Return where lines are outside of their neighbours' range, in two lines of a field one below the other.

    A single line may be a thin one of the picture.
    """
    import numpy as np

    brighter = lower > np.minimum(high, 255 - _COMB) + _COMB
    darker = lower < np.maximum(low, _COMB) - _COMB
    return _supported(brighter) | _supported(darker)


def _supported(found: Any) -> Any:
    supported = found.copy()
    supported[1:-1] &= found[:-2] | found[2:]
    supported[0] &= found[1]
    supported[-1] &= found[-2]
    return supported
