"""Conversion of pictures by Pillow, and their size from the header. All functions block."""

import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from agent_core.base.errors import CaptureFailed
from agent_core.base.models import CapturedAtSource, Picture, PictureFormat
from agent_core.base.small_files import open_regular

if TYPE_CHECKING:
    from PIL import Image

__all__ = ("ConversionAbandoned", "Wanted", "picture_in", "render", "size_of")

#: The formats that we store. Without a list Pillow tries all formats, and starts Ghostscript for EPS.
_PILLOW_NAMES = {PictureFormat.JPG: "JPEG", PictureFormat.PNG: "PNG"}
#: Level of zlib: takes a third of the time of Pillow's default (6); camera pictures get no larger.
_PNG_LEVEL = 3
#: Start-of-frame markers of ITU-T T.81, table B.1: C0 to CF without DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Limit of the segments read in search of the frame header; a camera writes a dozen.
_MAX_JPEG_SEGMENTS = 1000


class ConversionAbandoned(Exception):
    """Conversion ended because no caller waits for it any more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Form in which a caller wants a picture.

    Args:
        form: the file's format.
        width: in pixels; None keeps the proportions.
        height: in pixels; None keeps the proportions.
        quality: JPEG quality, 1 to 100; None keeps a JPEG of the wanted size unchanged.
        default_quality: JPEG quality for a picture that must be encoded although `quality` is None.
    """

    form: PictureFormat
    width: int | None = None
    height: int | None = None
    quality: int | None = None
    default_quality: int = 90

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in pixels after converting a picture of `width` x `height`; neither side ever grows.

        With both sides given, the result has their proportions. If the source is smaller than the wanted size, that
        size shrinks proportionally until it fits.
        """
        if self.width is None and self.height is None:
            return width, height
        wanted_width = self.width or (self.height or 0) * width / height
        wanted_height = self.height or (self.width or 0) * height / width
        shrink = min(1.0, width / wanted_width, height / wanted_height)
        return max(1, round(wanted_width * shrink)), max(1, round(wanted_height * shrink))

    def is_met_by(self, picture: Picture) -> bool:
        """Return True if `picture` already has this form."""
        size = (picture.width, picture.height)
        return self.size_for(*size) == size and self.form is picture.format and self.quality is None


class _Source(io.BytesIO):
    """Data of a picture for Pillow; calls `checkpoint` before each read."""

    def __init__(self, data: bytes, checkpoint: Callable[[], None]) -> None:
        super().__init__(data)
        self._checkpoint = checkpoint

    def read(self, size: int | None = -1, /) -> bytes:
        self._checkpoint()
        return super().read(size)


class _Output(io.BytesIO):
    """Buffer for the file that Pillow encodes; calls `checkpoint` before each write."""

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        super().__init__()
        self._checkpoint = checkpoint

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]  # Pillow's types
        self._checkpoint()
        return super().write(data)


def render(picture: Picture, wanted: Wanted, max_pixels: int, is_abandoned: Callable[[], bool]) -> Picture:
    """Decode `picture` and encode it as `wanted`.

    Memory is bounded by `max_pixels`: about 8 bytes per pixel, and the encoded picture.

    Args:
        picture: a JPEG or PNG; the size in its header counts, not its `width` and `height`.
        wanted: the form of the result.
        max_pixels: a larger picture is refused before decoding.
        is_abandoned: called in this thread during decoding and encoding.

    Raises:
        CaptureFailed: `picture_damaged`, `picture_too_large` or `out_of_memory`.
        ConversionAbandoned: `is_abandoned` returned True.
    """

    def checkpoint() -> None:
        if is_abandoned():
            raise ConversionAbandoned

    _refuse_too_large(picture, max_pixels)
    from PIL import Image

    try:
        with Image.open(_Source(picture.data, checkpoint), formats=tuple(_PILLOW_NAMES.values())) as image:
            size = wanted.size_for(*image.size)
            output = _Output(checkpoint)
            _resized(image, size).save(output, _PILLOW_NAMES[wanted.form], **_options(wanted))
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise _damaged(type(error).__name__) from error
    except MemoryError as error:
        raise CaptureFailed(
            "There is not enough memory to convert the picture.",
            reason="out_of_memory",
            suggestion="Leave out format, quality, width and height, or lower the camera's resolution.",
        ) from error
    return replace(picture, data=output.getvalue(), format=wanted.form, width=size[0], height=size[1])


def _options(wanted: Wanted) -> dict[str, int]:
    if wanted.form is PictureFormat.PNG:
        return {"compress_level": _PNG_LEVEL}
    return {"quality": wanted.quality or wanted.default_quality}


def _resized(image: "Image.Image", size: tuple[int, int]) -> "Image.Image":
    from PIL.Image import Resampling

    image.draft("RGB", size)  # lets the JPEG decoder skip detail that a smaller picture does not need
    if image.mode == "P" and "transparency" in image.info:  # Pillow warns about the direct way
        image = image.convert("RGBA")
    plain = image if image.mode == "RGB" else image.convert("RGB")
    return plain if plain.size == size else plain.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


def _refuse_too_large(picture: Picture, max_pixels: int) -> None:
    size = _size_in(io.BytesIO(picture.data))
    if size is None:
        raise _damaged("its header")
    if size[0] * size[1] > max_pixels:
        raise CaptureFailed(
            f"The camera's picture has {size[0]}x{size[1]} pixels, too many to convert.",
            reason="picture_too_large",
            suggestion="Leave out format, quality, width and height, or raise snapshots.max_pixels.",
        )


def _damaged(detail: str) -> CaptureFailed:
    return CaptureFailed(
        "The camera's picture could not be decoded.", reason="picture_damaged", detail=detail
    )


def picture_in(data: bytes) -> Picture:
    """Return the JPEG or PNG in `data`, with the size of its header; nothing is decoded, and its age is not known.

    Raises:
        CaptureFailed: `picture_damaged`: it is neither.
    """
    size = _size_in(io.BytesIO(data))
    if size is None:
        raise _damaged("its header")
    form = PictureFormat.JPG if data.startswith(b"\xff\xd8") else PictureFormat.PNG
    return Picture(data, form, *size, 0.0, CapturedAtSource.ESTIMATED)


def size_of(path: Path) -> tuple[int, int] | None:
    """Return width and height (pixels) from the header of a JPEG or PNG; None if the file is neither.

    Nothing is decoded: a damaged file may state any size.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return _size_in(file)
    except OSError:
        return None


def _size_in(file: BinaryIO) -> tuple[int, int] | None:
    start = file.read(24)
    if start[:2] == b"\xff\xd8":
        size = _jpeg_size(file)
    elif start[:8] == b"\x89PNG\r\n\x1a\n" and start[12:16] == b"IHDR" and len(start) == 24:
        size = struct.unpack(">II", start[16:])
    else:
        size = None
    return (size[0], size[1]) if size and all(size) else None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return the size from the frame header, which states the height before the width."""
    file.seek(2)
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker = file.read(2)
        while marker == b"\xff\xff":  # fill bytes
            marker = marker[1:] + file.read(1)
        head = file.read(7)
        if len(marker) < 2 or marker[0] != 0xFF or len(head) < 2:
            return None
        if marker[1] in _JPEG_FRAMES:
            return struct.unpack(">HH", head[3:7])[::-1] if len(head) == 7 else None
        file.seek(max(2, int.from_bytes(head[:2])) - len(head), io.SEEK_CUR)
    return None
