"""Encoder of raw frames to JPEG. Apart from the reader of frames, so that it is tested without a program.

numpy and simplejpeg are imported with the first frame: other programs never need them.
"""

from typing import TYPE_CHECKING

from libcamera_source.cam_output import FrameLine, StreamFormat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

__all__ = ("RAW_CODES", "encode")

#: Formats that are encoded, by libcamera's names.
RAW_CODES = frozenset({"NV12", "NV21", "YUV420", "YVU420"})


def encode(data: bytes, frame: FrameLine, stream: StreamFormat, quality: int) -> bytes | None:
    """Return a frame of full range as a JPEG, None if it is too short; call in a worker thread.

    Args:
        data: the planes one after the other, whose lines may have padding.
        frame: the sizes of the planes.
        stream: a format of `RAW_CODES`.
        quality: libjpeg's quality, 1 to 100.
    """
    import simplejpeg

    planes = _planes(data, frame, stream)
    return None if planes is None else bytes(simplejpeg.encode_jpeg_yuv_planes(*planes, quality))


def _planes(data: bytes, frame: FrameLine, stream: StreamFormat) -> "tuple[Plane, Plane, Plane] | None":
    import numpy as np

    height, width = stream.height, stream.width
    is_paired = stream.code in ("NV12", "NV21")
    luma_bytes = frame.planes_bytes[0] if len(frame.planes_bytes) > 1 else frame.size_bytes * 2 // 3
    stride = luma_bytes // height
    chroma_stride, chroma_width = (stride, width) if is_paired else (stride // 2, width // 2)
    half = height // 2
    chroma_bytes = chroma_stride * half
    if stride < width or len(data) < luma_bytes + chroma_bytes * (1 if is_paired else 2):
        return None
    values = np.frombuffer(data, np.uint8)

    def plane(at: int, line: int, lines: int, used: int) -> "Plane":
        return values[at : at + line * lines].reshape(lines, line)[:, :used]

    y = plane(0, stride, height, width)
    first = plane(luma_bytes, chroma_stride, half, chroma_width)
    if is_paired:
        second = first[:, 1::2]
        first = first[:, 0::2]
    else:
        second = plane(luma_bytes + chroma_bytes, chroma_stride, half, chroma_width)
    u, v = (first, second) if stream.code in ("NV12", "YUV420") else (second, first)
    return np.ascontiguousarray(y), np.ascontiguousarray(u), np.ascontiguousarray(v)
