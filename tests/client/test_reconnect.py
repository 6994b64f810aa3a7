"""Breaks: the client comes back, tells what became of its calls, and ends only when it must."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.clock import SystemClock
from agent_core.base.models import CameraId
from agent_core.client import (
    AUTHENTICATION_FAILED,
    AgentClient,
    AgentUnreachable,
    CallFailed,
    CallInterrupted,
    ConnectionLost,
    Event,
    EventStream,
    NotConnected,
    Reconnect,
    TokenUnavailable,
)
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.client.conftest import Network
    from tests.conftest import ToyAgent

Between = Callable[[str], AbstractAsyncContextManager["Network"]]

SOON = Reconnect(first_pause_s=0.01, longest_pause_s=0.05)
READING = Reconnect(first_pause_s=0.01, longest_pause_s=0.05, repeat_reads=True)
#: What a server with too many connections says, agent_core/web/server.py.
FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def between(toy: "ToyAgent", network: Between) -> AsyncIterator["Network"]:
    async with network(toy.url) as between:
        yield between


async def following(events: EventStream, topic: str = "") -> Event:
    """Return the next event, or the next of `topic`."""
    with anyio.fail_after(20):
        async for event in events:
            if topic in ("", event.topic):
                return event
    raise AssertionError


def publish(toy: "ToyAgent", number: int) -> None:
    payload = {"device": "camera0", "number": number, "sequence": toy.bus.published + 1}
    toy.bus.publish("camera.connected", payload, camera=CameraId("camera0"))


async def back(agent: AgentClient, between: "Network", number: int = 2) -> None:
    """Wait until the connection with this number can be used."""
    await between.attempted(number)
    with anyio.fail_after(20):
        await agent.wait_connected()


async def test_after_a_break_calls_and_events_go_on(toy: "ToyAgent", between: "Network") -> None:
    async with (
        AgentClient(between.url, toy.token(), reconnect=SOON) as agent,
        agent.subscribe(["camera.connected"], device="camera0") as events,
    ):
        for number in range(2, 6):
            between.break_off()
            await back(agent, between, number)
            assert (await agent.call("get_camera_list"))["total"] == 2
            publish(toy, number)
            assert (await following(events, "camera.connected")).params["number"] == number


async def test_a_running_call_fails_and_is_not_repeated(toy: "ToyAgent", between: "Network") -> None:
    failed: list[CallInterrupted] = []

    async def take(agent: AgentClient) -> None:
        with pytest.raises(CallInterrupted, match="lost") as caught:
            await agent.call("take_snapshot", device="camera0")
        failed.append(caught.value)

    async with AgentClient(between.url, toy.token(), reconnect=READING) as agent:
        between.stall()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, agent)
            tasks.start_soon(take, agent)
            await anyio.wait_all_tasks_blocked()
            between.break_off()
        await back(agent, between)
        await agent.call("ping")
    assert [(error.method, error.reason) for error in failed] == [("take_snapshot", "connection_lost")] * 2
    assert failed[0] is not failed[1]
    assert toy.asked == []


async def test_a_read_is_repeated_if_the_program_wants_that(toy: "ToyAgent", between: "Network") -> None:
    results: list[Any] = []

    async def read(agent: AgentClient) -> None:
        results.append(await agent.call("get_camera_list"))

    async with AgentClient(between.url, toy.token(), reconnect=READING) as agent:
        between.stall()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, agent)
            await anyio.wait_all_tasks_blocked()
            between.break_off()
    assert [each["total"] for each in results] == [2]


async def test_a_read_is_not_repeated_otherwise(toy: "ToyAgent", between: "Network") -> None:
    async with AgentClient(between.url, toy.token(), reconnect=SOON) as agent:
        between.stall()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_interrupted, agent)
            await anyio.wait_all_tasks_blocked()
            between.break_off()


async def _interrupted(agent: AgentClient) -> None:
    with pytest.raises(CallInterrupted):
        await agent.call("get_camera_list")


async def test_a_call_during_a_break_is_refused_and_says_that_it_was_not_sent(
    toy: "ToyAgent", between: "Network"
) -> None:
    async with AgentClient(between.url, toy.token(), reconnect=SOON) as agent:
        between.answer = b""
        between.break_off()
        await between.attempted(3)
        assert not agent.is_connected
        with pytest.raises(NotConnected) as caught:
            await agent.call("take_snapshot", device="camera0")
        assert caught.value.reason == "not_connected"
        between.answer = None
        with anyio.fail_after(20):
            await agent.wait_connected()
        await agent.call("take_snapshot", device="camera0")
    assert len(toy.asked) == 1


async def test_an_agent_with_too_many_connections_is_tried_again(toy: "ToyAgent", between: "Network") -> None:
    async with AgentClient(between.url, toy.token(), reconnect=SOON) as agent:
        between.answer = FULL
        between.break_off()
        await between.attempted(5)
        between.answer = None
        with anyio.fail_after(20):
            await agent.wait_connected()
        assert await agent.call("ping") == "pong"


async def test_it_gives_up_after_so_many_attempts(toy: "ToyAgent", between: "Network") -> None:
    policy = Reconnect(first_pause_s=0.01, longest_pause_s=0.05, attempts=3)
    async with (
        AgentClient(between.url, toy.token(), reconnect=policy) as agent,
        agent.subscribe(["camera.connected"]) as events,
    ):
        between.answer = FULL
        between.break_off()
        with pytest.raises(ConnectionLost) as ended:
            await following(events)
        for use in (agent.wait_connected(), agent.call("ping")):
            with pytest.raises(ConnectionLost) as caught:
                await use
            assert caught.value is ended.value
    assert ended.value.reason == "too_many_connections"
    assert between.attempts == 4


async def test_a_connection_that_has_gone_silent_is_replaced(toy: "ToyAgent", between: "Network") -> None:
    async with (
        AgentClient(between.url, toy.token(), ping_interval_s=0.2, reconnect=SOON) as agent,
        agent.subscribe(["camera.connected"]) as events,
    ):
        between.stall()
        await back(agent, between)
        publish(toy, 1)
        assert (await following(events, "camera.connected")).params["number"] == 1


async def test_leaving_while_it_reconnects_is_quick_and_says_so(toy: "ToyAgent", between: "Network") -> None:
    policy = Reconnect(first_pause_s=3600, longest_pause_s=3600)
    ended: list[str] = []

    async def wait(agent: AgentClient) -> None:
        with pytest.raises(ConnectionLost) as caught:
            await agent.wait_connected()
        ended.append(caught.value.reason)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            async with AgentClient(between.url, toy.token(), reconnect=policy) as agent:
                between.break_off()
                while agent.is_connected:
                    await anyio.lowlevel.checkpoint()
                tasks.start_soon(wait, agent)
                await anyio.wait_all_tasks_blocked()
    assert ended == ["closed"]


@pytest.mark.parametrize("answer", [b"", FULL, None])
async def test_a_program_cancelled_while_it_reconnects_ends(
    toy: "ToyAgent", between: "Network", answer: bytes | None
) -> None:
    async def work(scope: anyio.CancelScope) -> None:
        with scope:
            async with (
                AgentClient(between.url, toy.token(), reconnect=SOON) as agent,
                agent.subscribe(["camera.connected"]) as events,
            ):
                between.answer = answer
                between.break_off()
                await following(events)

    scope = anyio.CancelScope()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, scope)
            await between.attempted(2)
            scope.cancel()
    assert scope.cancelled_caught
    assert toy.subscribed() == {}


async def test_without_a_policy_the_first_break_is_the_end(toy: "ToyAgent", between: "Network") -> None:
    async with AgentClient(between.url, toy.token()) as agent:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_interrupted, agent)
            between.break_off()
        with pytest.raises(ConnectionLost):
            await agent.call("ping")
    assert between.attempts == 1


async def test_the_first_connection_is_not_tried_again(toy: "ToyAgent", between: "Network") -> None:
    between.answer = FULL
    with pytest.raises(AgentUnreachable):
        async with AgentClient(between.url, toy.token(), reconnect=SOON):
            pytest.fail("entered")
    assert between.attempts == 1


async def test_revoked_credentials_end_the_client(network: Between) -> None:
    async with running_agent() as agent, agent.client("admin") as admin:
        key = ApiKeys(agent.folder / "state/api-keys.json", SystemClock()).create("robot", Role.VIEWER)
        (listed,) = (await admin.list_api_keys()).keys
        async with (
            network(agent.url) as between,
            AgentClient(between.url, key, reconnect=SOON) as client,
            client.subscribe(["camera.connected"]) as events,
        ):
            await admin.revoke_api_key(listed.id)
            with anyio.fail_after(20), pytest.raises(CallFailed) as ended:
                await following(events)
            with pytest.raises(CallFailed):
                await client.call("get_camera_list")
    assert ended.value.code == AUTHENTICATION_FAILED
    assert between.attempts == 2


class Source:
    """Function for tokens; `fails` lets it fail."""

    def __init__(self, toy: "ToyAgent", lifetime_s: float) -> None:
        self._toy = toy
        self._lifetime_s = lifetime_s
        self.given = 0
        self.fails = False

    async def __call__(self) -> str:
        if self.fails:
            raise OSError("no such file")
        self.given += 1
        return self._toy.token(Role.VIEWER, self._lifetime_s)


async def test_a_new_token_is_fetched_when_the_last_one_expires(toy: "ToyAgent") -> None:
    source = Source(toy, 60)
    async with AgentClient(toy.url, source) as agent, agent.subscribe(["camera.connected"]) as events:
        for number in range(1, 4):
            await toy.clock.advance(61)
            assert (await agent.call("get_camera_list"))["total"] == 2
            publish(toy, number)
            assert (await following(events, "camera.connected")).params["number"] == number
    assert source.given == 4


async def test_events_go_on_when_a_token_expires_while_the_program_only_listens(toy: "ToyAgent") -> None:
    source = Source(toy, 60)
    async with AgentClient(toy.url, source) as agent, agent.subscribe(["camera.connected"]) as events:
        await toy.clock.advance(61)
        with anyio.fail_after(20):
            while source.given < 2 or not toy.subscribed():
                await anyio.sleep(0.005)
        assert (await agent.call("get_camera_list"))["total"] == 2
        publish(toy, 7)
        assert (await following(events, "camera.connected")).params["number"] == 7


async def test_a_token_that_cannot_be_fetched_is_told(toy: "ToyAgent") -> None:
    source = Source(toy, 60)
    async with AgentClient(toy.url, source) as agent, agent.subscribe(["camera.connected"]) as events:
        source.fails = True
        await toy.clock.advance(61)
        assert (await following(events)).topic == "system.auth_expired"
        with pytest.raises(TokenUnavailable, match="no such file"):
            await agent.call("get_camera_list")
        source.fails = False
        assert (await agent.call("get_camera_list"))["total"] == 2
    source.fails = True
    with pytest.raises(TokenUnavailable):
        async with AgentClient(toy.url, source):
            pytest.fail("entered")


async def test_a_token_that_cannot_be_fetched_is_tried_again_after_a_break(
    toy: "ToyAgent", between: "Network"
) -> None:
    source = Source(toy, 3600)
    async with AgentClient(between.url, source, reconnect=SOON) as agent:
        source.fails = True
        between.break_off()
        await between.attempted(4)
        source.fails = False
        with anyio.fail_after(20):
            await agent.wait_connected()
        assert (await agent.call("get_camera_list"))["total"] == 2


async def test_another_login_is_used_after_a_break_too(toy: "ToyAgent", between: "Network") -> None:
    async with AgentClient(between.url, toy.token(Role.VIEWER), reconnect=SOON) as agent:
        login = await agent.authenticate(toy.token(Role.ADMIN))
        assert login.role == "admin"
        assert login.expires_at is not None
        assert login.expires_at - toy.clock.now() <= timedelta(hours=1)
        between.break_off()
        await back(agent, between)
        assert (await agent.call("wipe"))["total"] == 2


async def test_all_events_of_a_break_are_delivered_once_and_in_order(
    toy: "ToyAgent", between: "Network"
) -> None:
    got: list[object] = []
    async with (
        AgentClient(between.url, toy.token(), reconnect=SOON) as agent,
        agent.subscribe(["camera.connected"], device="camera0") as events,
    ):
        for number in range(1, 201):
            publish(toy, number)
            if number % 40 == 0:
                between.break_off()
                await anyio.lowlevel.checkpoint()
        while len(got) < 200:
            got.append((await following(events)).params["number"])
    assert got == list(range(1, 201))


async def test_a_restarted_agent_is_told_and_its_events_go_on(
    toy: "ToyAgent", between: "Network", tmp_path: Path
) -> None:
    running = [toy]

    async def token() -> str:
        return running[-1].token()

    async with (
        AgentClient(between.url, token, reconnect=SOON) as agent,
        agent.subscribe(["camera.connected"]) as events,
        anyio.create_task_group() as tasks,
    ):
        for number in range(1, 4):
            publish(toy, number)
            assert (await following(events)).params["number"] == number
        again = type(toy)(tmp_path / "again")
        await tasks.start(again.run)
        for number in range(101, 103):
            publish(again, number)
        between.target = again.url
        running.append(again)
        between.break_off()
        told = await following(events)
        assert (told.topic, told.params["reason"]) == ("system.events_dropped", "agent_restarted")
        assert [(await following(events)).params["number"] for _ in range(2)] == [101, 102]
        tasks.cancel_scope.cancel()
