"""Lengths of a media server's files against the published frames: by construction, not by another tool."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL

import anyio
import anyio.to_thread
import pytest

from agent_core.base import processes
from agent_core.media import fmp4, mpegts
from agent_core.media.fmp4 import Fmp4Info, Fmp4Reader
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import ffmpeg
from agent_core.testing.mediamtx import MediaServerUnderTest
from agent_core.testing.waiting import eventually

LENGTH_S = 3.0
#: 30 fps for a second, 5 fps for a second, 15 fps for the rest
VARYING = "select='lt(t,1)+between(t,1,1.99)*not(mod(n,6))+gte(t,2)*not(mod(n,2))'"


async def _recording_path(server: MediaServerUnderTest, client: MediaServerClient, **conf: object) -> None:
    wanted = {"record": True, "record_path": server.record_path, "record_part_duration_s": 0.25, **conf}
    await client.add_path("camera0", PathConf.model_validate(wanted))
    await eventually(lambda: client.path("camera0"))


def _publish(
    server: MediaServerUnderTest, fps: int, *, length_s: float = LENGTH_S, filters: str = "null"
) -> list[str]:
    return [
        *(ffmpeg.locate(), *ffmpeg.QUIET, "-re", "-f", "lavfi"),
        *(
            "-i",
            f"testsrc2=size=320x240:rate={fps}:duration={length_s}",
            "-vf",
            filters,
            "-fps_mode",
            "passthrough",
        ),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
        *("-g", str(max(1, fps // 2)), "-f", "rtsp", "-rtsp_transport", "tcp", f"{server.rtsp_url}/camera0"),
    ]


async def _files(server: MediaServerUnderTest, client: MediaServerClient) -> list[Path]:
    """The recorded files, once the server has closed them: no call says so, but then they stop growing."""
    seen: list[tuple[Path, int]] = []

    async def closed() -> bool:
        nonlocal seen
        path, before = await client.path("camera0"), seen
        seen = await anyio.to_thread.run_sync(_sizes, server)
        return path is not None and not path.live and bool(seen) and seen == before

    await eventually(closed, every_s=0.05)
    return [file for file, _ in seen]


def _sizes(server: MediaServerUnderTest) -> list[tuple[Path, int]]:
    return sorted((file, file.stat().st_size) for file in server.folder.glob("recordings/camera0/*.*"))


@pytest.mark.parametrize("fps", [5, 15, 30])
@pytest.mark.parametrize("format_", ["fmp4", "mpegts"])
async def test_a_recording_is_as_long_as_what_was_published(
    media_server: MediaServerUnderTest, media_client: MediaServerClient, fps: int, format_: str
) -> None:
    await _recording_path(media_server, media_client, record_format=format_)
    assert (await processes.run(_publish(media_server, fps))).returncode == 0
    (file,) = await _files(media_server, media_client)
    measure = fmp4.segment_duration_s if format_ == "fmp4" else mpegts.segment_duration_s
    # The server leaves out the last frame, whose length it cannot know.
    assert measure(file) == pytest.approx(LENGTH_S - 0.5 / fps, abs=0.6 / fps)


@pytest.mark.parametrize("format_", ["fmp4", "mpegts"])
async def test_a_recording_of_a_varying_rate_is_as_long_as_the_clock_says(
    media_server: MediaServerUnderTest, media_client: MediaServerClient, format_: str
) -> None:
    await _recording_path(media_server, media_client, record_format=format_)
    assert (await processes.run(_publish(media_server, 30, filters=VARYING))).returncode == 0
    (file,) = await _files(media_server, media_client)
    measure = fmp4.segment_duration_s if format_ == "fmp4" else mpegts.segment_duration_s
    assert measure(file) == pytest.approx(LENGTH_S, abs=0.15)


async def test_a_recording_knows_when_it_began(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    if media_server.name != "mediamtx":
        pytest.skip("only MediaMTX notes in the file when it began")
    await _recording_path(media_server, media_client)
    before = datetime.now(UTC)
    assert (await processes.run(_publish(media_server, 30, length_s=1))).returncode == 0
    after = datetime.now(UTC)
    (file,) = await _files(media_server, media_client)
    info = Fmp4Reader(file).update()
    assert info.started_at is not None
    assert before < info.started_at < after


async def test_segments_add_up(media_server: MediaServerUnderTest, media_client: MediaServerClient) -> None:
    await _recording_path(media_server, media_client, record_segment_duration_s=1)
    assert (await processes.run(_publish(media_server, 30, length_s=3.5))).returncode == 0
    files = await _files(media_server, media_client)
    lengths = [fmp4.segment_duration_s(file) for file in files]
    assert len(lengths) == 4
    assert sum(lengths) == pytest.approx(3.5, abs=0.15)  # a part is 0.25; some frames may miss the beginning


@asynccontextmanager
async def _live(server: MediaServerUnderTest) -> AsyncIterator[None]:
    async with processes.child(_publish(server, 30, length_s=60)):
        yield


async def _followed(server: MediaServerUnderTest, until_s: float) -> tuple[Fmp4Reader, list[Fmp4Info]]:
    """One reader's view of the growing file, from before its first part until it is `until_s` long."""
    (file,) = await eventually(lambda: anyio.to_thread.run_sync(_growing, server))
    reader = Fmp4Reader(file)
    infos: list[Fmp4Info] = []

    async def long_enough() -> bool:
        infos.append(await anyio.to_thread.run_sync(reader.update))
        return infos[-1].duration_s >= until_s

    await eventually(long_enough, timeout_s=20)
    return reader, infos


def _growing(server: MediaServerUnderTest) -> list[Path]:
    return list(server.folder.glob("recordings/camera0/*.mp4"))


async def test_a_recording_is_followed_while_the_server_writes_it(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await _recording_path(media_server, media_client)
    async with _live(media_server):
        reader, infos = await _followed(media_server, 2.0)
        assert [info.duration_s for info in infos] == sorted(info.duration_s for info in infos)
        assert len({info.duration_s for info in infos}) >= 5
    (file,) = await _files(media_server, media_client)
    assert reader.update() == Fmp4Reader(file).update()


async def test_what_a_killed_server_leaves_is_as_long_as_it_was(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await _recording_path(media_server, media_client)
    async with _live(media_server):
        _, infos = await _followed(media_server, 1.0)
        media_server.signal(SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            await media_server.process.wait()
    (file,) = _growing(media_server)
    left = Fmp4Reader(file).update()
    assert left.duration_s >= infos[-1].duration_s
    assert left.started_at == infos[-1].started_at
