"""Sessions of WebRTC that end with the access of their clients, on a simulated clock."""

from collections.abc import AsyncIterator, Container, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.errors import MediaServerUnavailable, NotFound
from agent_core.base.models import CameraId
from agent_core.streams.whep_sessions import WhepSessions
from agent_core.testing import SimulatedClock
from tests.toy_server import until

CAMERA = CameraId("camera0")
#: Interval at which the media server is asked for its sessions.
LOOK_S = 10


class Server:
    """Media server that ends sessions, or raises the errors that a test gives it."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.errors: list[Exception] = []
        self.known: set[str] = set()
        self.problem: MediaServerUnavailable | None = None
        self.asked = 0

    async def ids(self) -> Container[str]:
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        return set(self.known)

    async def end(self, camera: CameraId, session: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.ended.append(f"{camera}/{session}")


@asynccontextmanager
async def following() -> AsyncIterator[tuple[WhepSessions, Server, SimulatedClock]]:
    server, clock = Server(), SimulatedClock()
    sessions = WhepSessions(server, clock)
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
            while [each for each in clock.sleeps if each < LOOK_S] != pauses:
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


class Place:
    """Something that is held while a session exists."""

    def __init__(self) -> None:
        self.is_held = False

    @contextmanager
    def take(self) -> Iterator[None]:
        self.is_held = True
        yield
        self.is_held = False


def held(place: Place) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(place.take())
    return stack


async def test_a_session_that_the_media_server_has_no_more_is_forgotten_with_its_place() -> None:
    async with following() as (sessions, server, clock):
        places = {name: Place() for name in "abc"}
        for name, session_id in (("a", "id-a"), ("b", "id-b"), ("c", None)):
            holds = held(places[name])
            sessions.follow(CAMERA, name, anyio.sleep_forever, session_id=session_id, holds=holds)
        server.known = {"id-a", "id-b"}
        await clock.advance(LOOK_S)
        assert len(sessions) == 3
        server.known = {"id-b"}
        await clock.advance(LOOK_S)
        assert [name for name, place in places.items() if place.is_held] == ["b", "c"]
        assert (len(sessions), server.ended) == (2, [])


async def test_the_sessions_are_kept_while_the_media_server_does_not_answer() -> None:
    async with following() as (sessions, server, clock):
        server.problem = MediaServerUnavailable("It is away.")
        sessions.follow(CAMERA, "a", anyio.sleep_forever, session_id="id-a")
        await clock.advance(3 * LOOK_S)
        assert (len(sessions), server.asked) == (1, 3)
        server.problem = None
        await clock.advance(LOOK_S)
        assert len(sessions) == 0


async def test_the_media_server_is_not_asked_without_sessions() -> None:
    async with following() as (sessions, server, clock):
        await clock.advance(10 * LOOK_S)
        sessions.follow(CAMERA, "a", anyio.sleep_forever)
        sessions.forget(CAMERA, "a")
        await clock.advance(10 * LOOK_S)
        assert server.asked <= 1


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_place_is_held_until_its_session_has_ended(is_told: bool) -> None:
    async with following() as (sessions, server, clock):
        place, over = Place(), anyio.Event()
        sessions.follow(CAMERA, "a", over.wait, holds=held(place))
        if is_told:
            sessions.forget(CAMERA, "a")
        else:
            server.errors = [MediaServerUnavailable("It is away.")]
            over.set()
            await until(lambda: not server.errors)
            assert place.is_held
            await clock.advance(1)
            await until(lambda: len(sessions) == 0)
        assert not place.is_held


async def test_the_end_of_the_agent_ends_all_sessions(caplog: pytest.LogCaptureFixture) -> None:
    place = Place()
    async with following() as (sessions, server, _):
        for name in "abc":
            sessions.follow(CAMERA, name, anyio.sleep_forever, holds=held(place))
        server.errors = [RuntimeError("bug")]
    assert len(server.ended) == 2, "one failed, which harmed no other"
    assert "could not be ended" in caplog.text
    assert (len(sessions), place.is_held) == (0, False)


def test_a_session_that_nobody_follows_is_a_bug() -> None:
    with pytest.raises(RuntimeError):
        WhepSessions(Server(), SimulatedClock()).follow(CAMERA, "a", anyio.sleep_forever)
