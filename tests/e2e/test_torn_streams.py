"""Streams that lost packets: a reader may have to wait for the next key frame, and never gives out a torn picture."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from agent_core.base.models import CameraId
from agent_core.plugin import AgentError, CaptureRequest, ffmpeg
from agent_core.testing import as_camera
from tests.odd.camera import Camera
from tests.odd.video import Video, encode

from .network_cameras import network_camera
from .odd_streams import PATIENT, Photographer, photographer

WIDTH, HEIGHT, BLOCK = 128, 96, 8
#: Largest difference of a block's brightness, of 255, between a picture and the camera's, through two lossy codecs.
#: Whole pictures differ by up to 20; torn ones by 60 and more.
TOLERANCE = 35
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0", "-qp", "20")


def blocks(grey: bytes) -> bytes:
    """Return the mean brightness of each block."""
    image = Image.frombytes("L", (WIDTH, HEIGHT), grey)
    return image.resize((WIDTH // BLOCK, HEIGHT // BLOCK), Image.Resampling.BOX).tobytes()


def blocks_of(picture: bytes) -> bytes:
    with Image.open(io.BytesIO(picture)) as image:
        return blocks(image.convert("L").tobytes())


def true_pictures(video: Video) -> list[bytes]:
    """Return the blocks of every picture that the camera sends, as FFmpeg decodes them."""
    words = [
        "-f",
        "h264" if video.codec == "H264" else "hevc",
        "-i",
        "-",
        "-pix_fmt",
        "gray",
        "-f",
        "rawvideo",
        "-",
    ]
    argv = [ffmpeg.locate(), *ffmpeg.QUIET, *words]
    raw = subprocess.run(argv, input=video.stream, capture_output=True, check=True).stdout
    size = WIDTH * HEIGHT
    return [blocks(raw[at : at + size]) for at in range(0, len(raw), size)]


def difference(picture: bytes, true: list[bytes]) -> int:
    """Return the largest difference of a block to the most similar of the true pictures."""
    mine = blocks_of(picture)
    return min(max(abs(one - other) for one, other in zip(mine, each, strict=True)) for each in true)


@pytest.fixture(scope="module", params=["H264", "H265", "H265 in slices"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = tmp_path_factory.mktemp("video")
    if request.param == "H264":
        return encode(folder, "H264", *_X264, "-x264-params", "slices=3")
    slices = 2 if "slices" in request.param else 1
    options = f"log-level=error:bframes=0:qp=20:slices={slices}"
    return encode(folder, "H265", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", options)


LOSSES: dict[str, Callable[[int], bool]] = {
    "nothing": lambda _number: False,
    "joined amid a key frame": lambda number: number < 3,
    "joined amid a group": lambda number: number < 12,
    "every seventeenth": lambda number: number % 17 == 5,
    "some in a row": lambda number: number % 60 in range(20, 26),
}


@pytest.mark.parametrize("is_resident", [False, True], ids=["one-shot", "resident"])
async def test_no_torn_picture_is_given_out(tmp_path: Path, video: Video, is_resident: bool) -> None:
    true = true_pictures(video)
    found: dict[str, list[bytes]] = {}
    readers = len(LOSSES) if is_resident else 0
    settings: dict[str, Any] = {**PATIENT, "latency_s": 0, "resident_readers": readers}

    async def one(taken: Photographer, name: str, loss: str) -> None:
        camera = Camera(video=video, media=video.media, timeout_s=60, is_lost=LOSSES[loss])
        async with camera.serving() as port:
            address = f"rtsp://127.0.0.1:{port}/cam"
            found[loss] = await pictures(taken, name, address, 8 if is_resident else 3)

    async with photographer(tmp_path, **settings) as taken, anyio.create_task_group() as tg:
        for number, loss in enumerate(LOSSES):
            tg.start_soon(one, taken, f"camera{number}", loss)
    assert all(found.values())
    torn = {loss: max(difference(each, true) for each in taken_of) for loss, taken_of in found.items()}
    assert max(torn.values()) <= TOLERANCE, torn


async def pictures(taken: Photographer, name: str, url: str, count: int) -> list[bytes]:
    """Return the pictures of so many attempts at a live stream; an attempt may fail."""
    known = as_camera(network_camera(name, url), name)
    taken.agent.cameras.known.append(known)
    taken.agent.streams.serve(CameraId(name), url).watch(taken.agent.clock.monotonic_s())
    found = []
    for _ in range(count):
        now_s = taken.agent.clock.monotonic_s()
        with anyio.fail_after(50):
            try:
                found.append((await taken.tiers[2].capture(known, CaptureRequest(now_s, now_s + 10))).data)
            except AgentError as error:
                assert error.reason in {"stream_damaged", "timed_out", "stream_ended"}
    return found
