"""Holds of clients over a real media server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import AgentError, InvalidState
from agent_core.base.models import CameraId, CameraStatus
from agent_core.config import MediaServerConfig
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import ffmpeg
from agent_core.streams import CameraPaths, StreamService
from agent_core.streams.addresses import StreamAddresses
from agent_core.testing.mediamtx import MediaServerUnderTest, publisher_command
from tests.media_plane import Plane, camera, running_plane

CAMERA = CameraId("camera0")
#: A publisher that never publishes; the address is appended, and ignored.
SILENT = ("sh", "-c", "exec sleep 60")


@pytest.fixture
async def plane(media_server: MediaServerUnderTest, tmp_path: Path) -> AsyncIterator[Plane]:
    async with running_plane(media_server, tmp_path) as plane:
        yield plane


@pytest.fixture
def service(plane: Plane) -> StreamService:
    return service_of(plane, plane.paths)


def service_of(plane: Plane, paths: CameraPaths) -> StreamService:
    addresses = StreamAddresses(plane.link, MediaServerConfig(), managed_ports=lambda: None)
    return StreamService(plane.streams, paths, addresses, close_after_s=1, clock=SystemClock())


@pytest.mark.parametrize("had_lease", [False, True])
async def test_a_start_that_fails_leaves_the_leases_as_they_were(
    plane: Plane, service: StreamService, *, had_lease: bool
) -> None:
    plane.argv = SILENT
    if had_lease:
        plane.streams.acquire(CAMERA, "a")
    with anyio.fail_after(60), pytest.raises(AgentError):
        await service.start(camera("camera0"), "a")
    assert plane.streams.has_lease(CAMERA, "a") is had_lease


async def test_a_start_that_is_cancelled_leaves_no_lease(plane: Plane, service: StreamService) -> None:
    plane.argv = SILENT
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tg:
            tg.start_soon(service.start, camera("camera0"), "a")
            await plane.streams.wait_leased()
            assert plane.streams.has_lease(CAMERA, "a")
            tg.cancel_scope.cancel()
    assert not plane.streams.has_lease(CAMERA, "a")


async def test_only_a_holder_stops_and_the_stream_goes_on_for_others(
    plane: Plane, service: StreamService
) -> None:
    with anyio.fail_after(60):
        first = await service.start(camera("camera0"), "a")
        again = await service.start(camera("camera0"), "a")
        await service.start(camera("camera0"), "b")
        with pytest.raises(InvalidState) as caught:
            await service.stop(camera("camera0"), "c")
        stopped = await service.stop(camera("camera0"), "a")
    assert caught.value.reason == "not_streaming"
    assert first.started_at == again.started_at == stopped.started_at <= stopped.ended_at
    assert stopped.continues
    assert plane.streams.has_lease(CAMERA, "b")


async def test_addresses_are_those_of_the_server_in_use(plane: Plane, service: StreamService) -> None:
    port = plane.server.rtsp_url.rpartition(":")[2]
    assert service.addresses.rtsp_url(CAMERA) == f"rtsp://127.0.0.1:{port}/camera0"
    assert not service.addresses.served  # not asked yet
    await plane.link.probe()
    assert service.addresses.served == ("rtsp",)  # each server of these tests has the others switched off


async def test_an_idle_stream_that_starts_when_it_is_opened_is_available(
    plane: Plane, service: StreamService
) -> None:
    idle = await service.address(camera("camera0"))
    gone = replace(camera("camera1", None), status=CameraStatus.DISCONNECTED)
    assert (idle.is_live, idle.is_available) == (False, True)
    assert await ffmpeg.run(ffmpeg.locate(), ["-i", idle.url, "-frames:v", "1", "-f", "framecrc", "-"])
    assert not (await service.address(gone)).is_available
    assert not (await service.address(replace(camera("camera1"), status=CameraStatus.ERROR))).is_available


class NotLiveYet(CameraPaths):
    """Paths as they were before any stream was live."""

    async def runtime(self, camera: CameraId) -> None:
        return None


async def test_a_stream_of_another_program_that_begins_meanwhile_is_live(plane: Plane) -> None:
    """It began between the two looks at its path, which the agent must not change now."""
    foreign = PathConf(run_on_demand=publisher_command(), run_on_demand_close_after_s=10)
    await plane.link.require().paths.ensure(CAMERA, foreign)
    paths = NotLiveYet(plane.link, camera=plane.cameras.get, plan=plane.paths.plan, clock=SystemClock())
    service = service_of(plane, paths)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            url = f"{plane.server.rtsp_url}/{CAMERA}"
            await tasks.start(Hold(url, start_timeout_s=20).run)
            address = await service.address(camera("camera0"))
            tasks.cancel_scope.cancel()
    assert (address.is_live, address.is_available, address.has_failed) == (True, True, False)
    assert address.url.endswith(f"/{CAMERA}")


async def test_a_stream_that_its_holder_cannot_get_is_not_available(
    plane: Plane, service: StreamService
) -> None:
    plane.argv = SILENT
    plane.streams.acquire(CAMERA, "a")
    with anyio.fail_after(60), pytest.raises(AgentError):
        await plane.streams.wait_live(CAMERA)
    address = await service.address(camera("camera0"))
    assert (address.has_failed, address.is_available) == (True, False)


async def test_every_stream_of_the_server_has_a_source(plane: Plane, service: StreamService) -> None:
    await plane.paths.ensure(camera("camera0"))
    (idle,) = await service.all()
    await service.start(camera("camera0"), "a")
    (live,) = await service.all()
    assert (idle.source, live.source) == ("publisher", "rtspSession")
