"""Many cameras that are gone beside one that works, and names that no server resolves."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from tests.e2e.conftest import AgentProcessFactory

from .network.agents import external_agent
from .network.cameras import running_camera
from .network.clips import Clips
from .network.lan import Network

Observe = Callable[[str], None]


@pytest.mark.timeout(120)
async def test_a_camera_does_not_wait_for_sixty_that_are_gone(
    network: Network, clips: Clips, tmp_path: Path, observe: Observe
) -> None:
    """Each look at one that is gone takes a minute here; all of them together would take four."""
    host = network.add_host("camera")
    gone = network.wire.add_silent(60)
    streams = [{"url": f"rtsp://{each}/x", "name": f"gone {each}"} for each in gone]
    settings = {"streams": streams, "probe_timeout_s": 60}
    async with running_camera(host, tmp_path / "camera", clips.h264()) as camera:
        with anyio.fail_after(45):
            async with external_agent("embedded", tmp_path, observe, settings) as agent:
                device = await agent.add(camera.url(), "here")
                await agent.call("start_streaming", device)
                known = await agent.known()
                assert len(known) == 61
                assert {url for url, each in known.items() if each["online"]} == {camera.url()}


_WITH_RESOLVER = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"')
_CONFIG = """
[plugins]
enabled = ["ffmpeg_tier", "rtsp_tier", "embedded_server", "external_discovery"]
[plugins.embedded_server]
api_port = 0
rtsp_port = 0
"""


@pytest.mark.timeout(150)
async def test_a_silent_name_server_delays_neither_other_streams_nor_the_end(
    network: Network, clips: Clips, tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    host = network.add_host("camera")
    (silent,) = network.wire.add_silent(1)
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {silent}\noptions timeout:30 attempts:5\n")
    async with running_camera(host, tmp_path / "camera", clips.h264()) as camera:
        async with agent_process(_CONFIG, prefix=(*_WITH_RESOLVER, str(resolver))) as agent:
            async with agent.client("admin") as client:
                async with anyio.create_task_group() as tasks:
                    for number in range(12):
                        tasks.start_soon(_add_in_vain, client, f"rtsp://name{number}.test/x")
                    added = await client.call(
                        "add_external_stream", stream_url=camera.url(), stream_name="here"
                    )
                    await client.call("take_snapshot", device=added["device"])
            assert await agent.end() == 0


async def _add_in_vain(client: AgentClient, url: str) -> None:
    with pytest.raises(CallFailed) as refused:
        await client.call("add_external_stream", stream_url=url, stream_name=url)
    assert refused.value.reason == "name_not_resolved"
