"""Pictures converted, and read back by Pillow."""

import io
from pathlib import Path

import pytest
from PIL import Image

from agent_core.errors import CaptureFailed
from agent_core.media import images
from agent_core.models import CapturedAtSource, Picture, PictureFormat


def jpeg(width: int = 64, height: int = 48) -> Picture:
    output = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(output, "JPEG")
    return Picture(output.getvalue(), PictureFormat.JPG, width, height, 1.0, CapturedAtSource.DEVICE)


async def converted(
    picture: Picture,
    width: int | None = None,
    height: int | None = None,
    form: PictureFormat = PictureFormat.JPG,
    quality: int | None = None,
) -> Picture:
    return await images.convert(picture, width=width, height=height, form=form, quality=quality)


async def test_what_fits_already_is_not_touched() -> None:
    picture = jpeg()
    assert await converted(picture) is picture
    assert await converted(picture, 64, 48) is picture


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(32, None, (32, 24)), (None, 12, (16, 12)), (10, 40, (10, 40)), (128, None, (128, 96))],
)
async def test_sizes(width: int | None, height: int | None, size: tuple[int, int]) -> None:
    picture = await converted(jpeg(), width, height)
    assert (picture.width, picture.height) == size
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.size == size


async def test_png() -> None:
    picture = await converted(jpeg(), form=PictureFormat.PNG)
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.format == "PNG"
        assert abs(image.convert("RGB").getpixel((5, 5))[0] - 200) < 8  # type: ignore[index]


async def test_quality_changes_the_size() -> None:
    noisy = io.BytesIO()
    Image.effect_noise((128, 128), 80).convert("RGB").save(noisy, "JPEG", quality=95)
    picture = Picture(noisy.getvalue(), PictureFormat.JPG, 128, 128, 1.0, CapturedAtSource.DEVICE)
    low, high = await converted(picture, quality=10), await converted(picture, quality=95)
    assert len(low.data) < len(high.data) / 2


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", b"GIF89a", jpeg().data[:300]])
async def test_a_damaged_picture_is_an_error(data: bytes) -> None:
    picture = Picture(data, PictureFormat.JPG, 64, 48, 1.0, CapturedAtSource.DEVICE)
    with pytest.raises(CaptureFailed) as caught:
        await converted(picture, 32)
    assert caught.value.reason == "picture_damaged"


async def test_the_size_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(20, 10).data)
    (tmp_path / "b.jpg").write_bytes(b"no")
    assert await images.size_of(tmp_path / "a.jpg") == (20, 10)
    assert await images.size_of(tmp_path / "b.jpg") is None
    assert await images.size_of(tmp_path / "none.jpg") is None
