"""Encoder from raw frames to JPEG by libjpeg-turbo; YUV formats are encoded plane by plane, without conversion to RGB.

numpy and simplejpeg are imported with the first frame: cameras that deliver JPEG never need them.
"""

from typing import TYPE_CHECKING, Any

from v4l2_tier.capture.colours import full_range, to_jfif
from v4l2_tier.capture.fields import progressive
from v4l2_tier.device.raw_formats import RawLayout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

__all__ = ("encode",)

#: Offsets of the first Y, U and V byte in a group of four bytes.
_PACKED = {"YUYV": (0, 1, 3), "UYVY": (1, 0, 2), "YVYU": (0, 3, 1), "VYUY": (1, 2, 0)}


def encode(data: bytes, layout: RawLayout, quality: int) -> bytes:
    """Return one frame as a baseline JPEG with the chroma sampling of its raw format; call in a worker thread.

    Args:
        data: at least `layout.size_bytes`.
        layout: layout of a format in `v4l2_tier.device.modes.RAW_FORMATS`.
        quality: libjpeg's quality, 1 to 100.
    """
    import simplejpeg

    if layout.code in ("RGB3", "BGR3"):
        order = "RGB" if layout.code == "RGB3" else "BGR"
        picture = _lines(data, layout, layout.height, layout.line_bytes)[:, : layout.width * 3]
        if layout.interlaced:
            picture = progressive(picture)
        if layout.is_limited_range:
            picture = full_range(picture)
        shaped = _contiguous(picture).reshape(layout.height, layout.width, 3)
        return bytes(simplejpeg.encode_jpeg(shaped, quality, order, "420"))
    y, u, v = _planes(data, layout)
    if layout.interlaced:
        y, u, v = progressive(y), u if u is None else progressive(u), v if v is None else progressive(v)
    y, u, v = to_jfif(y, u, v, layout.coefficients, limited=layout.is_limited_range)
    return bytes(simplejpeg.encode_jpeg_yuv_planes(y, u, v, quality))


def _planes(data: bytes, layout: RawLayout) -> "tuple[Plane, Plane | None, Plane | None]":
    if layout.code == "GREY":
        return _lines(data, layout, layout.height, layout.line_bytes)[:, : layout.width], None, None
    if layout.code in _PACKED:
        return _packed_planes(data, layout)
    if layout.code in ("NV12", "NV21"):
        return _semi_planar(data, layout)
    return _planar(data, layout)


def _lines(data: bytes, layout: RawLayout, count: int, line_bytes: int, offset: int = 0) -> "Plane":
    import numpy as np

    flat = np.frombuffer(data, np.uint8, count * line_bytes, offset)
    return flat.reshape(count, line_bytes)


def _packed_planes(data: bytes, layout: RawLayout) -> "tuple[Plane, Plane, Plane]":
    first_y, first_u, first_v = _PACKED[layout.code]
    lines = _lines(data, layout, layout.height, layout.line_bytes)[:, : (layout.width + 1) // 2 * 4]
    y = _contiguous(lines[:, first_y::2])[:, : layout.width]
    return y, _contiguous(lines[:, first_u::4]), _contiguous(lines[:, first_v::4])


def _semi_planar(data: bytes, layout: RawLayout) -> "tuple[Plane, Plane, Plane]":
    y = _lines(data, layout, layout.height, layout.line_bytes)
    rows, columns = (layout.height + 1) // 2, (layout.width + 1) // 2
    pairs = _lines(data, layout, rows, layout.line_bytes, y.size)[:, : 2 * columns]
    first, second = _contiguous(pairs[:, 0::2]), _contiguous(pairs[:, 1::2])
    u, v = (first, second) if layout.code == "NV12" else (second, first)
    return y[:, : layout.width], u, v


def _planar(data: bytes, layout: RawLayout) -> "tuple[Plane, Plane, Plane]":
    y = _lines(data, layout, layout.height, layout.line_bytes)
    rows = layout.height if layout.code == "422P" else (layout.height + 1) // 2
    columns, line_bytes = (layout.width + 1) // 2, layout.chroma_line_bytes
    first = _lines(data, layout, rows, line_bytes, y.size)[:, :columns]
    second = _lines(data, layout, rows, line_bytes, y.size + first.shape[0] * line_bytes)[:, :columns]
    u, v = (second, first) if layout.code == "YV12" else (first, second)
    return y[:, : layout.width], u, v


def _contiguous(plane: Any) -> "Plane":
    import numpy as np

    copied: Plane = np.ascontiguousarray(plane)
    return copied
