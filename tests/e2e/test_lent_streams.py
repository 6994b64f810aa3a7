"""Streams that a whole agent lends to a plugin, with each media server and each way to publish."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.errors import (
    AgentError,
    MediaServerError,
    MediaServerUnavailable,
    NotFound,
    Unsupported,
)
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.plugin import (
    AgentContext,
    CameraId,
    CameraStreams,
    Component,
    LiveStream,
    Plugin,
    Settings,
    hookimpl,
)
from agent_core.testing import RunningAgent, running_agent
from agent_core.testing.mediamtx import find_mediamtx
from agent_core.testing.waiting import eventually
from tests.media_servers import running_server

CAMERA = CameraId("camera0")
LIMIT_S = 40
Observe = Callable[[str], None]
CAMERAS: Mapping[str, Any] = {
    "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0", "width": 320, "height": 240}]},
    "embedded_server": {"api_port": 0, "rtsp_port": 0},
}
PLUGINS = ("virtual_camera", "ffmpeg_tier")
_ANY_PORT = dict.fromkeys(("api_port", "rtsp_port", "hls_port", "webrtc_port", "webrtc_udp_port"), 0)


class Borrower(Component):
    """Component of a plugin that borrows streams; `run` does what the test asks for with `work`."""

    name = "borrower"

    def __init__(self, streams: CameraStreams) -> None:
        self.streams = streams
        self.runs = 0
        self.at_start: list[AgentError] = []

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        self.runs += 1
        task_status.started()
        await self.work()

    async def work(self) -> None:
        await anyio.sleep_forever()


class Leaky(Borrower):
    """Leaves a lease open and fails, once `fall` is set; after that it only runs."""

    def __init__(self, streams: CameraStreams) -> None:
        super().__init__(streams)
        self.leased, self.fall = anyio.Event(), anyio.Event()
        self.left = AsyncExitStack()

    async def work(self) -> None:
        if self.runs > 1:
            await anyio.sleep_forever()
        await until_leased(self.streams, self.left)
        self.leased.set()
        await self.fall.wait()
        raise RuntimeError("it fell and left its lease open")


class EarlyAndLate(Borrower):
    """Borrows before the media server is connected, and holds a lease until the agent ends; then it tries again."""

    def __init__(self, streams: CameraStreams) -> None:
        super().__init__(streams)
        self.leased = anyio.Event()
        self.at_end: list[AgentError] = []

    async def work(self) -> None:
        await self._try(self.at_start)
        async with AsyncExitStack() as stack:
            await until_leased(self.streams, stack)
            self.leased.set()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                    await self._try(self.at_end)

    async def _try(self, errors: list[AgentError]) -> None:
        try:
            async with self.streams.lease(CAMERA, "too early or too late"):
                raise AssertionError("it is leased")
        except AgentError as error:
            errors.append(error)


def plugin_of(make: Callable[[CameraStreams], Borrower], made: list[Borrower]) -> type[Plugin[Settings]]:
    """Return a plugin with that component, which `made` receives."""

    class Borrowing(Plugin[Settings]):
        Settings = Settings
        hookspec_api = ">=1.1,<2"

        @hookimpl
        def agent_components(self, agent: AgentContext) -> Iterable[Component]:
            made.append(make(agent.streams))
            return [made[-1]]

    return Borrowing


@asynccontextmanager
async def borrowing(
    observe: Observe, config: Mapping[str, Any], make: Callable[[CameraStreams], Borrower] = Borrower
) -> AsyncIterator[tuple[RunningAgent, Any]]:
    """Run an agent with a plugin that borrows; yield both."""
    made: list[Borrower] = []
    plugins = {"borrowing": plugin_of(make, made)}
    async with running_agent(plugins=plugins, config=config, observe=observe) as agent:
        yield agent, made[0]


def embedded(**media_server: Any) -> dict[str, Any]:
    plugins = {**CAMERAS, "enabled": [*PLUGINS, "embedded_server"]}
    return {"plugins": plugins, "media_server": {"close_after_s": 1, **media_server}}


@asynccontextmanager
async def configured(mode: str, publishers: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Give the configuration of an agent whose media server is of that kind; run the server if it is external."""
    if mode == "embedded":
        yield embedded(publishers=publishers)
        return
    plugins = {**CAMERAS, "enabled": [*PLUGINS]}
    server: dict[str, Any] = {"publishers": publishers, "close_after_s": 1}
    if mode == "managed":
        program = find_mediamtx()
        if program is None:
            pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
        yield {"plugins": plugins, "media_server": {**server, "mode": mode, "program": program, **_ANY_PORT}}
        return
    async with running_server(mode.partition(" ")[2], folder / "media_server") as running:
        urls = {"api_url": running.api_url, "rtsp_url": running.rtsp_url}
        yield {"plugins": plugins, "media_server": {**server, "mode": "external", **urls}}


async def until_leased(streams: CameraStreams, stack: AsyncExitStack) -> LiveStream:
    """Lease the stream as soon as the camera is found and the media server runs."""

    async def leased() -> LiveStream | None:
        try:
            return await stack.enter_async_context(streams.lease(CAMERA, "test"))
        except (MediaServerError, NotFound):
            return None

    return await eventually(leased, timeout_s=LIMIT_S)


REAL = pytest.mark.real_mediamtx


@pytest.mark.parametrize("publishers", ["server", "agent"])
@pytest.mark.parametrize(
    "mode",
    [
        "embedded",
        pytest.param("managed", marks=REAL),
        "external embedded",
        pytest.param("external mediamtx", marks=REAL),
    ],
)
async def test_a_plugin_reads_a_leased_stream_and_is_no_viewer(
    mode: str, publishers: str, tmp_path: Path, observe: Observe
) -> None:
    async with (
        configured(mode, publishers, tmp_path) as config,
        borrowing(observe, config) as (agent, borrower),
        agent.client() as client,
        AsyncExitStack() as stack,
    ):
        stream = await until_leased(borrower.streams, stack)
        assert stream.url.startswith("rtsp://127.0.0.1:")
        with anyio.fail_after(LIMIT_S), borrower.streams.reading(CAMERA):
            async with anyio.create_task_group() as tg:
                await tg.start(Hold(stream.url, credentials=stream.credentials).run)
                status = await client.call("get_stream_status", device="camera0")
                assert (status["status"], status["mediamtx_path"]["readers"]) == ("ACTIVE", 0), status
                tg.cancel_scope.cancel()
        await stack.aclose()

        async def ended() -> bool:
            return (await borrower.streams.look(CAMERA)).since_s is None

        await eventually(ended, timeout_s=LIMIT_S)


async def test_a_component_that_fails_gives_back_the_lease_that_it_left_open(observe: Observe) -> None:
    async with borrowing(observe, embedded(), Leaky) as (agent, component):
        with anyio.fail_after(LIMIT_S):
            await component.leased.wait()
        assert agent.parts.media.streams.held == {CAMERA}
        component.fall.set()

        async def given_back() -> bool:
            return not agent.parts.media.streams.held

        await eventually(given_back, timeout_s=LIMIT_S)
        await component.left.aclose()

        async def runs_again() -> bool:
            return bool(component.runs == 2)

        await eventually(runs_again, timeout_s=LIMIT_S)


async def test_a_component_that_borrows_too_early_or_too_late_is_told_so(observe: Observe) -> None:
    async with borrowing(observe, embedded(), EarlyAndLate) as (_agent, component):
        with anyio.fail_after(LIMIT_S):
            await component.leased.wait()
    (early,), (late,) = component.at_start, component.at_end
    assert isinstance(early, NotFound | MediaServerUnavailable)
    assert isinstance(late, MediaServerUnavailable)


async def test_an_agent_without_a_media_server_lends_no_stream(observe: Observe) -> None:
    config = {"plugins": {**CAMERAS, "enabled": [*PLUGINS]}}
    async with borrowing(observe, config) as (agent, component):
        streams = component.streams
        assert streams.known(CAMERA) is None
        with pytest.raises(Unsupported, match="no media server"):
            await streams.look(CAMERA)
        with pytest.raises(Unsupported, match="no media server"):
            async with streams.lease(CAMERA, "test"):
                raise AssertionError("it is leased")
        with pytest.raises(NotFound):
            await streams.look(CameraId("camera9"))
        assert agent.parts.media.streams.held == frozenset()
