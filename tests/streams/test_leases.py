"""Leases on streams of a real server: shared, brought back, let go of, and failures that are said."""

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import (
    AgentError,
    CaptureFailed,
    InvalidState,
    MediaServerUnavailable,
    Unsupported,
)
from agent_core.base.models import CameraId, CameraStatus
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.paths import PathManager
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.mediamtx.schema import PathConf, RuntimePath
from agent_core.streams.models import StreamState
from agent_core.testing.mediamtx import MediaServerUnderTest, free_ports
from agent_core.testing.waiting import eventually
from tests.media_plane import Plane, camera, publisher_argv, running_plane
from tests.media_servers import running_server

CAMERA = CameraId("camera0")


@pytest.fixture
async def plane(media_server: MediaServerUnderTest, tmp_path: Path) -> AsyncIterator[Plane]:
    async with running_plane(media_server, tmp_path) as plane:
        yield plane


async def seen(client: MediaServerClient) -> RuntimePath | None:
    """Return the path; on a loaded machine a call may get no answer in time, and is repeated."""
    with anyio.fail_after(10):
        while True:
            try:
                return await client.path("camera0")
            except MediaServerUnavailable:
                await anyio.sleep(0.01)


async def live(client: MediaServerClient) -> bool:
    path = await seen(client)
    return path is not None and path.live


async def idle(client: MediaServerClient) -> bool:
    return not await live(client)


async def test_a_lease_makes_the_stream_live_and_its_end_lets_it_end(
    plane: Plane, media_client: MediaServerClient
) -> None:
    assert plane.streams.state(CAMERA) == (StreamState.INACTIVE, None)
    with anyio.fail_after(15):
        async with plane.streams.lease(CAMERA, "a"):
            assert plane.streams.state(CAMERA) == (StreamState.ACTIVE, None)
            assert await live(media_client)
            path = await plane.paths.runtime(CAMERA)
            assert path is not None
            assert len(path.readers) == 1
            assert plane.paths.viewers(path) == 0
    assert plane.streams.state(CAMERA) == (StreamState.INACTIVE, None)
    await eventually(lambda: idle(media_client))


async def test_a_stream_that_others_read_is_used_as_it_is(
    plane: Plane, media_client: MediaServerClient
) -> None:
    """What differs would end it for them, so that waits until nobody reads it; who asks for it now gets it."""
    conf = plane.paths.plan.conf(camera("camera0"), PathConf(record=False), rtsp_url="rtsp://127.0.0.1:1")
    other = conf.model_copy(update={"run_on_demand_close_after_s": 2.0})
    await PathManager(media_client).ensure("camera0", other)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as viewers:
            await viewers.start(Hold(f"{plane.server.rtsp_url}/camera0").run)
            async with plane.streams.lease(CAMERA, "a"):
                path = await plane.paths.runtime(CAMERA)
                assert plane.paths.viewers(path) == 1
            viewers.cancel_scope.cancel()
        await eventually(lambda: idle(media_client))
        await plane.paths.ensure(camera("camera0"))
    actual = await media_client.path_config("camera0")
    assert actual is not None
    assert conf.missing_from(actual) == PathConf()


async def test_the_stream_lives_until_the_last_lease_is_released(
    plane: Plane, media_client: MediaServerClient
) -> None:
    for holder in ("a", "b", "a"):
        plane.streams.acquire(CAMERA, holder)
    with anyio.fail_after(30):
        while plane.streams.state(CAMERA)[0] is not StreamState.ACTIVE:  # a slow start costs an attempt
            await plane.streams.wait_change(CAMERA)
    before = await seen(media_client)
    assert plane.streams.release(CAMERA, "a")
    assert not plane.streams.has_lease(CAMERA, "a")
    assert plane.streams.release(CAMERA, "never had one")
    assert plane.streams.state(CAMERA) == (StreamState.ACTIVE, None)
    after = await seen(media_client)
    assert before is not None
    assert after is not None
    assert (after.live, after.live_since) == (True, before.live_since)
    assert not plane.streams.release(CAMERA, "b")
    assert not plane.streams.release(CAMERA, "b")
    await eventually(lambda: idle(media_client))


async def test_who_waits_is_told_when_the_lease_is_gone(plane: Plane) -> None:
    plane.argv = ("sleep", "600")
    refusals: list[str | None] = []

    async def wait() -> None:
        with pytest.raises(InvalidState) as caught:
            await plane.streams.wait_live(CAMERA)
        refusals.append(caught.value.reason)

    plane.streams.acquire(CAMERA, "a")
    with anyio.fail_after(15):
        async with anyio.create_task_group() as tg:
            tg.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            plane.streams.release(CAMERA, "a")
    assert refusals == ["stopped"]
    await wait()


async def test_all_who_wait_are_told_why_it_failed_whoever_lets_go_first(plane: Plane) -> None:
    plane.argv = ("false",)
    reasons: list[str | None] = []

    async def wait() -> None:
        try:
            await plane.streams.wait_live(CAMERA)
        except AgentError as error:
            plane.streams.release(CAMERA, "a")
            reasons.append(error.reason)

    plane.streams.acquire(CAMERA, "a")
    with anyio.fail_after(15):
        async with anyio.create_task_group() as tg:
            tg.start_soon(wait)
            tg.start_soon(wait)
    assert reasons == ["start_timed_out", "start_timed_out"]


async def test_a_path_that_was_deleted_is_made_again(plane: Plane, media_client: MediaServerClient) -> None:
    with anyio.fail_after(30):
        async with plane.streams.lease(CAMERA, "a"):
            await media_client.delete_path("camera0")
            await plane.streams.wait_change(CAMERA)
            while plane.streams.state(CAMERA)[0] is not StreamState.ACTIVE:
                await plane.streams.wait_change(CAMERA)
            assert await live(media_client)


class EndlessPauses(SystemClock):
    """Its pauses of a second and more never end by themselves; `begun` is set by the first."""

    def __init__(self) -> None:
        self.begun = anyio.Event()

    async def sleep(self, duration_s: float) -> None:
        if duration_s >= 1:
            self.begun.set()
            await anyio.sleep_forever()
        await super().sleep(duration_s)


async def test_a_server_that_is_back_ends_the_pauses(server_kind: str, tmp_path: Path) -> None:
    ports, folder, clock = free_ports(), tmp_path / "media_server", EndlessPauses()
    async with running_server(server_kind, folder, ports=ports) as server:
        async with running_plane(server, tmp_path, clock) as plane:
            plane.streams.acquire(CAMERA, "a")
            with anyio.fail_after(15):
                await plane.streams.wait_live(CAMERA)
            clock.begun = anyio.Event()
            server.signal(signal.SIGKILL)
            with anyio.fail_after(30):
                await clock.begun.wait()
            assert plane.streams.state(CAMERA)[0] is StreamState.ERROR
            async with running_server(server_kind, folder, ports=ports):
                # as the monitor does, whose first probe failed
                plane.link.recovery.unanswered()
                plane.link.breaker.probed(clock.monotonic_s())
                plane.link.recovery.answered()
                with anyio.fail_after(15):
                    while plane.streams.state(CAMERA)[0] is not StreamState.ACTIVE:
                        await plane.streams.wait_change(CAMERA)


async def test_a_publisher_that_fails_is_an_error_and_who_asks_again_does_not_wait(plane: Plane) -> None:
    plane.argv = ("false",)
    with anyio.fail_after(30):
        with pytest.raises(AgentError) as caught:
            async with plane.streams.lease(CAMERA, "a"):
                pass
        assert caught.value.reason == "start_timed_out"
        assert caught.value.suggestion
        plane.streams.acquire(CAMERA, "b")
        while plane.streams.state(CAMERA)[0] is not StreamState.ERROR:
            await plane.streams.wait_change(CAMERA)
        plane.argv = publisher_argv()
        plane.streams.acquire(CAMERA, "c")
        assert plane.streams.state(CAMERA) == (StreamState.STARTING, None)
        await plane.streams.wait_live(CAMERA)


async def test_what_cannot_be_published_is_refused_with_its_reason(plane: Plane) -> None:
    plane.argv = ()
    with pytest.raises(Unsupported) as unsupported:
        await plane.paths.ensure(camera("camera0"))
    assert unsupported.value.reason == "no_publisher"
    plane.argv = ("ffmpeg", "-i", "$HOME")
    with pytest.raises(Unsupported):
        plane.paths.plan.command(camera("camera0"))
    with pytest.raises(CaptureFailed) as missing:
        plane.paths.plan.command(replace(camera("camera0", None), status=CameraStatus.DISCONNECTED))
    assert missing.value.reason == "camera_disconnected"


async def test_a_camera_without_a_media_input_is_not_called_disconnected(plane: Plane) -> None:
    with pytest.raises(Unsupported) as pictures_only:
        plane.paths.plan.command(camera("camera0", None))
    assert pictures_only.value.reason == "no_media_input"
    assert "connected" not in pictures_only.value.details
    broken = replace(camera("camera0", None), status=CameraStatus.ERROR, problem="The lens is on fire.")
    with pytest.raises(CaptureFailed, match="The lens is on fire") as failed:
        plane.paths.plan.command(broken)
    assert failed.value.reason == "camera_failed"


async def records(client: MediaServerClient) -> bool:
    conf = await client.path_config("camera0")
    return conf is not None and conf.record is True


async def test_what_another_life_left_recording_is_put_right(
    plane: Plane, media_client: MediaServerClient
) -> None:
    """A killed agent leaves its path set to record; whoever asks for the stream next must not record again."""
    await plane.paths.ensure(camera("camera0"))
    path = f"{plane.files.root}/%path/old/%Y-%m-%d_%H-%M-%S-%f"
    await media_client.patch_path("camera0", PathConf(record=True, record_path=path))
    await eventually(lambda: records(media_client))  # the server answers before it has applied
    await plane.paths.ensure(camera("camera0"))
    conf = await media_client.path_config("camera0")
    assert conf is not None
    assert conf.record is False
