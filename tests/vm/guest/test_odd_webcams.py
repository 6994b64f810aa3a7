"""Webcams with odd pictures, sizes and names, as users report them, behind the real `uvcvideo` driver."""

import logging
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from agent_core.testing import running_agent
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.captured import PATIENCE_S, captured, offered
from tests.vm.guest.sources import watching
from tests.vm.guest.test_producer_agent import without_exif
from tests.vm.guest.test_source_agent import until_status

SIZE = FrameSize(320, 240, (15, 5))
WHOLE = [path.read_bytes() for path in sorted(Path("/opt/site/frames/320x240").glob("*.jpg"))]
#: Pictures that every other program shows. The header's first segment ends at byte 20.
ODD: tuple[Callable[[bytes], bytes], ...] = (
    lambda jpeg: jpeg[:-2],
    lambda jpeg: jpeg[:-2] + bytes(4096),
    lambda jpeg: jpeg + b"\xff\x17" * 10_000,
    lambda jpeg: jpeg + WHOLE[0],
    lambda jpeg: b"\xff\xd8" + jpeg,
    lambda jpeg: b"\0\x11\x22\x33" + jpeg[:20] + b"\0\0" + jpeg[20:],
)
CUT = [jpeg[: len(jpeg) // 2] for jpeg in WHOLE]


def folder_of(folder: Path, pictures: list[bytes]) -> str:
    here = folder / f"{SIZE.width}x{SIZE.height}"
    here.mkdir()
    for number, picture in enumerate(pictures):
        (here / f"{number}.jpg").write_bytes(picture)
    return str(folder)


async def test_pictures_that_every_program_shows_arrive_whole(webcam: PlugWebcam, tmp_path: Path) -> None:
    odd = [change(jpeg) for change, jpeg in zip(ODD, WHOLE, strict=True)]
    layout = Layout(mjpeg=(SIZE,), yuyv=(SIZE,), frames=folder_of(tmp_path, odd))
    async with webcam(layout) as plugged, captured(plugged.node, offered(layout)) as camera:
        seen: set[bytes] = set()
        with anyio.fail_after(PATIENCE_S), camera.broker.demand():
            while seen != set(WHOLE):
                seen.add((await camera.fresh()).data)
                assert seen <= set(WHOLE)
        repaired = dict(camera.broker.stats.repaired)
        assert repaired.keys() == {"end_marker", "tail", "leading_bytes", "stray_bytes"}
        assert not camera.dropped.get("damaged")
        assert camera.broker.stats.failures == 0


async def test_a_camera_with_only_damaged_jpegs_is_captured_raw_and_that_is_said(
    webcam: PlugWebcam, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    layout = Layout(mjpeg=(SIZE,), yuyv=(SIZE,), frames=folder_of(tmp_path, CUT))
    async with webcam(layout) as plugged, captured(plugged.node, offered(layout)) as camera:
        frame = await camera.fresh()
        assert (frame.width, frame.height) == (320, 240)
        assert camera.producer.chosen.pixel_format == "YUYV"
        assert camera.recoveries["change_format"] == 1
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert any("MJPG pictures are damaged again and again; using YUYV" in each for each in said), said


async def test_the_first_snapshot_of_a_cold_camera_is_lit(webcam: PlugWebcam) -> None:
    layout = Layout(mjpeg=(SIZE,), yuyv=(), dark_frames=10)
    async with (
        webcam(layout) as plugged,
        running_agent(config={"plugins": {"enabled": ["v4l2_tier"]}}) as agent,
        agent.client("operator") as client,
    ):
        await until_status(client, "CONNECTED")
        with anyio.fail_after(PATIENCE_S):
            taken = await client.call("take_snapshot", device="camera0", max_age_ms=0, deadline_ms=60_000)
            data = await client.download(taken["download_url"])
        assert without_exif(data) in plugged.pictures(SIZE)
        assert taken["settled"] is True
        assert taken["settled_by"] == "brightness"
        assert taken["settle_ms"] > 0


async def test_a_name_with_brackets_matches_and_a_size_is_taken_from_the_raw_format(
    webcam: PlugWebcam, caplog: pytest.LogCaptureFixture
) -> None:
    name = "HD Cam [rev B]"
    layout = Layout(product=name, mjpeg=(SIZE,), yuyv=(SIZE, FrameSize(640, 480, (5,))))
    tables = [
        {"match": name, "id": "camera7", "width": 640, "height": 480},
        {"match": "Another [abc]", "id": "camera8"},
    ]
    async with webcam(layout), watching(cameras=tables) as seen:
        (camera,) = await seen.until_connected(1)
        assert (camera.id, camera.name, camera.detected.resolution) == ("camera7", name, (640, 480))
        assert camera.frames is not None
        with anyio.fail_after(PATIENCE_S):
            frame = await camera.frames.fresh(seen.clock.monotonic_s())
        assert (frame.width, frame.height) == (640, 480)
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert any("no connected camera matches 'Another [abc]'" in each for each in said), said
    assert not any("is not offered" in each for each in said), said
