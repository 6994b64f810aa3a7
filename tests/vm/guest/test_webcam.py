"""The simulated webcam is one: what the kernel, udev and v4l2-ctl say of it is what it says of itself."""

import re
from pathlib import Path

import anyio

from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam

LAYOUT = Layout(
    mjpeg=(FrameSize(640, 480, (15, 30)), FrameSize(320, 240, (10, 5))),
    yuyv=(FrameSize(320, 240, (5, 10)),),
)


async def printed(*argv: str) -> str:
    return (await anyio.run_process(argv)).stdout.decode()


async def test_its_formats_sizes_and_rates_are_those_announced(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as camera:
        listing = await printed("v4l2-ctl", "-d", str(camera.node), "--list-formats-ext")
    found = re.findall(r"'(\w{4})'|Size: Discrete (\w+)|\(([\d.]+) fps\)", listing)
    assert [next(filter(None, each)) for each in found] == [
        *("MJPG", "640x480", "30.000", "15.000", "320x240", "10.000", "5.000"),
        *("YUYV", "320x240", "10.000", "5.000"),
    ]


async def test_pictures_arrive_byte_for_byte(webcam: PlugWebcam, tmp_path: Path) -> None:
    async with webcam(LAYOUT) as camera:
        wanted = b"".join(camera.pictures(FrameSize(640, 480)))
        count = len(camera.pictures(FrameSize(640, 480)))
        file = tmp_path / "stream"
        await printed(
            *("v4l2-ctl", "-d", str(camera.node), "--set-fmt-video", "width=640,height=480,pixelformat=MJPG"),
            *("--stream-mmap", f"--stream-count={count}", f"--stream-to={file}"),
        )
    assert file.read_bytes() == wanted
