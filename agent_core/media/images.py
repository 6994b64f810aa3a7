"""Changing a still: size and format, decoded by Pillow in a worker thread."""

import io
from dataclasses import replace
from pathlib import Path

import anyio.to_thread

from agent_core.errors import CaptureFailed
from agent_core.models import Picture, PictureFormat

__all__ = ("convert", "size_of")

_PILLOW_NAMES = {PictureFormat.JPG: "JPEG", PictureFormat.PNG: "PNG"}


def _fitted(picture: Picture, width: int | None, height: int | None) -> tuple[int, int]:
    """The wanted size in pixels; with one side given the other keeps the proportions."""
    if width is None and height is None:
        return picture.width, picture.height
    if height is None:
        assert width is not None  # noqa: S101 - the case above
        return width, max(1, round(picture.height * width / picture.width))
    return width or max(1, round(picture.width * height / picture.height)), height


def _render(picture: Picture, size: tuple[int, int], form: PictureFormat, quality: int) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture.data)) as image:
            image.draft("RGB", size)  # lets the JPEG decoder skip what a smaller picture does not need
            resized = image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
            output = io.BytesIO()
            resized.save(output, _PILLOW_NAMES[form], quality=quality)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CaptureFailed(
            "The camera's picture could not be decoded.",
            reason="picture_damaged",
            detail=type(error).__name__,
        ) from error
    return output.getvalue()


async def convert(
    picture: Picture,
    *,
    width: int | None,
    height: int | None,
    form: PictureFormat,
    quality: int | None,
    default_quality: int = 90,
) -> Picture:
    """`picture` in the wanted size (pixels), format and JPEG quality (1 to 100); untouched where it already fits.

    `default_quality` is for pictures that have to be encoded while `quality` asks for none in particular.
    With both sides given the picture has exactly that size, its proportions changed where they differ.

    Raises:
        CaptureFailed: it cannot be decoded.
    """
    size = _fitted(picture, width, height)
    if size == (picture.width, picture.height) and form is picture.format and quality is None:
        return picture
    data = await anyio.to_thread.run_sync(_render, picture, size, form, quality or default_quality)
    return replace(picture, data=data, format=form, width=size[0], height=size[1])


async def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height (pixels) of an image file, read from its header; None if it is not one."""
    return await anyio.to_thread.run_sync(_size_of, path)


def _size_of(path: Path) -> tuple[int, int] | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.size
    except (UnidentifiedImageError, OSError, ValueError):
        return None
