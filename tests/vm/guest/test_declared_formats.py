"""What vivid's driver declares of a picture, and what another program has left there: colours, ranges and fields."""

import io
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from tests.vm.guest.captured import captured
from tests.vm.guest.programs import output_of
from tests.vm.guest.test_bridges import WEBCAM_AND_S_VIDEO
from tests.vm.guest.test_producer_vivid import colours, formats
from tests.vm.guest.vivid import LoadVivid
from v4l2_tier.device.capabilities import FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.settings import CaptureSettings

WIDTH, HEIGHT = 640, 360
#: Entries of vivid's menus: colorspace, y_cbcr_encoding and quantization.
SRGB, REC_709 = 2, 1
FROM_COLORSPACE, FULL, LIMITED = 0, 1, 2
#: Shares of red and blue in the luma, from ITU-R BT.601 and BT.709.
LUMA = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}
#: Menu entry of horizontal bars, so that the rows of a picture differ.
HORIZONTAL_BARS = 3


def rgb(y: int, u: int, v: int, luma: str) -> tuple[float, ...]:
    """Return the colour of a sample in limited range."""
    kr, kb = LUMA[luma]
    grey, blue, red = (y - 16) / 219, (u - 128) / 112 * (1 - kb), (v - 128) / 112 * (1 - kr)
    b, r = grey + blue, grey + red
    return tuple(255 * each for each in (r, (grey - kr * r - kb * b) / (1 - kr - kb), b))


def declared(data: bytes, code: str, luma: str) -> list[tuple[float, ...]]:
    """Return the colours at the middles of the eight bars of a raw picture, as `colours` does."""
    found = []
    for index in range(8):
        at = 330 * WIDTH + index * 80 + 40
        if code == "RGB3":
            found.append(tuple((each - 16) * 255 / 219 for each in data[3 * at : 3 * at + 3]))
        else:
            y, u, _, v = data[2 * at : 2 * at + 4]
            found.append(rgb(y, u, v, luma))
    return found


@pytest.mark.parametrize(
    ("code", "colorspace", "quantization", "luma"),
    [
        ("YUYV", SRGB, FROM_COLORSPACE, "601"),
        ("YUYV", REC_709, FROM_COLORSPACE, "709"),
        ("RGB3", SRGB, LIMITED, ""),
    ],
)
async def test_the_declared_colours_are_those_of_the_picture(
    vivid: LoadVivid, tmp_path: Path, code: str, colorspace: int, quantization: int, luma: str
) -> None:
    raw = tmp_path / "raw"
    async with vivid(1) as (camera,):
        for control, value in (("colorspace", colorspace), ("quantization", quantization)):
            await camera.root.run("v4l2-ctl", "-d", str(camera.node), "-c", f"{control}={value}")
        async with captured(camera.node, formats(code), CaptureSettings(jpeg_quality=95)) as taken:
            shown = colours((await taken.fresh()).data)
        await output_of(
            "v4l2-ctl", "-d", camera.node, "--stream-mmap", "--stream-count=1", f"--stream-to={raw}"
        )
    wanted = declared(raw.read_bytes(), code, luma)
    assert len(set(shown)) == 8
    for want, got in zip(wanted, shown, strict=True):
        assert max(abs(min(max(a, 0), 255) - b) for a, b in zip(want, got, strict=True)) <= 4, (wanted, shown)


def rows(jpeg: bytes) -> list[tuple[int, ...]]:
    """Return the colours down the right side of a picture, without the text at its left."""
    with Image.open(io.BytesIO(jpeg)) as image:
        shown = image.convert("RGB")
    found = [shown.getpixel((700, 36 + 72 * index)) for index in range(8)]
    return [each for each in found if isinstance(each, tuple)]


async def test_fields_that_another_program_has_left_do_not_split_the_picture(vivid: LoadVivid) -> None:
    interval = Fraction(1, 25)
    size = FrameSize(Span(720, 720), Span(576, 576), (Intervals(interval, interval),))
    offered = (PixelFormat("YUYV", "YUYV", (size,)),)
    settings = CaptureSettings(input=1, standard="PAL")
    shown = {}
    async with vivid(1, num_inputs=2, input_types=WEBCAM_AND_S_VIDEO) as (camera,):
        set_up = ("v4l2-ctl", "-d", camera.node)
        await output_of(
            *set_up, "--set-input=1", "--set-standard=pal", "-c", f"test_pattern={HORIZONTAL_BARS}"
        )
        for field in ("interlaced", "seq_tb", "alternate", "top", "interlaced,bytesperline=2048"):
            left = f"--set-fmt-video=width=720,height=576,pixelformat=YUYV,field={field}"
            await output_of(*set_up, left)
            async with captured(camera.node, offered, settings) as taken:
                frame = await taken.fresh()
            assert (frame.width, frame.height) == (720, 576), field
            shown[field] = rows(frame.data)
    whole = shown.pop("interlaced")
    assert len(set(whole)) == 8
    for field, found in shown.items():
        for want, got in zip(whole, found, strict=True):
            assert max(abs(a - b) for a, b in zip(want, got, strict=True)) <= 8, (field, whole, found)
