"""Freshness of each tier, judged by the counter and the time that the virtual camera draws into its pictures.

A network camera is the virtual camera's own stream at the media server, so that the pictures of tiers 2 and 3 pass
through a publisher, the server, and the server's pull.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from agent_core.base.models import CameraId
from agent_core.client import CallFailed
from virtual_camera import burnt_in

from .media import Rig, media_rig
from .network_cameras import NetworkCameras, network_camera

Observe = Callable[[str], None]
#: The marks have whole milliseconds.
ROUNDING = timedelta(milliseconds=2)
#: The tiers' allowance: far more than a stream on this host needs, so that a busy machine disproves nothing.
LATENCY_S = 1.0
LATENCY = timedelta(seconds=LATENCY_S)
AGES_MS = (0, 500, 2000, 0)


def rtsp_tier(**settings: Any) -> dict[str, Any]:
    return {"latency_s": LATENCY_S, "connect_timeout_s": 20, "silence_timeout_s": 20, **settings}


@asynccontextmanager
async def photographed(
    kind: str, folder: Path, observe: Observe, *, has_credentials: bool = True, **settings: Any
) -> AsyncIterator[Rig]:
    """An agent with the virtual camera0 and, at its stream, the network camera1."""
    network = NetworkCameras()
    sections: dict[str, Any] = {
        "plugins": {
            "rtsp_tier": rtsp_tier(**settings),
            "ffmpeg_tier": {"network_latency_s": LATENCY_S, "network_timeout_s": 20},
        },
        "media_server": {"close_after_s": 1, "start_timeout_s": 20},
        "snapshots": {"tier_budget_s": [10, 20, 20, 20]},
    }
    added = {"network": network.plugin()}
    async with media_rig(kind, folder, observe, added=added, **sections) as rig:
        url = (await rig.call("get_stream_url"))["stream_url"]
        network.connect(network_camera("camera1", url, has_credentials=has_credentials))
        yield rig


async def judged(rig: Rig, device: str, *, max_age_ms: int, deadline_ms: int = 25_000) -> Any:
    """Take a picture, and assert that it is as new as was asked, and says truly how old it is."""
    called_at = datetime.now(UTC)
    snapshot = await rig.call("take_snapshot", device, max_age_ms=max_age_ms, deadline_ms=deadline_ms)
    mark = burnt_in.read(Path(snapshot["file_path"]).read_bytes())
    assert mark.drawn_at >= called_at - timedelta(milliseconds=max_age_ms) - ROUNDING, snapshot
    captured_at = datetime.fromisoformat(snapshot["captured_at"])
    assert captured_at <= mark.drawn_at + ROUNDING, snapshot
    return snapshot


async def test_tier_1_at_a_network_camera(server_kind: str, tmp_path: Path, observe: Observe) -> None:
    sections: dict[str, Any] = {"snapshots": {"tier_budget_s": [10, 20, 20, 20]}}
    network = NetworkCameras()
    plugins = {"ffmpeg_tier": {"network_latency_s": LATENCY_S, "network_timeout_s": 20}}
    rig = media_rig(
        server_kind, tmp_path, observe, added={"network": network.plugin()}, plugins=plugins, **sections
    )
    async with rig as agent:
        url = (await agent.call("get_stream_url"))["stream_url"]
        network.connect(network_camera("camera1", url))
        for age_ms in (0, 1500):
            snapshot = await judged(agent, "camera1", max_age_ms=age_ms)
            assert snapshot["tier_used"] == 1


async def test_tier_2_by_one_shots(server_kind: str, tmp_path: Path, observe: Observe) -> None:
    async with photographed(server_kind, tmp_path, observe, resident_readers=0) as rig:
        await rig.call("start_streaming", "camera1")
        for age_ms in AGES_MS:
            snapshot = await judged(rig, "camera1", max_age_ms=age_ms)
            assert snapshot["tier_used"] == 2


async def test_tier_2_by_a_resident_reader(server_kind: str, tmp_path: Path, observe: Observe) -> None:
    async with photographed(server_kind, tmp_path, observe, resident_within_s=60) as rig:
        await rig.call("start_streaming", "camera1")
        for age_ms in (0, 0, *AGES_MS, *range(0, 2000, 90)):
            snapshot = await judged(rig, "camera1", max_age_ms=age_ms)
            assert snapshot["tier_used"] == 2
        path = await rig.agent.parts.media.paths.runtime(CameraId("camera1"))
        assert path is not None
        assert len(path.readers) == 2  # the held stream, and the resident reader


async def test_tier_3_and_what_it_keeps_warm(server_kind: str, tmp_path: Path, observe: Observe) -> None:
    async with photographed(server_kind, tmp_path, observe, keep_warm_s=20) as rig:
        used = [(await judged(rig, "camera1", max_age_ms=age_ms))["tier_used"] for age_ms in AGES_MS]
    assert used[0] == 3
    assert set(used[1:]) <= {2, 3}


async def test_tier_3_without_keeping_warm(server_kind: str, tmp_path: Path, observe: Observe) -> None:
    async with photographed(server_kind, tmp_path, observe, keep_warm_s=0) as rig:
        for age_ms in (0, 500):
            snapshot = await judged(rig, "camera1", max_age_ms=age_ms)
            assert snapshot["tier_used"] == 3
            await rig.until("get_stream_status", "camera1", ready=False)


async def test_a_stream_that_stands_still_gives_no_old_picture(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    """The resident reader has a picture; the camera behind the stream has stalled since."""
    async with photographed(server_kind, tmp_path, observe, resident_within_s=60) as rig:
        await rig.call("start_streaming", "camera1")
        for _ in range(3):
            await judged(rig, "camera1", max_age_ms=0)
        await rig.fault("stall")
        stalled_at = datetime.now(UTC)
        await anyio.sleep(LATENCY_S + 0.5)
        refused = 0
        with anyio.fail_after(50):
            while not refused:
                try:
                    snapshot = await judged(rig, "camera1", max_age_ms=100, deadline_ms=3000)
                except CallFailed as error:
                    assert error.code == -32050
                    assert error.data["tiers_tried"]
                    refused += 1
                else:  # the last pictures may have been on their way
                    assert datetime.fromisoformat(snapshot["captured_at"]) < stalled_at + LATENCY
        await rig.fault("stall", enabled=False)
        with anyio.fail_after(50):
            while True:
                try:
                    await judged(rig, "camera1", max_age_ms=0, deadline_ms=10_000)
                    break
                except CallFailed as error:
                    assert error.code == -32050
