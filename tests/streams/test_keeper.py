"""Paths of connected cameras: there without a call, few calls for many, gone with the camera."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import CaptureFailed
from agent_core.base.models import CameraId, FfmpegInput, MediaInput
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.streams.models import StreamState
from agent_core.testing.mediamtx import MediaServerUnderTest
from agent_core.testing.waiting import eventually
from tests.e2e.counting_proxy import CountingProxy, counting_proxy
from tests.media_plane import INPUT, Plane, camera, running_plane

CAMERA = CameraId("camera0")
#: The keeper compares idle paths every 5 s; a loaded machine gets some more.
LIMIT_S = 20
#: Calls of one comparison that finds nothing different.
IDLE_CALLS = ("/v3/config/paths/list", "/v3/paths/list")


@asynccontextmanager
async def kept(plane: Plane) -> AsyncIterator[None]:
    """Keep the paths of the plane's cameras for as long as the context is open."""
    async with anyio.create_task_group() as tg:
        await tg.start(plane.keeper.run)
        yield
        tg.cancel_scope.cancel()


@pytest.fixture
async def plane(media_server: MediaServerUnderTest, tmp_path: Path) -> AsyncIterator[Plane]:
    async with running_plane(media_server, tmp_path) as plane:
        yield plane


async def until(client: MediaServerClient, *names: str) -> None:
    """Wait until the server has these paths at run time, and no others."""

    async def so() -> bool:
        return {path.name for path in await client.list_paths()} == set(names)

    await eventually(so, timeout_s=LIMIT_S)


async def test_a_connected_camera_has_a_path_that_starts_nothing(
    plane: Plane, media_client: MediaServerClient
) -> None:
    plane.connect("camera2", None)
    async with kept(plane):
        await until(media_client, "camera0", "camera1")
        plane.connect("camera3")
        await until(media_client, "camera0", "camera1", "camera3")
        paths = await media_client.list_paths()
    assert [(path.live, path.source) for path in paths] == [(False, None)] * 3


async def test_the_path_of_a_camera_goes_and_comes_with_it(
    plane: Plane, media_client: MediaServerClient
) -> None:
    async with kept(plane):
        await until(media_client, "camera0", "camera1")
        plane.disconnect("camera0")
        await until(media_client, "camera1")
        plane.connect("camera0")
        await until(media_client, "camera0", "camera1")


class EndlessPause(SystemClock):
    """Clock whose pauses of one second, the third of a hold, do not end by themselves; `begun` is set by the first."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = anyio.Event()

    async def sleep(self, duration_s: float) -> None:
        if duration_s == 1.0:
            self.begun.set()
            await anyio.sleep_forever()
        await super().sleep(duration_s)


async def test_a_held_stream_starts_as_soon_as_its_camera_is_back(
    media_server: MediaServerUnderTest, tmp_path: Path
) -> None:
    clock = EndlessPause()
    async with running_plane(media_server, tmp_path, clock) as plane, kept(plane):
        plane.disconnect(CAMERA)
        plane.streams.acquire(CAMERA, "test")
        with anyio.fail_after(40):
            await clock.begun.wait()
            assert plane.streams.state(CAMERA)[0] is StreamState.ERROR
            plane.connect(CAMERA)
            while plane.streams.state(CAMERA)[0] is not StreamState.ACTIVE:
                await plane.streams.wait_change(CAMERA)


async def test_a_live_path_of_a_camera_that_is_gone_stays_until_it_is_idle(
    plane: Plane, media_client: MediaServerClient
) -> None:
    async with kept(plane):
        with anyio.fail_after(60):
            async with plane.streams.lease(CAMERA, "test"):
                plane.disconnect("camera0")
                plane.connect("camera2")
                await until(
                    media_client, "camera0", "camera1", "camera2"
                )  # that comparison has passed camera0
                path = await media_client.path("camera0")
                assert path is not None
                assert path.live
            await until(media_client, "camera1", "camera2")


async def test_lost_paths_come_back_without_a_reader(plane: Plane, media_client: MediaServerClient) -> None:
    async with kept(plane):
        await until(media_client, "camera0", "camera1")
        for name in ("camera0", "camera1"):
            await media_client.delete_path(name)
        await eventually(lambda: counted_repairs(plane), timeout_s=LIMIT_S)
        await until(media_client, "camera0", "camera1")


async def counted_repairs(plane: Plane) -> bool:
    return plane.link.repairs >= 1


async def test_a_recording_of_a_killed_agent_is_not_ended_before_that_is_decided(
    plane: Plane, media_client: MediaServerClient
) -> None:
    """The next agent continues it, or tells the server to stop."""

    async def recording(*, wanted: bool) -> None:
        async def so() -> bool:
            conf = await media_client.path_config("camera0")
            return conf is not None and conf.record is wanted and conf.run_on_demand != "old"

        await eventually(so, timeout_s=LIMIT_S)

    await media_client.add_path("camera0", PathConf(record=True, run_on_demand="old"))
    async with kept(plane):
        await recording(wanted=True)
        await plane.paths.ensure(camera("camera0"))
        await recording(wanted=False)
        await media_client.patch_path("camera0", PathConf(record=True))
        await recording(wanted=False)


@asynccontextmanager
async def counted(server: MediaServerUnderTest, folder: Path) -> AsyncIterator[tuple[Plane, CountingProxy]]:
    """Run a plane whose calls of the server go through a proxy that counts them."""
    at = urlsplit(server.api_url)
    assert at.hostname
    assert at.port
    async with counting_proxy(at.hostname, at.port) as proxy:
        known = f"{at.username}:{at.password}@" if at.username else ""
        api_url = proxy.url.replace("://", f"://{known}")
        async with running_plane(replace(server, api_url=api_url), folder) as plane:
            yield plane, proxy


async def test_twenty_cameras_cost_few_calls_at_first_and_two_from_then_on(
    media_server: MediaServerUnderTest, media_client: MediaServerClient, tmp_path: Path
) -> None:
    names = [f"camera{number}" for number in range(20)]
    async with counted(media_server, tmp_path) as (plane, proxy):
        async with kept(plane):
            for name in names:
                plane.connect(name)
            await until(media_client, *names)
            await idle_calls(proxy, 2)
            calls = Counter(
                path.partition("?")[0].removesuffix("/").split("camera")[0] for path in proxy.paths
            )
            assert calls["/v3/config/paths/add/"] == 20
            assert calls.total() <= 8 * 20  # a loaded server shows a new path late and is asked again
            proxy.paths.clear()
            await idle_calls(proxy, 3)
    assert {path.partition("?")[0] for path in proxy.paths} == {*IDLE_CALLS}


async def idle_calls(proxy: CountingProxy, count: int) -> None:
    """Wait until all paths have been compared that many times without a difference."""
    with anyio.fail_after(2 * LIMIT_S):
        while [path.partition("?")[0] for path in proxy.paths[-2 * count :]] != [*IDLE_CALLS] * count:
            await anyio.sleep(0.05)


async def test_a_removed_camera_loses_its_live_stream_and_its_path(
    plane: Plane, media_client: MediaServerClient
) -> None:
    async with kept(plane):
        with anyio.fail_after(60):
            async with plane.streams.lease(CAMERA, "test"):
                plane.cameras.removed("test", "camera0", "It was removed.")
                await until(media_client, "camera1")
                assert plane.streams.holders(CAMERA) == frozenset()
            plane.connect("camera0")
            await until(media_client, "camera0", "camera1")


class Gate:
    """Gate of a source, which a test closes; `admitted` counts the openings."""

    def __init__(self, media_input: MediaInput) -> None:
        self.media_input = media_input
        self.problem: Exception | None = None
        self.admitted = 0
        self.hangs = False

    async def admit(self) -> MediaInput:
        if self.hangs:
            await anyio.sleep_forever()
        if self.problem is not None:
            raise self.problem
        self.admitted += 1
        return self.media_input

    async def admit_redirect(self, url: str) -> str:
        return url


def gated(plane: Plane, gate: Gate) -> None:
    detected = replace(camera("camera0", gate.media_input).detected, gate=gate)
    plane.cameras.connected("test", detected)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (CaptureFailed("It redirects.", reason="redirected"), "redirected"),
        (ValueError("a fault of the plugin"), "source_error"),
    ],
)
async def test_a_stream_is_started_only_if_its_source_admits_it(
    plane: Plane, problem: Exception, reason: str
) -> None:
    gate = Gate(INPUT)
    gated(plane, gate)
    with anyio.fail_after(60):
        async with plane.streams.lease(CAMERA, "test"):
            assert gate.admitted == 1
        gate.problem = problem
        with pytest.raises(CaptureFailed) as refused:
            async with plane.streams.lease(CAMERA, "test"):
                pass
        assert refused.value.reason == reason
        gate.problem = None
        async with plane.streams.lease(CAMERA, "test"):
            assert gate.admitted == 2


async def test_an_attempt_at_a_former_address_ends_when_the_source_reports_another(plane: Plane) -> None:
    gate = Gate(INPUT)
    gate.hangs = True
    gated(plane, gate)
    async with kept(plane):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:

                async def hold() -> None:
                    async with plane.streams.lease(CAMERA, "test"):
                        tasks.cancel_scope.cancel()

                tasks.start_soon(hold)
                while CAMERA not in plane.streams.held:
                    await anyio.sleep(0.01)
                gated(plane, Gate(FfmpegInput((*INPUT.args[:-1], "testsrc2=size=176x144:rate=15"))))
                await anyio.sleep_forever()
