import io
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from PIL import Image, ImageDraw, ImageFilter

from agent_core.plugin import ffmpeg, jpeg
from agent_core.plugin.ffmpeg import stream
from virtual_camera import burnt_in, marks
from virtual_camera.burnt_in import Mark, MarkUnreadable
from virtual_camera.ffmpeg_arguments import arguments
from virtual_camera.settings import CameraSettings
from virtual_camera.smjpeg import SmjpegReader
from virtual_camera.timed_picture import TimedPicture

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Enough(Exception):
    """Signal that enough pictures have arrived."""


async def pictures(
    program: str, camera: CameraSettings, count: int, first_counter: int = 1
) -> list[TimedPicture]:
    """Return the first pictures that FFmpeg draws for `camera`."""
    reader, found = SmjpegReader(), list[TimedPicture]()

    def receive(piece: bytes) -> None:
        found.extend(reader.feed(piece))
        if len(found) >= count:
            raise Enough

    with anyio.fail_after(40), pytest.raises(Enough):
        await stream(program, arguments(camera, first_counter), receive)
    return found[:count]


def check(found: list[TimedPicture], first_counter: int = 1) -> list[Mark]:
    """Assert consecutive counters and ordered times equal to the container's; return the marks."""
    read = [burnt_in.read(each.data) for each in found]
    assert [each.counter for each in read] == list(range(first_counter, first_counter + len(read)))
    for mark, each in zip(read, found, strict=True):
        assert (mark.drawn_at - EPOCH) // timedelta(milliseconds=1) % 2**32 == each.time_ms
    assert all(earlier.drawn_at <= later.drawn_at for earlier, later in pairwise(read))
    return read


@pytest.mark.parametrize(
    ("width", "height"),
    [(160, 120), (176, 144), (320, 240), (354, 200), (640, 480), (800, 602), (1280, 720), (1920, 1080)],
)
@pytest.mark.parametrize("pixel_format", ["yuvj420p", "yuvj422p", "yuvj444p"])
async def test_every_size_and_format_is_readable(
    program: str, width: int, height: int, pixel_format: str
) -> None:
    camera = CameraSettings.model_validate(
        {"name": "a", "width": width, "height": height, "fps": 60, "pixel_format": pixel_format}
    )
    begin = datetime.now(UTC)
    found = await pictures(program, camera, 8)
    end = datetime.now(UTC)
    read = check(found)
    assert begin <= read[0].drawn_at
    assert read[-1].drawn_at <= end
    for each in found:
        info = jpeg.inspect(each.data)
        assert (info.width, info.height) == (width, height)
    with Image.open(io.BytesIO(found[0].data)) as image:
        subsampling = {"yuvj420p": (2, 2), "yuvj422p": (2, 1), "yuvj444p": (1, 1)}[pixel_format]
        luma, chroma = image.layer[0], image.layer[1]  # type: ignore[attr-defined] # JpegImageFile's
        assert (luma[1] / chroma[1], luma[2] / chroma[2]) == subsampling


@pytest.mark.parametrize("first_counter", [0xFFFF, 0x7FFFFFFE, 0xFFFFFFFD])
async def test_the_counter_starts_anywhere(program: str, first_counter: int) -> None:
    found = await pictures(program, CameraSettings(name="a", width=160, height=120, fps=60), 3, first_counter)
    check(found, first_counter)


async def test_the_counter_wraps_as_a_32_bit_number(program: str) -> None:
    camera = CameraSettings(name="a", width=160, height=120, fps=60)
    found = await pictures(program, camera, 3, 0xFFFFFFFF)
    assert [burnt_in.read(each.data).counter for each in found] == [0xFFFFFFFF, 0, 1]


@pytest.mark.parametrize(("width", "height"), [(160, 120), (640, 480)])
async def test_marks_survive_resizing_and_recompression(program: str, width: int, height: int) -> None:
    camera = CameraSettings(name="a", width=width, height=height, fps=60)
    for each in await pictures(program, camera, 20):
        mark = burnt_in.read(each.data)
        with Image.open(io.BytesIO(each.data)) as whole:
            half = whole.resize((width // 2, height // 2))
            wide = whole.resize((width * 3 // 2, height))
            soft = whole.filter(ImageFilter.GaussianBlur(1))
            grey = whole.convert("L")
        for image in (half, wide, soft, grey):
            for options in (
                {"format": "PNG"},
                {"format": "JPEG", "quality": 50, **({} if image is grey else {"subsampling": 2})},
            ):
                output = io.BytesIO()
                image.save(output, **options)
                assert burnt_in.read(output.getvalue()) == mark


@pytest.mark.parametrize(("width", "height"), [(160, 120), (640, 480)])
async def test_marks_survive_h264(program: str, width: int, height: int, tmp_path: Path) -> None:
    found = await pictures(program, CameraSettings(name="a", width=width, height=height, fps=60), 40)
    source, video = tmp_path / "in.mjpeg", tmp_path / "video.mp4"
    source.write_bytes(b"".join(each.data for each in found))
    encode = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-pix_fmt", "yuv420p", str(video))
    await ffmpeg.run(program, ("-f", "mjpeg", "-i", str(source), *encode))
    await ffmpeg.run(program, ("-i", str(video), str(tmp_path / "%03d.png")))
    for number, each in enumerate(found, start=1):
        again = await anyio.Path(tmp_path / f"{number:03d}.png").read_bytes()
        assert burnt_in.read(again) == burnt_in.read(each.data)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
async def test_a_looped_image(program: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"an image 100%d{suffix}"
    Image.new("RGB", (100, 50), (200, 30, 30)).save(file)
    camera = CameraSettings(name="a", picture="file", file=file, width=320, height=240, fps=30)
    found = await pictures(program, camera, 40)
    check(found)
    with Image.open(io.BytesIO(found[-1].data)) as image:
        red, green, _ = image.getpixel((160, 150))  # type: ignore[misc]
        assert red > 150
        assert green < 80


@pytest.mark.parametrize("rate", [10, 50])
async def test_a_looped_video_goes_on_at_the_configured_rate(program: str, rate: int, tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    clip = ("-f", "lavfi", "-i", f"testsrc2=s=128x96:r={rate}:d=0.5", "-c:v", "mpeg4", "-bf", "2", str(file))
    await ffmpeg.run(program, clip)
    camera = CameraSettings(name="a", picture="file", file=file, width=320, height=240, fps=30)
    check(await pictures(program, camera, 50))


def drawn(counter: int, at: datetime, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return the strip drawn with Pillow, a second implementation of the layout."""
    image = Image.new("RGB", size, (90, 120, 160))
    draw = ImageDraw.Draw(image)
    epoch_ms = (at - EPOCH) // timedelta(milliseconds=1)
    words = [counter >> 16, counter & 0xFFFF, epoch_ms >> 32, epoch_ms >> 16 & 0xFFFF, epoch_ms & 0xFFFF]
    words.append((sum(words) + marks.CHECK_OFFSET) % 65536)
    for row, word in zip(marks.cells(*size), words, strict=True):
        bits = f"1{word:016b}0"
        for cell, bit in zip(row, bits, strict=True):
            corner = (cell.x + cell.width - 1, cell.y + cell.height - 1)
            draw.rectangle(((cell.x, cell.y), corner), fill=(255,) * 3 if bit == "1" else (0,) * 3)
    return image


def png(image: Image.Image) -> bytes:
    output = io.BytesIO()
    image.save(output, "PNG")
    return output.getvalue()


def test_the_layout_is_what_the_readme_says() -> None:
    at = datetime(2026, 11, 22, 17, 3, 54, 123000, tzinfo=UTC)
    assert burnt_in.read(png(drawn(0xDEADBEEF, at))) == Mark(0xDEADBEEF, at)


def test_any_wrong_cell_is_noticed() -> None:
    image = drawn(12345, datetime(2026, 11, 22, tzinfo=UTC))
    for row in marks.cells(*image.size):
        for cell in row[1:-1]:
            wrong = image.copy()
            box = (cell.x, cell.y, cell.x + cell.width, cell.y + cell.height)
            inside = 0 if image.getpixel((cell.x + 2, cell.y + 2)) == (255, 255, 255) else 255
            wrong.paste((inside,) * 3, box)
            with pytest.raises(MarkUnreadable, match="checksum"):
                burnt_in.read(png(wrong))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (b"", "not a whole picture"),
        (b"no picture", "not a whole picture"),
        (png(drawn(1, EPOCH))[:200], "not a whole picture"),
        (png(Image.new("RGB", (320, 240), (120, 120, 120))), "no strip"),
        (png(drawn(1, EPOCH).transpose(Image.Transpose.FLIP_LEFT_RIGHT)), "no strip"),
    ],
)
def test_what_is_unreadable_is_said_to_be(picture: bytes, message: str) -> None:
    with pytest.raises(MarkUnreadable, match=message):
        burnt_in.read(picture)


def test_noise_is_no_mark() -> None:
    chance = random.Random(2)
    for _ in range(50):
        noise = Image.frombytes("L", (18, 24), chance.randbytes(18 * 24)).resize(
            (180, 240), Image.Resampling.NEAREST
        )
        with pytest.raises(MarkUnreadable):
            burnt_in.read(png(noise))


def test_an_impossible_time_is_no_mark() -> None:
    image = drawn(1, EPOCH)
    draw = ImageDraw.Draw(image)
    words = [0, 1, 0xFFFF, 0xFFFF, 0xFFFF, (1 + 3 * 0xFFFF + marks.CHECK_OFFSET) % 65536]
    for row, word in zip(marks.cells(*image.size), words, strict=True):
        for cell, bit in zip(row[1:-1], f"{word:016b}", strict=True):
            corner = (cell.x + cell.width - 1, cell.y + cell.height - 1)
            draw.rectangle(((cell.x, cell.y), corner), fill=(255,) * 3 if bit == "1" else (0,) * 3)
    with pytest.raises(MarkUnreadable, match="impossible time"):
        burnt_in.read(png(image))
