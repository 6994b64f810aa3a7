"""Conversion of YCbCr planes to JPEG's colours: BT.601 coefficients and full range (JFIF), whatever the driver declares."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from v4l2_tier.device.raw_formats import Coefficients

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Offsets = NDArray[np.int16]

__all__ = ("full_range", "to_jfif")

#: Shares of red and blue in luma (Kr, Kb): ITU-R BT.601, BT.709 and BT.2020, SMPTE 240M.
_SHARES = {
    Coefficients.BT601: (0.299, 0.114),
    Coefficients.BT709: (0.2126, 0.0722),
    Coefficients.BT2020: (0.2627, 0.0593),
    Coefficients.SMPTE240M: (0.212, 0.087),
}
#: Binary digits behind the point of chroma values while they are added.
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class _Change:
    """Change of coefficients, for chroma values from -0.5 to 0.5: what Cb and Cr add to Y, Cb and Cr."""

    to_y: tuple[float, float]
    to_u: tuple[float, float]
    to_v: tuple[float, float]


def full_range(plane: "Plane") -> "Plane":
    """Stretch luma or RGB of video range (16 to 235) to 0 to 255."""
    return _mapped(plane, _luma_table())


def to_jfif(
    y: "Plane", u: "Plane | None", v: "Plane | None", coefficients: Coefficients, *, limited: bool
) -> "tuple[Plane, Plane | None, Plane | None]":
    """Return the planes with JPEG's coefficients and range; chroma planes keep their size.

    Args:
        y: luma.
        u: Cb, with each side as long as the luma's or half of it; None for grey pictures.
        v: Cr, likewise.
        coefficients: those of the planes.
        limited: video range (luma 16 to 235, chroma 16 to 240).
    """
    if limited:
        y = full_range(y)
    if u is None or v is None:
        return y, None, None
    if coefficients is Coefficients.BT601:
        table = _chroma_table()
        return (y, _mapped(u, table), _mapped(v, table)) if limited else (y, u, v)
    return _changed(y, u, v, _change_from(*_SHARES[coefficients]), 224 if limited else 255)


def _change_from(kr: float, kb: float) -> _Change:
    """Return the change to BT.601: through red, green and blue, each of which is Y plus shares of Cb and Cr."""
    red, blue = (0.0, 2 * (1 - kr)), (2 * (1 - kb), 0.0)
    green = tuple(-(kr * r + kb * b) / (1 - kr - kb) for r, b in zip(red, blue, strict=True))
    kr, kb = _SHARES[Coefficients.BT601]
    cb, cr = (kr * r + (1 - kr - kb) * g + kb * b for r, g, b in zip(red, green, blue, strict=True))
    return _Change(
        to_y=(cb, cr),
        to_u=((blue[0] - cb) / (2 * (1 - kb)), (blue[1] - cr) / (2 * (1 - kb))),
        to_v=((red[0] - cb) / (2 * (1 - kr)), (red[1] - cr) / (2 * (1 - kr))),
    )


def _changed(y: "Plane", u: "Plane", v: "Plane", change: _Change, steps: int) -> "tuple[Plane, Plane, Plane]":
    """Apply `change`; `steps` is the number of steps between the ends of chroma."""
    import numpy as np

    def added(shares: tuple[float, float], middle: int) -> "Offsets":
        levels = (np.arange(256) - 128) * (255 / steps * 2**_DIGITS)
        cb, cr = (np.rint(levels * share).astype(np.int16) for share in shares)
        total: Offsets = (cb[u] + cr[v] + np.int16((middle << _DIGITS) + 2 ** (_DIGITS - 1))) >> _DIGITS
        return total

    luma = y + _enlarged(added(change.to_y, 0), y.shape)
    return _clipped(luma), _clipped(added(change.to_u, 128)), _clipped(added(change.to_v, 128))


def _enlarged(offsets: "Offsets", shape: tuple[int, ...]) -> "Offsets":
    """Repeat lines and columns of chroma up to the size of luma."""
    import numpy as np

    for axis in (0, 1):
        if offsets.shape[axis] < shape[axis]:
            offsets = np.repeat(offsets, 2, axis=axis)
    return offsets[: shape[0], : shape[1]]


def _clipped(values: "Offsets") -> "Plane":
    import numpy as np

    return np.clip(values, 0, 255).astype(np.uint8)


def _luma_table() -> "Plane":
    import numpy as np

    levels = np.arange(256, dtype=np.float32)
    table: Plane = np.clip((levels - 16) * (255 / 219) + 0.5, 0, 255).astype(np.uint8)
    return table


def _chroma_table() -> "Plane":
    import numpy as np

    levels = np.arange(256, dtype=np.float32)
    table: Plane = np.clip((levels - 128) * (255 / 224) + 128.5, 0, 255).astype(np.uint8)
    return table


def _mapped(plane: "Plane", table: "Plane") -> "Plane":
    """Map each value through `table` by `bytes.translate`, four times as fast as indexing an array."""
    import numpy as np

    return np.frombuffer(plane.tobytes().translate(table.tobytes()), np.uint8).reshape(plane.shape)
