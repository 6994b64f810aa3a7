"""Cameras that reboot while they record, and one that must not notice, on each media server."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import av
import pytest

from agent_core.plugin import ffmpeg
from agent_core.testing.waiting import eventually

from .network.agents import ExternalAgent, external_agent
from .network.cameras import running_camera
from .network.clips import FPS, Clips
from .network.lan import Host, Network

Observe = Callable[[str], None]

#: Time from a camera's return to the first picture of the new segment: below 5 s, and what a loaded machine adds.
_LIMIT = timedelta(seconds=8)


@dataclass(frozen=True)
class Outage:
    """End of a camera for some seconds: of its server only, or of the whole host, which then is silent."""

    seconds: float
    is_host: bool

    def __str__(self) -> str:
        return f"{'host' if self.is_host else 'server'} for {self.seconds:g} s"


@dataclass
class Rebooting:
    """Camera with an outage, and its recording."""

    host: Host
    outage: Outage
    folder: Path
    device: str = ""
    recording: Any = None
    returned: datetime | None = None


_SHORT = (Outage(3, False), Outage(8, False), Outage(6, True), Outage(13, True))
_MINUTE = (Outage(60, False), Outage(63, True))


@pytest.mark.parametrize(
    "outages",
    [
        pytest.param(_SHORT, id="short", marks=pytest.mark.timeout(180)),
        pytest.param(_MINUTE, id="minute", marks=[pytest.mark.release, pytest.mark.timeout(300)]),
    ],
)
async def test_a_recording_goes_on_in_a_new_segment(
    network: Network,
    clips: Clips,
    server_kind: str,
    tmp_path: Path,
    observe: Observe,
    outages: tuple[Outage, ...],
) -> None:
    cameras = [
        Rebooting(network.add_host(f"camera{number}"), outage, tmp_path / f"camera-{number}")
        for number, outage in enumerate(outages)
    ]
    steady = network.add_host("steady")
    async with running_camera(steady, tmp_path / "steady", clips.h264()) as other:
        async with external_agent(server_kind, tmp_path, observe, {}) as agent, _on(cameras, clips) as on:
            device = await agent.add(other.url(), "steady")
            undisturbed = await agent.call("start_recording", device, wait=True)
            for each in cameras:
                each.device = await agent.add(f"rtsp://{each.host.v4}/stream1", str(each.outage))
                each.recording = await agent.call("start_recording", each.device, wait=True)
            async with anyio.create_task_group() as tasks:
                for each in cameras:
                    tasks.start_soon(_reboot, agent, each, clips, on)
            await agent.call("stop_recording", device)
            assert await _is_gapless(*agent.rig.segments(undisturbed))
            for each in cameras:
                await _went_on(agent, each)


@asynccontextmanager
async def _on(cameras: list[Rebooting], clips: Clips) -> AsyncIterator[dict[Host, AsyncExitStack]]:
    """Switch all cameras on; yield the switches, each of which ends its camera when it is closed."""
    switches = {each.host: AsyncExitStack() for each in cameras}
    try:
        for each in cameras:
            await switches[each.host].enter_async_context(
                running_camera(each.host, each.folder, clips.h264())
            )
        yield switches
    finally:
        for switch in switches.values():
            await switch.aclose()


async def _reboot(
    agent: ExternalAgent, camera: Rebooting, clips: Clips, on: dict[Host, AsyncExitStack]
) -> None:
    """Let the camera go and return, until its recording has more media, and stop that."""
    if camera.outage.is_host:
        camera.host.unplug()
    await on[camera.host].aclose()
    await anyio.sleep(camera.outage.seconds)
    camera.host.replug()
    async with running_camera(camera.host, camera.folder, clips.h264()):
        camera.returned = datetime.now(UTC)

        async def has_grown() -> bool:
            segments = agent.rig.segments(camera.recording)
            return len(segments) > 1 and await _packets(segments[-1]) != []

        await eventually(has_grown, timeout_s=40, every_s=0.5)
        await agent.call("stop_recording", camera.device)


async def _went_on(agent: ExternalAgent, camera: Rebooting) -> None:
    before, after = agent.rig.segments(camera.recording)
    assert camera.returned is not None
    waited = _begun(after) - camera.returned
    assert waited < _LIMIT, f"{camera.outage}: {waited}"
    for segment in (before, after):
        await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(segment), "-f", "null", "-"])
    info = await agent.call("get_recording_info", None, filename=camera.recording["filename"])
    assert [each["filename"] for each in info["segments"]] == [before.name, after.name]


def _begun(segment: Path) -> datetime:
    """Return the time of the first picture, from the name that the media server gave."""
    return datetime.strptime(segment.stem, "%Y-%m-%d_%H-%M-%S-%fZ").replace(tzinfo=UTC)


async def _packets(segment: Path) -> list[float]:
    """Return the times of the pictures in a file that may be growing."""
    return await anyio.to_thread.run_sync(_times, segment)


def _times(segment: Path) -> list[float]:
    try:
        with av.open(str(segment)) as container:
            packets: Any = container.demux(video=0)
            return sorted(float(each.pts * each.time_base) for each in packets if each.pts is not None)
    except (av.error.FFmpegError, IndexError):  # it has no header yet
        return []


async def _is_gapless(*segments: Path) -> bool:
    (segment,) = segments
    times = await _packets(segment)
    return len(times) > FPS and all(after - before < 2 / FPS for before, after in itertools.pairwise(times))
