"""Thermal camera that offers 16-bit values only, from its buffers to the broker's frame."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.settings import CaptureSettings, DeepLevels

from .bench import running

WIDTH, HEIGHT = 160, 120
SIZE = FrameSize(Span(WIDTH, WIDTH), Span(HEIGHT, HEIGHT), (Intervals(Fraction(1, 9), Fraction(1, 9)),))
THERMAL = Capabilities("uvcvideo", "Thermal", "usb-1", (PixelFormat("Y16", "16-bit Greyscale", (SIZE,)),))
#: A room of 17 to 37 degrees, in hundredths of a kelvin.
ROOM = np.linspace(29000, 31000, WIDTH * HEIGHT).astype("<u2").tobytes()


@pytest.mark.parametrize(
    ("levels", "dark", "bright"), [("auto", 0, 255), ((29000, 31000), 0, 255), ((31000, 29000), 255, 0)]
)
async def test_its_pictures_have_contrast_with_levels(levels: DeepLevels, dark: int, bright: int) -> None:
    async with running(THERMAL, CaptureSettings(deep_levels=levels)) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        bench.device.send(ROOM)
        await bench.seen(1)
    picture = np.asarray(Image.open(io.BytesIO(bench.frames[0].data)))
    assert picture.shape == (HEIGHT, WIDTH)
    assert abs(int(picture[0, 0]) - dark) <= 5
    assert abs(int(picture[-1, -1]) - bright) <= 5


async def test_without_levels_the_log_tells_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    async with running(THERMAL) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        bench.device.send(ROOM)
        await bench.seen(1)
    (advice,) = [record.message for record in caplog.records if "deep_levels" in record.message]
    assert "values 29001 to 30998 of the 65536 that Y16 has" in advice
