"""Pictures converted, and read back by Pillow."""

import io
import os
import random
import struct
import zlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from agent_core.base.errors import CaptureFailed
from agent_core.base.models import CapturedAtSource, Picture, PictureFormat
from agent_core.snapshots import images
from agent_core.snapshots.images import Wanted

MAX_PIXELS = 200 * 200


def jpeg(width: int = 64, height: int = 48) -> Picture:
    output = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(output, "JPEG")
    return Picture(output.getvalue(), PictureFormat.JPG, width, height, 1.0, CapturedAtSource.DEVICE)


def converted(
    picture: Picture,
    width: int | None = None,
    height: int | None = None,
    form: PictureFormat = PictureFormat.JPG,
    quality: int | None = None,
) -> Picture:
    return images.render(picture, Wanted(form, width, height, quality), MAX_PIXELS, lambda: False)


def png_header(width: int, height: int) -> bytes:
    """A PNG with a header and no picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def claiming(data: bytes, width: int, height: int) -> bytes:
    """The JPEG `data` with another size in its frame header."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def test_what_is_wanted_already_is_known_by_size_and_format() -> None:
    picture = jpeg()
    assert Wanted(PictureFormat.JPG).is_met_by(picture)
    assert Wanted(PictureFormat.JPG, 64, 48).is_met_by(picture)
    assert Wanted(PictureFormat.JPG, 8192).is_met_by(picture)
    assert not Wanted(PictureFormat.JPG, 32).is_met_by(picture)
    assert not Wanted(PictureFormat.PNG).is_met_by(picture)
    assert not Wanted(PictureFormat.JPG, quality=50).is_met_by(picture)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (32, None, (32, 24)),
        (None, 12, (16, 12)),
        (10, 40, (10, 40)),
        (128, None, (64, 48)),
        (None, 8192, (64, 48)),
        (8192, 8192, (48, 48)),
        (128, 24, (64, 12)),
        (1, 8192, (1, 48)),
        (8192, 1, (64, 1)),
    ],
)
def test_sizes_never_grow_beyond_the_source(
    width: int | None, height: int | None, size: tuple[int, int]
) -> None:
    picture = converted(jpeg(), width, height)
    assert (picture.width, picture.height) == size
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.size == size


def test_png() -> None:
    picture = converted(jpeg(), form=PictureFormat.PNG)
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.format == "PNG"
        assert abs(image.convert("RGB").getpixel((5, 5))[0] - 200) < 8  # type: ignore[index]


def test_quality_changes_the_size() -> None:
    noisy = io.BytesIO()
    Image.effect_noise((128, 128), 80).convert("RGB").save(noisy, "JPEG", quality=95)
    picture = Picture(noisy.getvalue(), PictureFormat.JPG, 128, 128, 1.0, CapturedAtSource.DEVICE)
    low, high = converted(picture, quality=10), converted(picture, quality=95)
    assert len(low.data) < len(high.data) / 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff\xd9",
        b"GIF89a",
        jpeg().data[:300],
        png_header(4, 4),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\xff" * 99,
    ],
)
def test_a_damaged_picture_is_an_error(data: bytes) -> None:
    picture = Picture(data, PictureFormat.JPG, 64, 48, 1.0, CapturedAtSource.DEVICE)
    with pytest.raises(CaptureFailed) as caught:
        converted(picture, 32)
    assert caught.value.reason == "picture_damaged"


def test_other_formats_are_not_tried() -> None:
    """Pillow knows some forty, and one of them starts an interpreter."""
    output = io.BytesIO()
    Image.new("RGB", (64, 48)).save(output, "BMP")
    picture = Picture(output.getvalue(), PictureFormat.JPG, 64, 48, 1.0, CapturedAtSource.DEVICE)
    with pytest.raises(CaptureFailed) as caught:
        converted(picture, 32)
    assert caught.value.reason == "picture_damaged"


@pytest.mark.parametrize(
    "data", [claiming(jpeg().data, 60000, 60000), png_header(60000, 60000), png_header(401, 100)]
)
def test_a_picture_with_too_many_pixels_is_refused_by_its_own_header(data: bytes) -> None:
    picture = Picture(data, PictureFormat.JPG, 64, 48, 1.0, CapturedAtSource.DEVICE)
    with pytest.raises(CaptureFailed) as caught:
        converted(picture, 32)
    assert caught.value.reason == "picture_too_large"


@pytest.mark.parametrize("form", PictureFormat)
def test_what_is_abandoned_ends_between_two_pieces(form: PictureFormat) -> None:
    noise = io.BytesIO()
    Image.effect_noise((200, 200), 80).convert("RGB").save(noise, "PNG")
    picture = Picture(noise.getvalue(), PictureFormat.PNG, 200, 200, 1.0, CapturedAtSource.DEVICE)
    asked = 0

    def later(number: int) -> bool:
        nonlocal asked
        asked += 1
        return asked > number

    images.render(picture, Wanted(form, quality=99), MAX_PIXELS, lambda: later(10**9))
    assert asked > 3
    for number in (0, 1, asked - 1):
        asked = 0
        with pytest.raises(images.ConversionAbandoned):
            images.render(picture, Wanted(form, quality=99), MAX_PIXELS, lambda: later(number))  # noqa: B023


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (jpeg(20, 10).data, (20, 10)),
        (claiming(jpeg().data, 65500, 65500), (65500, 65500)),
        (png_header(60000, 60000), (60000, 60000)),
        (jpeg().data[:20], None),
        (b"\xff\xd8" + b"\xff\xe1\xff\xff" * 3, None),
        (b"\xff\xd8" + b"\xff" * 5000, None),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 100_000, None),
        (png_header(0, 5), None),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, None),
        (b"", None),
        (b"some text", None),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999999 99999999\n%%EOF\n", None),
        (b"GIF89a" + b"\xff" * 100, None),
        (b"II*\0" + b"\xff" * 100, None),
    ],
)
def test_the_size_of_a_file_is_read_from_its_header(
    data: bytes, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert images.size_of(tmp_path / "a.jpg") == size


def test_a_header_behind_a_large_segment_is_found(tmp_path: Path) -> None:
    whole = jpeg(20, 10).data
    segment = b"\xff\xe2\xff\xff" + b"\xff\xc0" * 32766 + b"x"
    (tmp_path / "a.jpg").write_bytes(whole[:2] + segment * 3 + whole[2:])
    assert images.size_of(tmp_path / "a.jpg") == (20, 10)


def test_a_file_that_is_not_there_has_no_size(tmp_path: Path) -> None:
    assert images.size_of(tmp_path / "none.jpg") is None


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """Opening a FIFO would wait for a writer."""
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "real.jpg").write_bytes(jpeg().data)
    (tmp_path / "link.jpg").symlink_to("real.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert [images.size_of(tmp_path / f"{name}.jpg") for name in ("fifo", "link", "folder")] == [None] * 3


def test_whatever_is_damaged_is_told_from_what_is_not() -> None:
    """Bytes changed at random give a picture or the one error, nothing else."""
    chance = random.Random(9)
    outcomes: Counter[str] = Counter()
    noise = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(noise, "PNG")
    for data in (jpeg().data, noise.getvalue()):
        for _ in range(300):
            changed = bytearray(data)
            for _ in range(chance.randrange(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            picture = Picture(bytes(changed), PictureFormat.JPG, 64, 48, 1.0, CapturedAtSource.DEVICE)
            try:
                outcomes[str(converted(picture, 32).width > 0)] += 1
            except CaptureFailed as error:
                outcomes[error.reason] += 1
    assert set(outcomes) <= {"True", "picture_damaged", "picture_too_large"}
    assert outcomes["True"]
    assert outcomes["picture_damaged"]
