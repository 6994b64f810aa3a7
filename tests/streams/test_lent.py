"""Streams lent to plugins, of each media server, and the stand-in that plugins are tested with."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import (
    AgentError,
    CaptureFailed,
    MediaServerError,
    MediaServerUnavailable,
    Unsupported,
)
from agent_core.mediamtx.breaker import BreakerState, CircuitOpen
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.plugin import CameraId, CameraStreams, LiveStream
from agent_core.streams.held import hold_of
from agent_core.streams.models import StreamState
from agent_core.testing import CameraStreamsContract, FakeStreams, SystemClock
from agent_core.testing.mediamtx import MediaServerUnderTest
from agent_core.testing.waiting import eventually
from tests.media_plane import Plane, running_plane
from tests.media_servers import running_server

CAMERA = CameraId("camera0")
#: The keeper sees idle paths every 5 s; a loaded machine gets some more.
LIMIT_S = 30


class TestFakeStreams(CameraStreamsContract):
    @asynccontextmanager
    async def lent(self) -> AsyncIterator[CameraStreams]:
        streams = FakeStreams(SystemClock())
        streams.serve(self.camera, "rtsp://127.0.0.1:8554/camera0")
        yield streams


class TestStreamsOfAServer(CameraStreamsContract):
    @pytest.fixture(autouse=True)
    def _set_up(self, media_server: MediaServerUnderTest, tmp_path: Path) -> None:
        self._server, self._folder = media_server, tmp_path

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[CameraStreams]:
        async with running_plane(self._server, self._folder) as plane:
            yield plane.lent.to("test")


@pytest.fixture
async def plane(media_server: MediaServerUnderTest, tmp_path: Path) -> AsyncIterator[Plane]:
    async with running_plane(media_server, tmp_path) as plane:
        yield plane


@pytest.fixture
async def one_plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """A plane on the embedded server, for what does not depend on the server."""
    async with running_server("embedded", tmp_path / "media_server") as server:
        async with running_plane(server, tmp_path) as plane:
            yield plane


async def refusals(streams: CameraStreams, camera: CameraId = CAMERA) -> list[AgentError]:
    """Return the errors of a look and of a lease."""
    found: list[AgentError] = []
    with anyio.fail_after(LIMIT_S):
        with pytest.raises(AgentError) as look:
            await streams.look(camera)
        with pytest.raises(AgentError) as lease:
            async with streams.lease(camera, "test"):
                raise AssertionError("it is leased")
    found = [look.value, lease.value]
    assert all(each.details and each.suggestion for each in found)
    return found


async def test_a_stream_that_a_viewer_started_is_seen_and_its_end_too(plane: Plane) -> None:
    streams = plane.lent.to("test")

    async def known() -> bool:
        stream = streams.known(CAMERA)
        return stream is not None and stream.since_s is not None

    async def unknown() -> bool:
        return not await known()

    async with anyio.create_task_group() as tg:
        await tg.start(plane.keeper.run)
        await plane.paths.ensure(plane.paths.camera(CAMERA))
        assert await unknown()
        async with anyio.create_task_group() as viewer:
            with anyio.fail_after(LIMIT_S):
                await viewer.start(Hold(f"{plane.server.rtsp_url}/camera0").run)
            await eventually(known, timeout_s=LIMIT_S)
            assert (await streams.look(CAMERA)).since_s is not None
            assert plane.streams.held == frozenset()
            viewer.cancel_scope.cancel()
        await eventually(unknown, timeout_s=LIMIT_S)
        tg.cancel_scope.cancel()


async def test_a_stream_that_breaks_under_a_lease_is_not_live_and_comes_back(plane: Plane) -> None:
    streams = plane.lent.to("test")
    with anyio.fail_after(2 * LIMIT_S):
        async with streams.lease(CAMERA, "test") as first:
            assert first.since_s is not None
            await plane.link.require().client.delete_path("camera0")
            await plane.streams.wait_change(CAMERA)
            broken = streams.known(CAMERA)
            assert broken is None or broken.since_s is None
            while plane.streams.state(CAMERA)[0] is not StreamState.ACTIVE:
                await plane.streams.wait_change(CAMERA)
            again = streams.known(CAMERA)
    assert again is not None
    assert again.since_s is not None
    assert again.since_s > first.since_s


async def test_a_reader_of_a_plugin_is_no_viewer_while_it_says_so(plane: Plane) -> None:
    streams = plane.lent.to("test")

    async def viewers() -> int:
        return plane.paths.viewers(await plane.paths.runtime(CAMERA))

    with anyio.fail_after(LIMIT_S):
        async with streams.lease(CAMERA, "test") as stream, anyio.create_task_group() as tg:
            await tg.start(Hold(stream.url, credentials=stream.credentials).run)
            assert await viewers() == 1
            with streams.reading(CAMERA):
                assert await viewers() == 0
            assert await viewers() == 1
            tg.cancel_scope.cancel()


async def test_a_stream_that_does_not_start_gives_the_lease_back(one_plane: Plane) -> None:
    one_plane.argv = ("false",)
    with pytest.raises(MediaServerError) as caught:
        async with one_plane.lent.to("test").lease(CAMERA, "test"):
            raise AssertionError("it is leased")
    assert caught.value.reason == "start_timed_out"
    assert one_plane.streams.held == frozenset()


async def test_cameras_that_cannot_be_streamed_are_refused_with_their_reasons(one_plane: Plane) -> None:
    streams = one_plane.lent.to("test")
    one_plane.connect("camera2", None)
    one_plane.disconnect("camera0")
    gone = await refusals(streams)
    assert {type(each) for each in gone} == {CaptureFailed}
    assert {each.reason for each in gone} == {"camera_disconnected"}
    pictures_only = await refusals(streams, CameraId("camera2"))
    assert {type(each) for each in pictures_only} == {Unsupported}
    assert {each.reason for each in pictures_only} == {"no_media_input"}
    assert streams.known(CAMERA) is None
    assert one_plane.streams.held == frozenset()


async def test_a_live_stream_of_a_camera_that_is_gone_can_still_be_looked_at(one_plane: Plane) -> None:
    """A camera may be lost for its source and still feed the media server, until its stream ends."""
    streams = one_plane.lent.to("test")
    with anyio.fail_after(LIMIT_S):
        async with streams.lease(CAMERA, "test") as leased:
            one_plane.disconnect("camera0")
            assert await streams.look(CAMERA) == leased


async def test_a_server_that_is_down_is_said_at_once_and_nothing_is_held(
    server_kind: str, tmp_path: Path
) -> None:
    async with running_server(server_kind, tmp_path / "media_server") as server:
        async with running_plane(server, tmp_path) as plane:
            streams = plane.lent.to("test")
            await plane.paths.ensure(plane.paths.camera(CAMERA))
            assert streams.known(CAMERA) is not None
            server.signal(signal.SIGKILL)
            with anyio.fail_after(LIMIT_S):
                await server.process.wait()
            while plane.link.breaker.state is BreakerState.CLOSED:
                assert {type(each) for each in await refusals(streams)} <= {
                    MediaServerUnavailable,
                    CircuitOpen,
                }
            assert streams.known(CAMERA) is None
            assert plane.streams.held == frozenset()


async def test_a_held_stream_is_leased_although_the_servers_api_does_not_answer(one_plane: Plane) -> None:
    streams, breaker = one_plane.lent.to("test"), one_plane.link.breaker
    with anyio.fail_after(LIMIT_S):
        async with streams.lease(CAMERA, "first") as first:
            while breaker.state is BreakerState.CLOSED:
                breaker.failed(SystemClock().monotonic_s())
            async with streams.lease(CAMERA, "second") as second:
                assert second == first
            with pytest.raises(CircuitOpen):
                async with streams.lease(CameraId("camera1"), "third"):
                    raise AssertionError("it is leased")


async def test_a_late_answer_makes_nothing_unknown_and_failed_calls_do(one_plane: Plane) -> None:
    streams = one_plane.lent.to("test")
    await one_plane.paths.ensure(one_plane.paths.camera(CAMERA))
    one_plane.link.recovery.unanswered()
    assert streams.known(CAMERA) is not None
    breaker = one_plane.link.breaker
    while breaker.state is BreakerState.CLOSED:
        breaker.failed(SystemClock().monotonic_s())
    assert streams.known(CAMERA) is None


async def test_viewers_and_leases_of_others_are_users_and_own_readers_are_not(
    media_server: MediaServerUnderTest, tmp_path: Path
) -> None:
    camera = CameraId("camera0")
    with anyio.fail_after(50):
        async with running_plane(media_server, tmp_path) as plane:
            ours, others = plane.lent.to("ours"), plane.lent.to("others")
            async with ours.lease(camera, "test") as stream:
                async with others.lease(camera, "test"):
                    assert await ours.has_other_users(camera)
                assert not await ours.has_other_users(camera)
                with ours.reading(camera):
                    async with viewed(stream):
                        assert not await ours.has_other_users(camera)
                async with viewed(stream):
                    assert await ours.has_other_users(camera)


@asynccontextmanager
async def viewed(stream: LiveStream) -> AsyncIterator[None]:
    """A reader of the stream, of which the agent knows nothing."""
    hold = hold_of(stream.url, stream.credentials, server_timeout_s=20)
    async with anyio.create_task_group() as tg:
        await tg.start(hold.run)
        yield
        tg.cancel_scope.cancel()
