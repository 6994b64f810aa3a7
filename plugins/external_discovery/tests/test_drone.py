"""Streams of UAVs: MPEG-TS with KLV, by RTSP and sent to this host, recorded with their data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import av
import pytest

from .network.agents import ExternalAgent, external_agent
from .network.cameras import SRT_PORT, running_klv_camera, running_uav
from .network.clips import Clips, klv_packet
from .network.lan import Network

Observe = Callable[[str], None]


@pytest.mark.real_mediamtx
@pytest.mark.timeout(120)
async def test_a_drones_data_are_told_and_recorded(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    host = network.add_host("drone")
    async with running_klv_camera(host, tmp_path / "drone", clips.klv()) as drone:
        async with external_agent(server_kind, tmp_path, observe, {}) as agent:
            device = await agent.add(drone.url(), "Drone")
            (stream,) = (await agent.known()).values()
            tracks = [each["codec"] for each in stream["capabilities"]["tracks"]]
            assert sorted(tracks) == ["H264", "KLV"]
            await _has_data(agent, await agent.record(device, 3))


@pytest.mark.real_mediamtx
@pytest.mark.timeout(120)
@pytest.mark.parametrize("server_kind", ["mediamtx"], indirect=True)
async def test_a_drone_sends_to_this_host(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    """The media server listens at an address of this host, which the configuration has to allow."""
    host = network.add_host("drone")
    url = f"udp+mpegts://{network.agent.v4}:9000"
    settings = {"allowed_networks": [f"{network.agent.v4}/32"]}
    async with running_uav(
        host, clips.klv(), f"udp://{network.agent.v4}:9000?pkt_size=1316", tmp_path / "drone"
    ):
        async with external_agent(server_kind, tmp_path, observe, {}) as agent:
            refused = await agent.try_to_add(url)
            assert refused is not None
            assert refused.reason == "own_address"
        async with external_agent(server_kind, tmp_path, observe, settings) as agent:
            device = await agent.add(url, "Drone")
            recording = await agent.call("start_recording", device, format="mpegts", wait=True)
            await anyio.sleep(3)
            await agent.call("stop_recording", device)
            await _has_data(agent, recording)


@pytest.mark.real_mediamtx
@pytest.mark.timeout(120)
@pytest.mark.parametrize("server_kind", ["mediamtx"], indirect=True)
async def test_a_drone_is_called_by_srt(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    host = network.add_host("drone")
    async with running_klv_camera(host, tmp_path / "drone", clips.klv()) as drone:
        url = f"srt://{host.v4}:{SRT_PORT}?streamid=read:{drone.paths[0]}"
        settings = {"forbidden_networks": [f"{host.v4}/32"]}
        async with external_agent(server_kind, tmp_path, observe, settings) as agent:
            refused = await agent.try_to_add(url)
            assert refused is not None
            assert refused.reason == "network_forbidden"
        async with external_agent(server_kind, tmp_path, observe, {}) as agent:
            device = await agent.add(url, "Drone")
            recording = await agent.call("start_recording", device, format="mpegts", wait=True)
            await anyio.sleep(3)
            await agent.call("stop_recording", device)
            await _has_data(agent, recording)


async def test_the_embedded_server_says_that_it_takes_no_mpeg_ts(
    network: Network, tmp_path: Path, observe: Observe
) -> None:
    settings = {"allowed_networks": [f"{network.agent.v4}/32"]}
    async with external_agent("embedded", tmp_path, observe, settings) as agent:
        error = await agent.try_to_add(f"udp+mpegts://{network.agent.v4}:9000")
        if error is None:
            (stream,) = (await agent.known()).values()
            error = await agent.refused("start_streaming", stream["device"])
        assert "udp+mpegts" in error.details, error


async def _has_data(agent: ExternalAgent, recording: dict[str, Any]) -> None:
    (segment,) = agent.rig.segments(recording)
    assert segment.suffix == ".ts"
    packets = await anyio.to_thread.run_sync(_data_of, segment)
    numbers = {int.from_bytes(each[-8:], "big") for each in packets}
    assert len(numbers) > 15
    assert {each[:19] for each in packets} == {klv_packet(0)[:19]}


def _data_of(segment: Path) -> list[bytes]:
    with av.open(str(segment)) as container:
        (stream,) = container.streams.data
        return [bytes(each) for each in container.demux(stream) if each.size]
