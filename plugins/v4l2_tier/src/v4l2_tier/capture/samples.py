"""Samples of raw frames as arrays, from each way in which V4L2 stores them."""

from typing import TYPE_CHECKING, Any

from v4l2_tier.device.raw_formats import PACKED_GROUPS, PlaneShape, RawLayout, Storage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Values = NDArray[np.uint16]

__all__ = ("bytes_of", "contiguous", "values_of")


def bytes_of(data: bytes, layout: RawLayout, plane: PlaneShape) -> "Plane":
    """Return the samples of a plane, a row for each line; of deeper samples the high 8 bits.

    Only for 8-bit samples, those in the high bits of 16, and packed ones.
    """
    if layout.format.storage is Storage.HIGH:
        return _lines(data, plane)[:, 1 : 2 * plane.samples : 2]
    if layout.format.storage is Storage.PACKED:
        return _high_bytes(_lines(data, plane), layout.format.bits)[:, : plane.samples]
    return _lines(data, plane)[:, : plane.samples]


def values_of(data: bytes, layout: RawLayout, plane: PlaneShape) -> "Values":
    """Return the samples of a plane as numbers of `layout.format.bits` bits, in a row for each line."""
    import numpy as np

    raw, lines = layout.format, _lines(data, plane)
    if raw.storage is Storage.BYTES:
        return lines[:, : plane.samples].astype(np.uint16)
    if raw.storage is Storage.PACKED:
        return _unpacked(lines, raw.bits)[:, : plane.samples]
    order = ">u2" if raw.storage is Storage.BIG_ENDIAN else "<u2"
    numbers = np.ascontiguousarray(lines[:, : 2 * plane.samples]).view(order)
    values: Values = numbers.astype(np.uint16, copy=False)
    if raw.storage is Storage.HIGH:
        values = values >> np.uint16(16 - raw.bits)
    return values


def contiguous(plane: Any) -> "Plane":
    import numpy as np

    copied: Plane = np.ascontiguousarray(plane)
    return copied


def _lines(data: bytes, plane: PlaneShape) -> "Plane":
    import numpy as np

    flat = np.frombuffer(data, np.uint8, plane.size_bytes, plane.offset)
    return flat.reshape(plane.lines, plane.line_bytes)


def _groups(lines: "Plane", bits: int) -> "Plane":
    """Return packed lines with an axis for the bytes of each group of samples."""
    _, size = PACKED_GROUPS[bits]
    whole = lines.shape[1] // size
    return lines[:, : whole * size].reshape(lines.shape[0], whole, size)


def _high_bytes(lines: "Plane", bits: int) -> "Plane":
    count, _ = PACKED_GROUPS[bits]
    groups = _groups(lines, bits)[:, :, :count]
    return groups.reshape(lines.shape[0], -1)


def _unpacked(lines: "Plane", bits: int) -> "Values":
    """Return numbers whose low bits come together behind the high bytes of their group, the first sample's lowest."""
    import numpy as np

    count, size = PACKED_GROUPS[bits]
    groups, low_bits = _groups(lines, bits), bits - 8
    tail = np.zeros(groups.shape[:2], np.uint32)
    for index in range(size - count):
        tail |= groups[:, :, count + index].astype(np.uint32) << np.uint32(8 * index)
    values = np.empty((*groups.shape[:2], count), np.uint16)
    for index in range(count):
        low = (tail >> np.uint32(low_bits * index)) & np.uint32(2**low_bits - 1)
        values[:, :, index] = (groups[:, :, index].astype(np.uint16) << low_bits) | low.astype(np.uint16)
    unpacked: Values = values.reshape(lines.shape[0], -1)
    return unpacked
