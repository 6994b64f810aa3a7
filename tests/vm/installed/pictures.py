"""Comparison of a picture with those that the simulated webcam sends."""

import tempfile
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from tests.vm.host.pictures import write_pictures

__all__ = ("nearest_picture",)

#: Mean difference of the 256 levels: between a picture and the same one compressed again, and between two different ones.
SAME, OTHER = 6.0, 10.0


def nearest_picture(file: Path) -> int:
    """Return the number of the webcam's picture that `file` shows; fail if it shows none, or two alike."""
    with Image.open(file) as picture, tempfile.TemporaryDirectory() as name:
        write_pictures(Path(name))
        sent = sorted((Path(name) / f"{picture.width}x{picture.height}").glob("*.jpg"))
        assert sent, f"the webcam has no pictures of {picture.size}"
        differences = [_difference(picture, each) for each in sent]
    best, second = sorted(differences)[:2]
    assert best < SAME, f"like none of the webcam's pictures: {differences}"
    assert second > OTHER, f"the webcam's pictures are alike: {differences}"
    return differences.index(best)


def _difference(picture: Image.Image, other: Path) -> float:
    with Image.open(other) as sent:
        difference = ImageChops.difference(picture.convert("RGB"), sent.convert("RGB"))
    return sum(ImageStat.Stat(difference).mean) / 3
