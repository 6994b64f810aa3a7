"""Decoded pictures as JPEG files."""

import io
from dataclasses import dataclass
from typing import Any

import av
from av.video.reformatter import VideoReformatter
from PIL import Image

from rtsp_tier.worker.decoding import Decoded

__all__ = ("Still", "still")


@dataclass(frozen=True, slots=True)
class Still:
    """JPEG file of a picture, `width` x `height` pixels."""

    data: bytes
    width: int
    height: int


def still(decoded: Decoded, codec: str, quality: int) -> Still:
    """Return the picture as a JPEG.

    A Motion JPEG picture is passed on as it came; libav has added the headers that RTP leaves out (RFC 2435).
    Others become RGB by the matrix and range that the stream declares (BT.601 and limited if it declares none, as in
    FFmpeg), then JPEG, which is always BT.601 and full range.

    Args:
        decoded: the picture.
        codec: libav's name of the stream's codec.
        quality: quality of the encoding, from 1 to 100 (best).
    """
    frame = decoded.frame
    if codec == "mjpeg":
        return Still(bytes(decoded.entry.packet), frame.width, frame.height)
    return Still(_encoded(frame, quality), frame.width, frame.height)


def _encoded(frame: av.VideoFrame, quality: int) -> bytes:
    rgb = VideoReformatter().reformat(frame, format="rgb24", threads=1)
    plane = rgb.planes[0]
    view: Any = memoryview(plane)  # any buffer does, which Pillow's annotation does not say
    image = Image.frombuffer("RGB", (rgb.width, rgb.height), view, "raw", "RGB", plane.line_size, 1)
    output = io.BytesIO()
    image.save(output, "JPEG", quality=quality)
    return output.getvalue()
