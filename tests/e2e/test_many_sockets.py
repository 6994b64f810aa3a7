"""A thousand subscribed sockets at a real agent, and what one of them cannot do to the others."""

import json
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, ClassVar

import anyio
import pytest
from anyio import Event
from anyio.to_thread import run_sync
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from agent_core.client import AgentClient
from agent_core.plugin import Plugin, RpcMethod, RpcParams, RpcResult, Settings, hookimpl
from agent_core.testing import running_agent

from .conftest import AgentProcessFactory

SOCKETS = 1000
#: Times that the camera vanishes and returns.
TURNS = 10
#: Replies of some 100 kB, more than the buffers between the agent and a peer hold.
DOCUMENTS = 30
CONFIG = """
[server]
max_connections = 2000
max_connections_per_address = 2000
max_unauthenticated_connections = 2000
stall_s = 600
ping_interval_s = 600
[auth]
calls_per_s = 100000
calls_burst = 100000
[plugins]
enabled = ["virtual_camera"]
[plugins.virtual_camera]
faults = true
cameras = [{name = "Test", id = "camera0"}]
"""


def request(method: str, number: int = 1, **params: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Raise the limit of open files for this process and its children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4 * SOCKETS:
        pytest.skip(f"this process may have only {hard} files open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * SOCKETS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Stalled:
    """WebSocket client over a plain socket that reads and writes only what it is told to."""

    def __init__(self, url: str) -> None:
        uri = parse_uri(url)
        self._socket = socket.create_connection((uri.host, uri.port), timeout=30)
        self._protocol = ClientProtocol(uri, max_size=None)
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        while self._protocol.state is State.CONNECTING:
            self._protocol.receive_data(self._socket.recv(65536))
        self._protocol.events_received()
        self._received: list[Any] = []

    def send(self, text: str) -> None:
        self._protocol.send_text(text.encode())
        self._flush()

    def send_half(self, text: str) -> bytes:
        """Send the first half of a frame, and return the other."""
        frame = Frame(Opcode.TEXT, text.encode()).serialize(mask=True)
        self._socket.sendall(frame[: len(frame) // 2])
        return frame[len(frame) // 2 :]

    def send_rest(self, rest: bytes) -> None:
        self._socket.sendall(rest)

    def receive(self) -> Any:
        while not self._received:
            self._protocol.receive_data(self._socket.recv(65536))
            self._received += [
                json.loads(bytes(event.data))
                for event in self._protocol.events_received()
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT
            ]
        return self._received.pop(0)

    def close(self) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(b"".join(self._protocol.data_to_send()))


def greetings(token: str) -> list[str]:
    return [
        request("authenticate", auth_token=token),
        request("subscribe_events", topics=["camera_status_update"]),
    ]


class Crowd:
    """Sockets that are subscribed, and the numbers of the events that each has got."""

    def __init__(self) -> None:
        self._peers: list[ClientConnection] = []
        self.heard: list[list[int]] = []

    async def join(self, url: str, token: str, count: int) -> None:
        limit = anyio.CapacityLimiter(20)

        async def one() -> None:
            async with limit:
                peer = await connect(url, compression=None, proxy=None, ping_interval=None, open_timeout=60)
                for text in greetings(token):
                    await peer.send(text)
                    assert "result" in json.loads(await peer.recv())
                self._peers.append(peer)

        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one)

    async def hear(self, count: int) -> None:
        """Read `count` events from each socket, then close it."""

        async def one(peer: ClientConnection, into: list[int]) -> None:
            while len(into) < count:
                into.append(json.loads(await peer.recv())["params"]["sequence"])
            await peer.close()

        self.heard = [[] for _ in self._peers]
        async with anyio.create_task_group() as tasks:
            for peer, into in zip(self._peers, self.heard, strict=True):
                tasks.start_soon(one, peer, into)


def stall(url: str, token: str) -> tuple[Stalled, bytes]:
    """Subscribe, request more than the agent can send to a peer that reads nothing, and send half a frame.

    The agent stands in the middle of a frame in both directions. Returns the rest of ours.
    """
    stalled = Stalled(url)
    for text in greetings(token):
        stalled.send(text)
        assert "result" in stalled.receive()
    for number in range(DOCUMENTS):
        stalled.send(request("rpc.discover", number))
    return stalled, stalled.send_half(request("ping", DOCUMENTS))


async def seen(client: AgentClient, status: str) -> None:
    """Wait until the camera has this status. Of a camera that returns sooner, fewer events would be told."""
    with anyio.fail_after(60):
        while (await client.call("get_camera_status", device="camera0"))["status"] != status:
            await anyio.sleep(0.02)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_many_files")
async def test_a_socket_that_stalls_in_a_frame_keeps_no_event_from_the_others(
    agent_process: AgentProcessFactory,
) -> None:
    crowd = Crowd()
    async with agent_process(CONFIG) as agent, agent.client("admin") as client:
        url, token = await agent.url(), agent.token("viewer")
        stalled, rest = await run_sync(stall, url, token)
        with closing(stalled):
            await crowd.join(url, token, SOCKETS)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(crowd.hear, 2 * TURNS)
                for turn in range(2 * TURNS):
                    fault = {"device": "camera0", "fault": "vanish", "enabled": turn % 2 == 0}
                    await client.call("virtual_camera.set_fault", **fault)
                    await seen(client, "DISCONNECTED" if fault["enabled"] else "CONNECTED")
            stalled.send_rest(rest)
            got = [await run_sync(stalled.receive) for _ in range(DOCUMENTS + 2 * TURNS + 1)]
    numbers = crowd.heard[0]
    assert numbers == sorted(set(numbers))
    assert [each for each in crowd.heard if each != numbers] == []
    assert [each["params"]["sequence"] for each in got if "method" in each] == numbers
    assert {each["id"] for each in got if "id" in each} == set(range(DOCUMENTS + 1))
    assert "Traceback" not in agent.log


class Nothing(RpcParams):
    pass


class Waited(RpcResult):
    pass


class Wait(RpcMethod[Nothing]):
    """Takes as long as the test wants."""

    name = "hello.wait"
    role = "viewer"
    summary = "Wait."
    Params = Nothing
    Result = Waited
    entered = 0
    ended: ClassVar[list[str]] = []

    async def call(self, params: Nothing) -> Waited:
        Wait.entered += 1
        try:
            await Event().wait()
            return Waited()
        finally:
            Wait.ended.append("cancelled")


class Hello(Plugin[Settings]):
    @hookimpl
    def agent_rpc_methods(self) -> list[RpcMethod[Any]]:
        return [Wait()]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.01)


async def test_a_ping_behind_a_long_call_is_answered_and_a_closed_socket_cancels_the_call(
    observe: Callable[[str], None],
) -> None:
    Wait.entered, Wait.ended = 0, []
    async with running_agent(plugins={"hello": Hello}, observe=observe) as agent:
        async with (
            connect(agent.url, compression=None, proxy=None) as peer,
            connect(agent.url, compression=None, proxy=None) as other,
        ):
            for each in (peer, other):
                await each.send(request("authenticate", 0, auth_token=agent.token()))
                await each.recv()
                await each.send(request("hello.wait", 1))
            await until(lambda: Wait.entered == 2)
            await peer.send(request("ping", 2))
            with anyio.fail_after(20):
                assert json.loads(await peer.recv()) == {"jsonrpc": "2.0", "id": 2, "result": "pong"}
            assert Wait.ended == []
            await peer.close()
            await until(lambda: Wait.ended == ["cancelled"])
            other.transport.abort()  # neither a close frame nor an end of the stream
            await until(lambda: Wait.ended == ["cancelled"] * 2)
