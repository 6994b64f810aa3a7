"""An embedded server that fails inside the agent: the supervisor starts it again, and it is found again."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.plugin import AgentContext, Component, Plugin, hookimpl
from agent_core.testing import running_agent
from embedded_server.server import EmbeddedServer
from embedded_server.settings import EmbeddedServerSettings

from .media import CAMERA, connected, decoded, next_event, read_stream


class Falling(EmbeddedServer):
    """Fails whenever `fall` is set."""

    fall = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as tg:
            await tg.start(super().run)
            task_status.started()
            await self.fall.wait()
            type(self).fall = anyio.Event()
            raise RuntimeError("it fell")


class FallingPlugin(Plugin[EmbeddedServerSettings]):
    Settings = EmbeddedServerSettings

    @hookimpl
    def agent_components(self, agent: AgentContext) -> Iterable[Component]:
        return [Falling(self.settings, agent.clock, recordings=agent.recordings_dir)]


async def test_it_is_found_again_where_it_was_and_the_recording_goes_on(
    tmp_path: Path, observe: Callable[[str], None]
) -> None:
    Falling.fall = anyio.Event()
    config: dict[str, Any] = {
        "plugins": {
            "enabled": ["virtual_camera", "ffmpeg_tier"],
            "virtual_camera": {"cameras": [dict(CAMERA)]},
            "falling": {"api_port": 0, "rtsp_port": 0},
        },
        "storage": {"recordings_dir": tmp_path},
        "recordings": {"stall_s": 2},
    }
    async with running_agent(plugins={"falling": FallingPlugin}, config=config, observe=observe) as agent:
        async with agent.client() as client, client.subscribe(["recording_status_update"]) as events:
            await connected(client)
            started = await client.call("start_recording", device="camera0", wait=True)
            url = (await client.call("get_stream_url", device="camera0"))["stream_url"]
            Falling.fall.set()
            await next_event(events, "recording_status_update", status="ERROR")
            await next_event(events, "recording_status_update", status="RECORDING")
            assert (await client.call("get_stream_url", device="camera0"))["stream_url"] == url
            assert await read_stream(url, frames=3)
            stopped = await client.call("stop_recording", device="camera0")
    assert stopped["filename"] == started["filename"]
    assert len(stopped["segments"]) == 2
    files = sorted((tmp_path / "camera0" / started["filename"]).glob("*.mp4"))
    assert all([await decoded(each) for each in files])
