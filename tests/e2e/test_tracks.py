"""Streams with data, sound and H.265 in a whole agent: format of recordings, capabilities and pictures."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import av
import httpx
import pytest

from agent_core.client import AgentClient
from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import child
from agent_core.testing import running_agent
from agent_core.testing.waiting import eventually
from tests.media_servers import running_server
from tests.odd.camera import Camera
from tests.odd.video import Video, encode

from .network_cameras import NetworkCameras, network_camera
from .test_camera_passwords import configured, photographed

KLV = "m=application 0 RTP/AVP 98\r\na=rtpmap:98 SMPTE336M/90000\r\na=control:trackID=1\r\n"
REAL = pytest.mark.real_mediamtx
MODES = pytest.mark.parametrize("mode", ["embedded", pytest.param("managed", marks=REAL)])
SOURCE = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15,realtime")
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100,arealtime")
AAC = ("-c:a", "aac")
H265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=15:bframes=2")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")
    return encode(tmp_path_factory.mktemp("video"), "H264", *encoder)


@asynccontextmanager
async def agent_with(
    camera: Any, mode: str, folder: Path, observe: Callable[[str], None]
) -> AsyncIterator[AgentClient]:
    async with configured(mode, folder) as config:
        home = folder / "agent"
        home.mkdir()
        plugins = {"network": NetworkCameras(camera).plugin()}
        async with (
            running_agent(plugins=plugins, config=config, folder=home, observe=observe) as agent,
            agent.client("admin") as client,
        ):
            await eventually(lambda: _is_served(client), timeout_s=30)
            yield client


async def _is_served(client: AgentClient) -> bool:
    return bool((await client.call("get_camera_status", device="camera0"))["served"])


@MODES
async def test_klv_that_the_source_reports_is_recorded_as_mpegts(
    mode: str, video: Video, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    odd = Camera(video=video, media=video.media_with_sets + KLV)
    async with odd.serving() as port:
        seen = network_camera("camera0", f"rtsp://127.0.0.1:{port}/cam")
        known = replace(seen, tracks=("H264", "smpte336m"))
        async with agent_with(known, mode, tmp_path, observe) as client:
            offers = await client.call("get_camera_capabilities", device="camera0")
            assert offers["tracks"] == ["H264", "KLV"]
            started = await client.call("start_recording", device="camera0", wait=True)
            assert started["format"] == "mpegts"
            assert started["notes"] == ["The format is mpegts, because fmp4 cannot hold the track KLV."]
            stopped = await client.call("stop_recording", device="camera0")
            assert stopped["segments"][0]["filename"].endswith(".ts")
            started = await client.call("start_recording", device="camera0", format="fmp4", wait=True)
            assert started["format"] == "fmp4"
            assert started["notes"] == ["The track KLV is left out: fmp4 cannot hold it; mpegts can."]
            await client.call("stop_recording", device="camera0")


@MODES
async def test_klv_that_only_the_stream_shows_is_known_once_it_was_live(
    mode: str, video: Video, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    odd = Camera(video=video, media=video.media_with_sets + KLV)
    async with odd.serving() as port:
        seen = network_camera("camera0", f"rtsp://127.0.0.1:{port}/cam")
        async with agent_with(seen, mode, tmp_path, observe) as client:
            assert "tracks" not in await client.call("get_camera_capabilities", device="camera0")
            started = await client.call("start_recording", device="camera0", wait=True)
            assert started["format"] == "fmp4"
            assert started["notes"] == ["The track KLV is left out: fmp4 cannot hold it; mpegts can."]
            await client.call("stop_recording", device="camera0")
            offers = await client.call("get_camera_capabilities", device="camera0")
            assert offers["tracks"] == ["H264", "KLV"]
            assert (await client.call("start_recording", device="camera0"))["format"] == "mpegts"
            await client.call("stop_recording", device="camera0")


@MODES
@pytest.mark.parametrize("has_password", [False, True], ids=["tier-1", "tiers-2-and-3"])
async def test_h265_with_sound_is_photographed_recorded_and_downloaded(
    mode: str, tmp_path: Path, observe: Callable[[str], None], *, has_password: bool
) -> None:
    async with running_server("embedded", tmp_path / "camera") as server:
        url = f"{server.rtsp_url}/cam"
        async with httpx.AsyncClient(base_url=server.api_url, timeout=30) as api:
            assert (await api.post("/v3/config/paths/add/cam", json={})).status_code == 200
        output = ("-f", "rtsp", "-rtsp_transport", "tcp", url)
        async with child((ffmpeg.locate(), *ffmpeg.QUIET, *SOURCE, *SOUND, *AAC, *H265, *output)):
            camera = network_camera("camera0", url, has_credentials=has_password)
            async with agent_with(camera, mode, tmp_path, observe) as client:
                taken = await photographed(client)
                assert taken["tier_used"] in ((2, 3) if has_password else (1, 2, 3))
                await client.call("start_recording", device="camera0", wait=True)
                await anyio.sleep(2)
                stopped = await client.call("stop_recording", device="camera0")
                info = await client.call("get_recording_info", filename=stopped["filename"])
                await client.download_to(tmp_path / "whole.mp4", info["download_url"], kind="recordings")
                status = await client.call("get_camera_status", device="camera0")
    assert status["capabilities"]["tracks"] == ["H265", "AAC"]
    with av.open(tmp_path / "whole.mp4") as container:
        assert [stream.name for stream in container.streams] == ["hevc", "aac"]
        assert sum(1 for _ in container.decode(video=0)) > 15
