"""Output of `cam`. The scripted program here writes as libcamera's source says; it shows how that is read, and nothing of `cam`."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from agent_core.plugin import CapturedAtSource, CaptureFailed
from agent_core.testing.scripted_producer import a_jpeg
from libcamera_source.cam_output import FrameLine, StreamFormat, frame_line, stream_format
from libcamera_source.raw_frames import RAW_CODES, encode
from plugins.libcamera_source.tests.conftest import Programs
from plugins.libcamera_source.tests.test_source import ONE, broker_of, watched

#: Recorded in the virtual machine with Debian 13: cam of libcamera 0.4 with the virtual pipeline, whose frames it takes for empty.
RECORDED = """Using camera Virtual0 as cam0
cam0: Capture 5 frames
0.000000 (0.00 fps) cam0-stream0 seq: 000000 bytesused: 0/0/0
140470.932025 (0.00 fps) cam0-stream0 seq: 032705 bytesused: 0/0/0
"""
SAID = "[0:00:21.676517987] [306]  INFO Camera camera.cpp:1202 configuring streams: (0) 320x240-NV12\n"
WIDTH, HEIGHT = 64, 48


def test_lines_about_frames_are_found_among_others() -> None:
    frames = [frame for line in RECORDED.splitlines() if (frame := frame_line(line))]
    assert frames == [FrameLine((0, 0, 0), 0.0), FrameLine((0, 0, 0), 140470.932025)]
    assert frame_line("51.070123 (30.00 fps) cam0-stream0 seq: 000012 bytesused: 3072/1536") == FrameLine(
        (3072, 1536), 51.070123
    )


def test_the_format_is_the_last_one_that_is_configured() -> None:
    assert stream_format(SAID) == StreamFormat(320, 240, "NV12")
    assert stream_format(f"{SAID}x configuring streams: (0) 64x48-YUV420/sYCC\n") == StreamFormat(
        64, 48, "YUV420"
    )
    assert stream_format("") is None


@settings(deadline=None)
@given(st.text())
def test_garbage_raises_nothing(text: str) -> None:
    assert frame_line(text) is None or "bytesused" in text
    assert stream_format(text) is None or "configuring" in text


def raw_frame(code: str, padding: int) -> tuple[bytes, FrameLine]:
    """Return a reddish frame whose lines have `padding` more bytes."""
    luma = np.full((HEIGHT, WIDTH + padding), 120, np.uint8)
    u, v = (np.full((HEIGHT // 2, (WIDTH + padding) // 2), level, np.uint8) for level in (90, 200))
    first, second = (u, v) if code in ("NV12", "YUV420") else (v, u)
    if code in ("NV12", "NV21"):
        chroma = [np.stack([first, second], axis=-1).reshape(HEIGHT // 2, -1)]
    else:
        chroma = [first, second]
    planes = [luma, *chroma]
    return b"".join(each.tobytes() for each in planes), FrameLine(tuple(each.nbytes for each in planes), 1.0)


@pytest.mark.parametrize("padding", [0, 32])
@pytest.mark.parametrize("code", sorted(RAW_CODES))
def test_a_raw_frame_becomes_a_picture_of_its_colours(code: str, padding: int) -> None:
    data, frame = raw_frame(code, padding)
    picture = encode(data, frame, StreamFormat(WIDTH, HEIGHT, code), 95)
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as shown:
        assert shown.size == (WIDTH, HEIGHT)
        red, green, blue = shown.convert("RGB").getpixel((20, 20))  # type: ignore[misc]
    assert (abs(red - 221) < 6, abs(green - 82) < 6, abs(blue - 53) < 6) == (True, True, True)


def test_a_frame_that_is_too_short_is_none() -> None:
    data, frame = raw_frame("NV12", 0)
    assert encode(data[:-1], frame, StreamFormat(WIDTH, HEIGHT, "NV12"), 95) is None
    assert encode(data, frame, StreamFormat(WIDTH * 2, HEIGHT, "NV12"), 95) is None
    assert encode(b"", FrameLine((0, 0), 0.0), StreamFormat(WIDTH, HEIGHT, "NV12"), 95) is None


def write_cam(
    programs: Programs, frames: list[tuple[bytes, FrameLine]], code: str, stamp: str = "time.monotonic()"
) -> None:
    listed = f"Available cameras:\n1: 'imx219' ({ONE})"
    parts = [(data, "/".join(str(each) for each in line.planes_bytes)) for data, line in frames]
    programs.write(
        "cam",
        "import sys, time\n"
        f"if '--list' in sys.argv: sys.exit(print({listed!r}))\n"
        f"print('x INFO Camera camera.cpp:1 configuring streams: (0) {WIDTH}x{HEIGHT}-{code}', file=sys.stderr, flush=True)\n"
        "(pipe,) = (each.partition('=')[2] for each in sys.argv if each.startswith('--file='))\n"
        f"frames = {parts!r}\n"
        "while True:\n"
        "    for data, sizes in frames:\n"
        "        with open(pipe, 'ab') as file: file.write(data)\n"
        f"        print(f'{{{stamp}:.6f}} (9.00 fps) cam0-stream0 seq: 000001 bytesused: {{sizes}}', flush=True)\n"
        "        time.sleep(0.05)\n",
    )


async def test_raw_frames_are_encoded_and_dated(folder: Path, programs: Programs) -> None:
    write_cam(programs, [raw_frame("NV12", 32), (b"", FrameLine((0, 0), 0.0))], "NV12")
    async with watched(folder, programs, program="cam") as report:
        broker = broker_of(report)
        before_s = time.monotonic()
        frame = await broker.fresh(before_s, settled=False)
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
        assert frame.captured_at_source is CapturedAtSource.DEVICE
        with broker.demand():
            while "empty" not in dict(broker.stats.dropped):
                await broker.changed()
    assert not list(folder.glob("*.pipe"))


async def test_a_clock_that_is_not_ours_dates_no_picture(folder: Path, programs: Programs) -> None:
    jpeg = a_jpeg(WIDTH, HEIGHT)
    write_cam(programs, [(jpeg, FrameLine((len(jpeg),), 0.0))], "MJPEG", stamp="140470.932025")
    async with watched(folder, programs) as report:
        frame = await broker_of(report).fresh(0.0, settled=False)
        assert frame.captured_at_source is CapturedAtSource.ARRIVAL
        assert frame.data == jpeg


async def test_a_format_of_which_no_picture_is_made_is_told(folder: Path, programs: Programs) -> None:
    write_cam(programs, [(b"x" * 100, FrameLine((100,), 0.0))], "SRGGB10")
    async with watched(folder, programs) as report:
        with pytest.raises(CaptureFailed) as failure:
            await broker_of(report).fresh(0.0)
    assert (failure.value.reason, "SRGGB10" in failure.value.details) == ("no_usable_format", True)


async def test_it_encodes_no_video(folder: Path, programs: Programs) -> None:
    write_cam(programs, [raw_frame("NV12", 0)], "NV12")
    async with watched(folder, programs, defaults={"codec": "h264"}) as report:
        broker = report.cameras[ONE].device
        with pytest.raises(CaptureFailed) as failure:
            await broker.fresh(0.0)  # type: ignore[union-attr]
    assert failure.value.reason == "program_unsuitable"
