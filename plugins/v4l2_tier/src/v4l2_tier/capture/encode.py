"""Encoder from raw frames to JPEG by libjpeg-turbo; YUV formats are encoded plane by plane, without conversion to RGB.

numpy and simplejpeg are imported with the first frame: cameras that deliver JPEG never need them.
"""

from typing import TYPE_CHECKING

from v4l2_tier.capture.colours import full_range, to_jfif
from v4l2_tier.capture.fields import progressive
from v4l2_tier.capture.levels import with_levels
from v4l2_tier.capture.mosaic import with_colours
from v4l2_tier.capture.samples import bytes_of, contiguous, values_of
from v4l2_tier.device.raw_formats import Family, RawLayout
from v4l2_tier.settings import DeepLevels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

__all__ = ("encode",)


def encode(data: bytes, layout: RawLayout, quality: int, levels: DeepLevels = "full") -> bytes:
    """Return one frame as a baseline JPEG with the chroma sampling of its raw format; call in a worker thread.

    Args:
        data: at least `layout.size_bytes`.
        layout: layout of a format in `v4l2_tier.device.raw_formats.RAW_FORMATS`.
        quality: libjpeg's quality, 1 to 100.
        levels: black and white of grey and Bayer formats with more than 8 bits.
    """
    import simplejpeg

    if layout.format.is_yuv:
        y, u, v = (_whole(plane, layout) for plane in _yuv(data, layout))
        planes = to_jfif(y, u, v, layout.coefficients, limited=layout.is_limited_range)
        return bytes(simplejpeg.encode_jpeg_yuv_planes(*planes, quality))
    if layout.format.family is Family.GREY:
        return bytes(simplejpeg.encode_jpeg_yuv_planes(_grey(data, layout, levels), None, None, quality))
    picture, order = _coloured(data, layout, levels)
    picture = _whole(picture, layout)
    if layout.is_limited_range:
        picture = full_range(picture)
    return bytes(simplejpeg.encode_jpeg(contiguous(picture), quality, order, "420"))


def _grey(data: bytes, layout: RawLayout, levels: DeepLevels) -> "Plane":
    y = _whole(_eight_bits(data, layout, levels), layout)
    return full_range(y) if layout.is_limited_range else y


def _whole(plane: "Plane", layout: RawLayout) -> "Plane":
    """Return the plane without the comb of two fields."""
    return progressive(plane) if layout.interlaced else plane


def _eight_bits(data: bytes, layout: RawLayout, levels: DeepLevels) -> "Plane":
    (plane,) = layout.planes
    if not layout.format.is_deep:
        return bytes_of(data, layout, plane)
    return with_levels(values_of(data, layout, plane), layout.format.bits, levels)


def _coloured(data: bytes, layout: RawLayout, levels: DeepLevels) -> "tuple[Plane, str]":
    """Return a picture of three or four bytes for each pixel, and their order."""
    raw = layout.format
    if raw.family is Family.BAYER:
        return with_colours(_eight_bits(data, layout, levels), raw.order), "RGB"
    (plane,) = layout.planes
    if raw.family is Family.RGB_BITS:
        return _from_bits(data, layout), "RGB"
    picture = contiguous(bytes_of(data, layout, plane))
    return picture.reshape(layout.height, layout.width, len(raw.order)), raw.order


def _from_bits(data: bytes, layout: RawLayout) -> "Plane":
    """Return the colours that share a number of 16 bits, each stretched to 8."""
    import numpy as np

    values = values_of(data, layout, layout.planes[0])
    picture = np.empty((*values.shape, 3), np.uint8)
    for index, colour in enumerate("RGB"):
        order = layout.format.order
        count = order.count(colour)
        table = np.rint(np.arange(2**count) * (255 / (2**count - 1))).astype(np.uint8)
        picture[:, :, index] = table[(values >> (15 - order.rindex(colour))) & (2**count - 1)]
    return picture


def _yuv(data: bytes, layout: RawLayout) -> "tuple[Plane, Plane, Plane]":
    raw = layout.format
    planes = [bytes_of(data, layout, plane) for plane in layout.planes]
    if raw.family is Family.PACKED_YUV:
        (lines,) = planes
        period = len(raw.order)
        luma = period // raw.order.count("Y")
        y, u, v = (
            contiguous(lines[:, raw.order.index(letter) :: step])
            for letter, step in (("Y", luma), ("U", period), ("V", period))
        )
        return y[:, : layout.width], u, v
    if raw.family is Family.SEMI_PLANAR:
        y, pairs = planes
        u, v = (contiguous(pairs[:, raw.order.index(letter) :: 2]) for letter in "UV")
        return _luma(y), u, v
    y, first, second = planes
    u, v = (first, second) if raw.order == "UV" else (second, first)
    return _luma(y), u, v


def _luma(plane: "Plane") -> "Plane":
    """Return a plane whose samples lie beside each other; the lines may have padding."""
    return plane if plane.strides[1] == 1 else contiguous(plane)
