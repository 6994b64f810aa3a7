"""Sessions of WebRTC that end with the access of their clients, on a simulated clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.errors import MediaServerUnavailable, NotFound
from agent_core.base.models import CameraId
from agent_core.streams.whep_sessions import MOST_SESSIONS, WhepSessions
from agent_core.testing import SimulatedClock
from tests.toy_server import until

CAMERA = CameraId("camera0")


class Server:
    """Media server that ends sessions, or raises the errors that a test gives it."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.errors: list[Exception] = []

    async def end(self, camera: CameraId, session: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.ended.append(f"{camera}/{session}")


@asynccontextmanager
async def following() -> AsyncIterator[tuple[WhepSessions, Server, SimulatedClock]]:
    server, clock = Server(), SimulatedClock()
    sessions = WhepSessions(server.end, clock)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            await tasks.start(sessions.run)
            yield sessions, server, clock
            tasks.cancel_scope.cancel()


async def test_a_session_ends_when_its_access_does() -> None:
    async with following() as (sessions, server, _):
        over = anyio.Event()
        sessions.follow(CAMERA, "a", over.wait)
        sessions.follow(CAMERA, "b", anyio.sleep_forever)
        await anyio.wait_all_tasks_blocked()
        assert (server.ended, len(sessions)) == ([], 2)
        over.set()
        await until(lambda: len(sessions) == 1)
        assert server.ended == ["camera0/a"]


async def test_a_session_that_has_ended_is_left_alone() -> None:
    async with following() as (sessions, server, _):
        over = anyio.Event()
        sessions.follow(CAMERA, "a", over.wait)
        sessions.forget(CAMERA, "a")
        sessions.forget(CAMERA, "unknown")
        over.set()
        await anyio.wait_all_tasks_blocked()
        assert (server.ended, len(sessions)) == ([], 0)


async def test_it_is_tried_again_until_the_media_server_answers(caplog: pytest.LogCaptureFixture) -> None:
    async with following() as (sessions, server, clock):
        server.errors = [MediaServerUnavailable("It is away.") for _ in range(3)]
        sessions.follow(CAMERA, "a", anyio.lowlevel.checkpoint)
        for pauses in ([1], [1, 2], [1, 2, 4]):
            while clock.sleeps != pauses:
                await anyio.sleep(0.005)
            assert server.ended == []
            await clock.advance(pauses[-1])
        await until(lambda: len(sessions) == 0)
        assert server.ended == ["camera0/a"]
    assert caplog.text.count("cannot end a WebRTC session of camera0") == 1


async def test_a_session_that_the_media_server_does_not_know_is_over() -> None:
    async with following() as (sessions, server, _):
        server.errors = [NotFound("It has ended.", resource="whep_session", id="a")]
        sessions.follow(CAMERA, "a", anyio.lowlevel.checkpoint)
        await until(lambda: len(sessions) == 0)
        assert (server.errors, server.ended) == ([], [])


async def test_a_bug_in_one_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with following() as (sessions, server, _):
        server.errors = [RuntimeError("bug")]
        sessions.follow(CAMERA, "a", anyio.lowlevel.checkpoint)
        await until(lambda: len(sessions) == 0)
        sessions.follow(CAMERA, "b", anyio.lowlevel.checkpoint)
        await until(lambda: len(sessions) == 0)
        assert server.ended == ["camera0/b"]
    assert "could not be ended" in caplog.text


async def test_the_oldest_makes_room() -> None:
    async with following() as (sessions, server, _):
        for number in range(MOST_SESSIONS + 2):
            sessions.follow(CAMERA, str(number), anyio.sleep_forever)
        await until(lambda: len(server.ended) == 2)
        assert (sorted(server.ended), len(sessions)) == (["camera0/0", "camera0/1"], MOST_SESSIONS)


def test_a_session_that_nobody_follows_is_a_bug() -> None:
    with pytest.raises(RuntimeError):
        WhepSessions(Server().end, SimulatedClock()).follow(CAMERA, "a", anyio.sleep_forever)
