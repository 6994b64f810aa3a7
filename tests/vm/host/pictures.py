"""JPEG files for simulated webcams: like a webcam's, 4:2:2 and tens of kilobytes, all different."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

__all__ = ("SIZES", "write_pictures")

SIZES = ((160, 120), (320, 240), (640, 480), (1280, 720), (1920, 1080))
#: Number of distinct pictures; a stream repeats them.
COUNT = 6


def write_pictures(folder: Path) -> None:
    """Write `WIDTHxHEIGHT/N.jpg` and `WIDTHxHEIGHT/dark/0.jpg`, with the same bytes each time."""
    for width, height in SIZES:
        here = folder / f"{width}x{height}"
        (here / "dark").mkdir(parents=True)
        ground = _ground(width, height)
        for number in range(COUNT):
            _save(_marked(ground, number), here / f"{number}.jpg")
        _save(Image.new("RGB", (width, height), (3, 3, 4)), here / "dark/0.jpg")


def _ground(width: int, height: int) -> Image.Image:
    noise = random.Random(width).randbytes(40 * 30 * 3)
    return Image.frombytes("RGB", (40, 30), noise).resize((width, height), Image.Resampling.BICUBIC)


def _marked(ground: Image.Image, number: int) -> Image.Image:
    """Return `ground` with a white bar at a position that encodes `number`."""
    picture = ground.copy()
    width, height = picture.size
    left = width * number // COUNT
    ImageDraw.Draw(picture).rectangle((left, height // 3, left + width // COUNT, height * 2 // 3), "white")
    return picture


def _save(picture: Image.Image, path: Path) -> None:
    picture.save(path, "JPEG", quality=85, subsampling="4:2:2")
