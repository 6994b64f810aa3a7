"""Peers of the client that are no agents, or bad ones, and a bad network before a good one."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.abc
import pytest
from websockets.asyncio.server import ServerConnection, serve

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def socket_server(handler: Handler) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, close_timeout=1) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws"


@pytest.fixture
def websocket() -> Callable[[Handler], AbstractAsyncContextManager[str]]:
    """The URL of a WebSocket server that hands each connection to the given function."""
    return socket_server


class Network:
    """Network between a client and an agent, which breaks and stalls on demand.

    Attributes:
        target: URL of the agent.
        url: URL of the agent through this network.
        answer: bytes with which each new connection is answered and closed, instead of reaching the agent.
        attempts: connections made so far.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.url = ""
        self.answer: bytes | None = None
        self.attempts = 0
        self._links: list[tuple[anyio.CancelScope, anyio.Event]] = []
        self._attempted = anyio.Event()

    def break_off(self) -> None:
        """End all connections."""
        for scope, _ in self._links:
            scope.cancel()

    def stall(self) -> None:
        """Deliver nothing more on the connections that exist, without ending them."""
        for _, stalled in self._links:
            stalled.set()

    async def attempted(self, number: int) -> None:
        """Wait for the connection with this number."""
        with anyio.fail_after(20):
            while self.attempts < number:
                self._attempted = anyio.Event()
                await self._attempted.wait()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - this is no Django
            self.url = f"ws://127.0.0.1:{port}/ws"
            task_status.started()
            await listener.serve(self._carry)

    async def _carry(self, client: anyio.abc.SocketStream) -> None:
        self.attempts += 1
        self._attempted.set()
        async with client:
            answer = self.answer
            if answer is not None:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    if answer:
                        await client.receive()
                        await client.send(answer)
                return
            link = (anyio.CancelScope(), anyio.Event())
            self._links.append(link)
            with link[0], suppress(OSError):  # the agent is gone
                where = urlsplit(self.target)
                async with (
                    await anyio.connect_tcp(where.hostname or "", where.port or 0) as agent,
                    anyio.create_task_group() as tasks,
                ):
                    tasks.start_soon(self._pump, client, agent, link[1], tasks)
                    await self._pump(agent, client, link[1], tasks)
            self._links.remove(link)

    async def _pump(
        self,
        source: anyio.abc.SocketStream,
        sink: anyio.abc.SocketStream,
        stalled: anyio.Event,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for chunk in source:
                if stalled.is_set():
                    await anyio.sleep_forever()
                await sink.send(chunk)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def network_to(target: str) -> AsyncIterator[Network]:
    network = Network(target)
    async with anyio.create_task_group() as tasks:
        await tasks.start(network.run)
        yield network
        tasks.cancel_scope.cancel()


@pytest.fixture
def network() -> Callable[[str], AbstractAsyncContextManager[Network]]:
    """`async with network(agent_url) as between`: a network before the agent."""
    return network_to


class ScriptedAgent:
    """Agent that says what the test wants. Each connection is one `Script`.

    Attributes:
        asked: requests of all connections but logins, in order.
        topics: topics that it refuses.
        boot_id: of its present start; None for an agent that does not number its events.
        sequence: number of its newest event.
        later: notifications that it sends after the answer to a subscription with `replay_since`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.refused_topics: set[str] = set()
        self.boot_id: str | None = "first"
        self.sequence = 10
        self.later: list[tuple[str, dict[str, Any]]] = []
        self._connections: list[ServerConnection] = []

    async def serve(self, connection: ServerConnection) -> None:
        self._connections = [connection]
        async for text in connection:
            request = json.loads(text)
            self.asked.append({"method": request["method"], **request["params"]})
            refused = self.refused_topics & set(request["params"].get("topics", ()))
            if refused:
                error = {"code": -32602, "message": "Invalid params", "data": {"details": f"no {refused}"}}
                await self._say(connection, id=request["id"], error=error)
                continue
            place = {} if self.boot_id is None else {"boot_id": self.boot_id, "sequence": self.sequence}
            await self._say(connection, id=request["id"], result=place)
            if "replay_since" in request["params"]:
                for topic, params in self.later:
                    await self.tell(topic, **params)

    async def tell(self, topic: str, **params: Any) -> None:
        """Send a notification on the newest connection."""
        await self._say(self._connections[-1], method=topic, params=params)

    async def break_off(self) -> None:
        await self._connections[-1].close(1012)

    async def _say(self, connection: ServerConnection, **message: Any) -> None:
        await connection.send(json.dumps({"jsonrpc": "2.0", **message}))


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedAgent]:
    agent = ScriptedAgent()
    async with socket_server(agent.serve) as url:
        agent.url = url
        yield agent
