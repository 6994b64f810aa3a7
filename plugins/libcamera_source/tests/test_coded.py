"""Video that the camera's program encodes. FFmpeg stands for that program here: its H.264 is real, its options are not."""

import shutil
from pathlib import Path

import pytest

from agent_core.plugin import FrameSocket, VideoCodec
from agent_core.plugin.frames import FrameBroker
from plugins.libcamera_source.tests.conftest import Programs
from plugins.libcamera_source.tests.test_source import ONE, watched

FFMPEG = shutil.which("ffmpeg")
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(FFMPEG is None, reason="there is no FFmpeg on PATH")]
PICTURES = 45


def encoder(size: str) -> str:
    """Return a program that prints H.264 in real time, with a key frame each second."""
    words = ["-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=15"]
    coding = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-g",
        "15",
        "-f",
        "h264",
        "-",
    ]
    return f"import os\nos.execv({FFMPEG!r}, {[FFMPEG, *words, *coding]!r})"


@pytest.mark.parametrize("size", ["320x240", "1280x720"])  # a key frame of the larger one is cut by the pipe
async def test_each_picture_arrives_whole(folder: Path, programs: Programs, size: str) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture(encoder(size))
    width, height = (int(each) for each in size.split("x"))
    async with watched(
        folder, programs, defaults={"codec": "h264", "fps": 15, "width": width, "height": height}
    ) as report:
        camera = report.cameras[ONE]
        assert (camera.frames, camera.tracks) == (None, ("H264",))
        assert isinstance(camera.media_input, FrameSocket)
        assert camera.media_input.codec is VideoCodec.H264
        broker = camera.device
        assert isinstance(broker, FrameBroker)
        with broker.demand():
            frame = await broker.after(0)
            while frame.sequence < PICTURES:
                frame = await broker.after(frame.sequence)
        assert (frame.width, frame.height) == (width, height)
        assert dict(broker.stats.dropped).get("damaged", 0) == 0
        assert broker.stats.starts == 1
