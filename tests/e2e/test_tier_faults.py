"""What goes wrong while tiers 2 and 3 work: each attempt ends with a reason in time, nothing is left, and the next works."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import CaptureRequest, ffmpeg
from agent_core.testing import SystemClock
from agent_core.testing.mediamtx import MediaServerUnderTest, free_ports
from agent_core.testing.waiting import eventually
from tests.media_servers import running_server
from tests.odd.camera import Camera, Then
from tests.odd.video import Video, encode
from virtual_camera import burnt_in

from .media import Rig, media_rig
from .network_cameras import NetworkCameras, network_camera

Observe = Callable[[str], None]
#: A stream that does not start holds up nothing for longer than a test waits.
PATIENT: dict[str, Any] = {
    "plugins": {"rtsp_tier": {"keep_warm_s": 0, "connect_timeout_s": 5, "silence_timeout_s": 5}},
    "snapshots": {"tier_budget_s": [10, 10, 20, 30]},
    "media_server": {"close_after_s": 1, "start_timeout_s": 30},
    "auth": {"calls_per_s": 1000, "calls_burst": 2000},
}
DEADLINE_MS = 8000


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")
    return encode(tmp_path_factory.mktemp("video"), "H264", *encoder)


class Scene:
    """A rig with the network camera camera1, and its source."""

    def __init__(self, rig: Rig, network: NetworkCameras) -> None:
        self.rig = rig
        self.network = network

    async def photograph(self, *, deadline_ms: int = DEADLINE_MS) -> int:
        """Return the tier that served."""
        async with self.rig.agent.client() as client:
            return await photograph(client, deadline_ms=deadline_ms)

    async def recovered(self) -> int:
        """Return the tier that serves once a picture is possible again."""
        with anyio.fail_after(60):
            while True:
                try:
                    return await self.photograph()
                except CallFailed as error:
                    assert error.code == -32050
                    assert error.suggestion
                    await anyio.sleep(0.1)

    async def released(self) -> None:
        """Wait until the stream has ended, as nothing but the snapshot wanted it."""
        with anyio.fail_after(30):
            while True:
                try:
                    await self.rig.until("get_stream_status", "camera1", ready=False)
                    return
                except CallFailed:
                    await anyio.sleep(0.1)


async def photograph(client: AgentClient, *, deadline_ms: int = DEADLINE_MS) -> int:
    with anyio.fail_after(40):
        snapshot: Any = await client.call(
            "take_snapshot", device="camera1", max_age_ms=0, deadline_ms=deadline_ms
        )
    tier: int = snapshot["tier_used"]
    return tier


async def refused(scene: Scene, errors: list[CallFailed], *, deadline_ms: int = DEADLINE_MS) -> None:
    with pytest.raises(CallFailed) as caught:
        await scene.photograph(deadline_ms=deadline_ms)
    assert caught.value.code == -32050
    assert caught.value.reason
    assert caught.value.suggestion
    errors.append(caught.value)


@asynccontextmanager
async def scene(
    kind: str,
    folder: Path,
    observe: Observe,
    *,
    url: str = "",
    server: MediaServerUnderTest | None = None,
    **sections: Any,
) -> AsyncIterator[Scene]:
    """camera1 is at `url`, the stream of the virtual camera by default."""
    network = NetworkCameras()
    added = {"network": network.plugin()}
    merged = {**PATIENT, **sections}
    async with media_rig(kind, folder, observe, server=server, added=added, **merged) as rig:
        url = url or (await rig.call("get_stream_url"))["stream_url"]
        network.connect(network_camera("camera1", url, has_credentials=True))
        yield Scene(rig, network)


@pytest.mark.parametrize("tier", [2, 3])
@pytest.mark.parametrize("number", [signal.SIGSTOP, pytest.param(signal.SIGKILL, marks=pytest.mark.release)])
async def test_the_media_server_dies_or_hangs_meanwhile(
    server_kind: str, tmp_path: Path, observe: Observe, video: Video, tier: int, number: signal.Signals
) -> None:
    """The stream has no packets, so that the attempt is under way for as long as the server lives."""
    ports = free_ports()
    camera = Camera(video=video, timeout_s=60, pictures=0, then=Then.STALL)
    async with camera.serving() as port, anyio.create_task_group() as tg:
        async with running_server(server_kind, tmp_path / "media_server", ports=ports) as server:
            url = f"rtsp://127.0.0.1:{port}/cam"
            async with scene(server_kind, tmp_path, observe, url=url, server=server) as agent:
                if tier == 2:
                    await agent.rig.call("start_streaming", "camera1")
                errors: list[CallFailed] = []
                async with anyio.create_task_group() as attempt:
                    attempt.start_soon(refused, agent, errors)
                    await eventually(lambda: _has_asked(camera, "PLAY"), timeout_s=20)
                    server.signal(number)
                tried = {each["tier"] for each in errors[0].data["tiers_tried"]}
                assert tier in tried
                if number is signal.SIGSTOP:
                    server.signal(signal.SIGCONT)
                    camera.pictures, camera.then = None, Then.REPEAT
                    assert await agent.recovered() in {2, 3}
        tg.cancel_scope.cancel()


async def _has_asked(camera: Camera, method: str) -> bool:
    return method in camera.asked


async def _is_closed(camera: Camera) -> bool:
    return not camera.open


@pytest.mark.parametrize("stage", ["DESCRIBE", "packets"])
async def test_a_client_that_gives_up_leaves_nothing_open(
    server_kind: str, tmp_path: Path, observe: Observe, video: Video, stage: str
) -> None:
    """A stream that never has a key frame, and clients who do not wait for it: all that was opened is closed."""
    if stage == "packets":
        camera = Camera(video=video, timeout_s=60, pictures=0, then=Then.STALL)
    else:
        camera = Camera(video=video, timeout_s=60, silent_at=stage)
    async with camera.serving() as port:
        url = f"rtsp://127.0.0.1:{port}/cam"
        async with scene(server_kind, tmp_path, observe, url=url) as agent:
            async with anyio.create_task_group() as tg:
                for _ in range(3):
                    tg.start_soon(partial(agent.photograph, deadline_ms=30_000))
                await eventually(lambda: _has_asked(camera, "DESCRIBE"), timeout_s=20)
                tg.cancel_scope.cancel()
            await eventually(lambda: _is_closed(camera), timeout_s=40)
            await agent.released()


async def test_a_camera_that_is_unplugged_while_its_stream_starts(
    server_kind: str, tmp_path: Path, observe: Observe, video: Video
) -> None:
    camera = Camera(video=video, timeout_s=60, silent_at="DESCRIBE")
    async with camera.serving() as port:
        url = f"rtsp://127.0.0.1:{port}/cam"
        async with scene(server_kind, tmp_path, observe, url=url) as agent:
            errors: list[CallFailed] = []
            async with anyio.create_task_group() as tg:
                tg.start_soon(refused, agent, errors)
                await eventually(lambda: _has_asked(camera, "DESCRIBE"), timeout_s=20)
                agent.network.disconnect("camera1")
            error = await agent.rig.refused("take_snapshot", "camera1")
            assert error.reason == "camera_disconnected"
            await eventually(lambda: _is_closed(camera), timeout_s=40)
            camera.silent_at = ""
            agent.network.connect(network_camera("camera1", url, has_credentials=True))
            assert await agent.recovered() == 3


async def test_two_hundred_calls_at_once_share_a_few_captures(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    counters: set[int] = set()

    async def calls(client: AgentClient) -> None:
        async with anyio.create_task_group() as tg:
            for _ in range(25):
                tg.start_soon(one, client)

    async def one(client: AgentClient) -> None:
        with anyio.fail_after(50):
            snapshot: Any = await client.call(
                "take_snapshot", device="camera1", max_age_ms=0, deadline_ms=40_000
            )
        counters.add(burnt_in.read(Path(snapshot["file_path"]).read_bytes()).counter)

    async with scene(server_kind, tmp_path, observe) as agent:
        async with AsyncExitStack() as stack:
            opened = [agent.rig.agent.client() for _ in range(8)]  # a connection may have 32 calls at a time
            clients = [await stack.enter_async_context(each) for each in opened]
            async with anyio.create_task_group() as tg:
                for client in clients:
                    tg.start_soon(calls, client)
        assert len(counters) <= 4
        await agent.released()


@pytest.mark.parametrize("publishers", ["server", "agent"])
async def test_a_publisher_that_is_slow_to_start_is_waited_for(
    server_kind: str, tmp_path: Path, observe: Observe, publishers: str
) -> None:
    """Both ways to run it; its first key frame comes 3 s after its start."""
    program = tmp_path / "slow"
    program.write_text(
        "#!/bin/sh\nfor last; do :; done\n"
        f'case "$last" in rtsp://*) sleep 3;; esac\nexec {ffmpeg.locate()} "$@"\n'
    )
    program.chmod(0o755)
    plugins = {**PATIENT["plugins"], "ffmpeg_tier": {"program": str(program)}}
    media_server = {**PATIENT["media_server"], "publishers": publishers}
    rig = scene(server_kind, tmp_path, observe, plugins=plugins, media_server=media_server)
    async with rig as agent:
        agent.network.disconnect("camera1")
        camera = agent.rig.agent.parts.cameras.get("camera0")
        (tier,) = [tier for tier in agent.rig.agent.parts.snapshots.tiers if tier.rank == 3]
        now_s = SystemClock().monotonic_s()
        with anyio.fail_after(40):
            picture = await tier.capture(camera, CaptureRequest(now_s, now_s + 35))
        assert picture.captured_s >= now_s
        burnt_in.read(picture.data)
