"""The client for programs without an event loop: calls, events, threads, ends. Each test runs it in a thread."""

import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from agent_core.base.models import CameraId
from agent_core.client import (
    AgentUnreachable,
    CallFailed,
    CallInterrupted,
    ConnectionLost,
    Reconnect,
    SyncAgentClient,
)

if TYPE_CHECKING:
    from tests.client.conftest import Network
    from tests.conftest import ToyAgent

SOON = Reconnect(first_pause_s=0.01, longest_pause_s=0.05)
InThread = Callable[[Callable[[], None]], Awaitable[None]]


async def in_thread(program: Callable[[], None]) -> None:
    with anyio.fail_after(60):
        await anyio.to_thread.run_sync(program, abandon_on_cancel=True)


@pytest.fixture
async def between(
    toy: "ToyAgent", network: Callable[[str], AbstractAsyncContextManager["Network"]]
) -> AsyncIterator["Network"]:
    async with network(toy.url) as between:
        yield between


def publish(toy: "ToyAgent", number: int) -> None:
    toy.bus.publish("camera.connected", {"device": "camera0", "number": number}, camera=CameraId("camera0"))


async def test_calls_and_downloads(toy: "ToyAgent", tmp_path: Path) -> None:
    def program() -> None:
        with SyncAgentClient(toy.url, toy.token()) as agent:
            assert agent.is_connected
            assert agent.ping() == "pong"
            assert agent.call("get_camera_list")["total"] == 2
            taken = agent.call("take_snapshot", device="camera0")
            assert len(agent.download(taken["download_url"])) == taken["file_size"]
            agent.download_to(tmp_path / "a.jpg", taken["download_url"], size_bytes=taken["file_size"])
            assert agent.authenticate(toy.token()).authenticated
            with pytest.raises(CallFailed, match="no such camera"):
                agent.get_camera_status("camera7")

    await in_thread(program)
    assert (tmp_path / "a.jpg").exists()


async def test_events_are_iterated(toy: "ToyAgent") -> None:
    def program() -> None:
        with SyncAgentClient(toy.url, toy.token()) as agent:
            with agent.subscribe(["camera.connected"], "camera0") as events:
                with pytest.raises(TimeoutError):
                    events.next(timeout_s=0.05)
                for number in range(3):
                    anyio.from_thread.run_sync(publish, toy, number)
                for number, event in zip(range(3), events, strict=False):
                    assert event.params["number"] == number
            assert anyio.from_thread.run_sync(toy.subscribed) == {}

    await in_thread(program)


async def test_many_threads_share_one_client(toy: "ToyAgent") -> None:
    def program() -> None:
        with SyncAgentClient(toy.url, toy.token()) as agent, ThreadPoolExecutor(8) as threads:
            texts = [str(number) for number in range(200)]
            answers = threads.map(lambda text: agent.call("echo", text=text)["text"], texts)
            assert list(answers) == texts

    await in_thread(program)


async def test_threads_that_share_a_stream_get_each_event_once(toy: "ToyAgent") -> None:
    def program() -> None:
        with (
            SyncAgentClient(toy.url, toy.token()) as agent,
            agent.subscribe(["camera.connected"]) as events,
            ThreadPoolExecutor(4) as threads,
        ):
            waiting = [threads.submit(events.next, 30) for _ in range(4)]
            for number in range(4):
                anyio.from_thread.run_sync(publish, toy, number)
            assert sorted(each.result().params["number"] for each in waiting) == [0, 1, 2, 3]

    await in_thread(program)


async def test_an_exception_leaves_the_block_as_it_is(toy: "ToyAgent") -> None:
    def interrupted(error: BaseException) -> None:
        with SyncAgentClient(toy.url, toy.token()) as agent, agent.subscribe(["camera.connected"]):
            raise error

    def program() -> None:
        with pytest.raises(LookupError, match="mine"):
            interrupted(LookupError("mine"))
        with pytest.raises(KeyboardInterrupt):
            interrupted(KeyboardInterrupt())

    await in_thread(program)


async def test_it_says_that_no_agent_is_there(toy: "ToyAgent") -> None:
    def program() -> None:
        with pytest.raises(AgentUnreachable), SyncAgentClient("ws://127.0.0.1:1/ws"):
            pytest.fail("entered")
        with pytest.raises(CallFailed), SyncAgentClient(toy.url, "no.such.token"):
            pytest.fail("entered")
        with pytest.raises(RuntimeError, match="enter"):
            SyncAgentClient(toy.url).ping()

    await in_thread(program)


async def test_a_call_has_a_limit(toy: "ToyAgent") -> None:
    def program() -> None:
        with SyncAgentClient(toy.url, toy.token(), call_timeout_s=0.2) as agent:
            with pytest.raises(TimeoutError):
                agent.call("wait")
            assert agent.ping() == "pong"

    await in_thread(program)


async def test_the_end_of_the_block_ends_the_calls_of_other_threads(toy: "ToyAgent") -> None:
    def program() -> None:
        with ThreadPoolExecutor(1) as threads:
            with SyncAgentClient(toy.url, toy.token()) as agent:
                waiting = threads.submit(agent.call, "wait")
                anyio.from_thread.run(toy.waiting.wait)
            with pytest.raises(ConnectionLost) as caught:
                waiting.result(30)
            assert caught.value.reason == "closed"
            with pytest.raises(ConnectionLost):
                agent.ping()

    before = threading.active_count()
    await in_thread(program)
    assert not [each for each in threading.enumerate() if "portal" in each.name], before


#: Programs of their own: a fork of the tests' process would copy its threads' locks.
AFTER_A_FORK = """
import os
from agent_core.client import ConnectionLost, SyncAgentClient

with SyncAgentClient(os.environ["URL"], os.environ["TOKEN"]) as agent, agent.subscribe(["camera.connected"]) as events:
    child = os.fork()
    if not child:
        refused = 0
        for attempt in (agent.ping, events.next, lambda: agent.subscribe(["snapshot.taken"]).__enter__()):
            try:
                attempt()
            except ConnectionLost:
                refused += 1
        os._exit(refused)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), agent.ping())
"""
NEVER_CLOSED = """
import os
from agent_core.client import SyncAgentClient

agent = SyncAgentClient(os.environ["URL"], os.environ["TOKEN"]).__enter__()
subscribed = agent.subscribe(["camera.connected"])
subscribed.__enter__()
print(agent.ping())
"""


@pytest.mark.parametrize(("program", "said"), [(AFTER_A_FORK, "3 pong\n"), (NEVER_CLOSED, "pong\n")])
async def test_forked_and_careless_programs_end(toy: "ToyAgent", program: str, said: str) -> None:
    with anyio.fail_after(60):
        variables = {**os.environ, "URL": toy.url, "TOKEN": toy.token()}
        done = await anyio.run_process([sys.executable, "-c", program], check=False, env=variables)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, said, "")


async def test_a_stream_may_be_left_after_its_client(toy: "ToyAgent") -> None:
    def program() -> None:
        agent = SyncAgentClient(toy.url, toy.token())
        with agent:
            subscribed = agent.subscribe("camera.connected")
            events = subscribed.__enter__()
        with pytest.raises(ConnectionLost):
            events.next()
        subscribed.__exit__(None, None, None)

    await in_thread(program)


async def test_it_reconnects(toy: "ToyAgent", between: "Network") -> None:
    def program() -> None:
        with (
            SyncAgentClient(between.url, toy.token, reconnect=SOON) as agent,
            agent.subscribe(["camera.connected"]) as events,
            ThreadPoolExecutor(1) as threads,
        ):
            waiting = threads.submit(agent.call, "wait")
            anyio.from_thread.run(toy.waiting.wait)
            anyio.from_thread.run_sync(between.break_off)
            with pytest.raises(CallInterrupted):
                waiting.result(30)
            anyio.from_thread.run(between.attempted, 2)
            agent.wait_connected(timeout_s=30)
            anyio.from_thread.run_sync(publish, toy, 7)
            for event in events:
                if event.topic == "camera.connected":
                    assert event.params["number"] == 7
                    break

    await in_thread(program)
