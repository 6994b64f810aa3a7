"""The whole story of external streams, on each media server: discover, add, photograph, record, remove."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_core.plugin import ffmpeg

from .network.agents import ExternalAgent, external_agent, settings_for, userinfo
from .network.cameras import USER, Camera, running_camera
from .network.clips import Clips
from .network.gate import running_gate
from .network.lan import Network
from .network.odd import answers_http, is_silent, running_odd

Observe = Callable[[str], None]


@dataclass
class Site:
    """Cameras of one network, and hosts that are none."""

    plain: Camera
    locked: Camera
    drone: Camera

    @property
    def urls(self) -> list[str]:
        return [self.plain.url(), *(self.drone.url(path) for path in self.drone.paths)]


@asynccontextmanager
async def site(network: Network, clips: Clips, folder: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        hosts = {name: network.add_host(name) for name in ("plain", "locked", "drone", "silent", "web")}
        plain = await enter(running_camera(hosts["plain"], folder / "plain", clips.h264()))
        locked = running_camera(
            hosts["locked"], folder / "locked", clips.h264(), server="embedded", port=8080
        )
        await enter(locked)
        await enter(running_gate(hosts["locked"], "SHA-256", behind=8080))
        drone = running_camera(
            hosts["drone"],
            folder / "drone",
            clips.h264(),
            server="embedded",
            port=5554,
            paths=("subject", "infrared"),
        )
        await enter(running_odd(hosts["silent"], is_silent))
        await enter(running_odd(hosts["web"], answers_http))
        yield Site(plain, Camera(hosts["locked"], 554, ("stream1",), "gate"), await enter(drone))


@pytest.mark.timeout(180)
async def test_the_whole_story(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with site(network, clips, tmp_path) as cameras:
        async with external_agent(server_kind, tmp_path, observe, settings_for(network)) as agent:
            await _discover(agent, cameras)
            plain = await agent.add(cameras.plain.url(), "Yard")
            locked = await agent.add(cameras.locked.url(user=userinfo()), "Gate")
            subject = await agent.add(cameras.drone.url("subject"), "Drone", stream_type="skydio")
            devices = {cameras.plain.url(): plain, cameras.locked.url(): locked}
            devices[cameras.drone.url("subject")] = subject
            await _agree(agent, devices)
            await _photograph(agent, plain, locked)
            recordings = [await agent.record(each) for each in devices.values()]
            for each in recordings:
                await _whole(agent, each)
            for url in devices:
                await agent.remove(url)
            await _gone(agent, devices, recordings)


async def _discover(agent: ExternalAgent, cameras: Site) -> None:
    found = await agent.call("discover_external_streams", None, generic_enabled=True, force_rescan=True)
    assert found["errors"] == []
    streams = {each["url"]: each for each in found["discovered_streams"]}
    assert set(streams) >= set(cameras.urls)
    assert {each["url"] for each in found["skydio_streams"]} == set(cameras.urls[1:])
    hosts = [each for each in streams if str(cameras.locked.host.v4) in each]
    assert hosts
    assert all(streams[each]["capabilities"]["needs_credentials"] for each in hosts)
    assert len(streams) == len(cameras.urls) + len(hosts), "what accepts, or is a web server, is no camera"
    assert {each["status"] for each in streams.values()} == {"DISCOVERED"}
    assert streams[cameras.plain.url()]["capabilities"]["codec"] == "H264"


async def _agree(agent: ExternalAgent, devices: dict[str, str]) -> None:
    """The list of streams, the cameras and the media server have the same."""
    assert len(set(devices.values())) == len(devices)
    known = await agent.known()
    added = {url: each["device"] for url, each in known.items() if each["status"] == "ADDED"}
    assert added == devices
    assert await agent.cameras() == dict.fromkeys(devices.values(), "CONNECTED")
    await agent.until_paths(set(devices.values()))


async def _photograph(agent: ExternalAgent, plain: str, locked: str) -> None:
    picture = await agent.call("take_snapshot", plain)
    assert picture["tier_used"] in (1, 2, 3)
    secret = await agent.call("take_snapshot", locked)
    assert secret["tier_used"] in (2, 3)
    assert 1 not in [each["tier"] for each in secret["tiers_tried"]]
    assert (picture["resolution"], secret["resolution"]) == ("320x240", "320x240")


async def _whole(agent: ExternalAgent, recording: dict[str, Any]) -> None:
    assert recording["status"] == "STOPPED"
    info = await agent.call("get_recording_info", None, filename=recording["filename"])
    assert info["device"] == recording["device"]
    listed = await agent.call("list_recordings", recording["device"])
    assert recording["filename"] in [each["filename"] for each in listed["files"]]
    for segment in agent.rig.segments(recording):
        await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(segment), "-f", "null", "-"])


async def _gone(agent: ExternalAgent, devices: dict[str, str], recordings: list[dict[str, Any]]) -> None:
    await agent.until_paths(set())
    cameras = await agent.cameras()
    assert all(cameras.get(each, "DISCONNECTED") == "DISCONNECTED" for each in devices.values())
    assert not [url for url, each in (await agent.known()).items() if each["status"] != "DISCOVERED"]
    for each in recordings:
        await _whole(agent, each)
    for url in devices:
        error = await agent.refused("remove_external_stream", None, stream_url=url)
        assert error.code == -32010 or error.reason, error
    again = await agent.add(next(iter(devices)), "Yard again")
    assert again == next(iter(devices.values())), "a camera has its id for good"
    assert USER.password not in str(await agent.known())
