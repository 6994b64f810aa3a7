"""A toy server: the real sessions over methods of its own, behind memory streams or a port."""

import json
import math
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.memory import MemoryObjectSendStream
from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from agent_core.api.placeholders import contract_placeholder
from agent_core.api.session import add_session_methods
from agent_core.app.foundation import Foundation
from agent_core.app.reload import Reloads
from agent_core.app.wiring_server import ClientAccess, build_sessions
from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.errors import CaptureFailed, InvalidState
from agent_core.base.events import EventBus, Stamp
from agent_core.base.metrics import Collected
from agent_core.base.socket_place import SocketPlace
from agent_core.config import AgentConfig, ServerConfig
from agent_core.plugin.abc import RpcParams, RpcResult
from agent_core.rpc.table import Caller, Method, MethodTable
from agent_core.rpc.topics import CORE_TOPICS, EventTopics
from agent_core.testing import SimulatedClock
from agent_core.web.server import RpcServer
from tests.canary import secret_in


class EchoParams(RpcParams):
    text: str = Field(min_length=1)
    times: int = Field(1, ge=1, le=1000000)


class Echoed(RpcResult):
    text: str
    note: str | None = None


class Nothing(RpcParams):
    pass


@dataclass
class Doors:
    """What the slow methods wait for, and what became of them."""

    open: anyio.Event = field(default_factory=anyio.Event)
    entered: int = 0
    cancelled: int = 0


async def _echo(params: EchoParams, _caller: Caller) -> Echoed:
    return Echoed(text=params.text * params.times)


async def _wrong(_params: Nothing, _caller: Caller) -> object:
    return "not what was promised"


async def _bug(_params: Nothing, _caller: Caller) -> object:
    raise ZeroDivisionError("at /dev/video0")


async def _refused(_params: Nothing, _caller: Caller) -> object:
    raise InvalidState("Already.", state="RECORDING", allowed_states=("IDLE",))


async def _grouped(_params: Nothing, _caller: Caller) -> object:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_fail_capture)
    return None


async def _fail_capture() -> None:
    raise CaptureFailed("No picture.", detail="cannot open /dev/video3: busy")


async def _leak(_params: Nothing, _caller: Caller) -> Echoed:
    return Echoed(text="it is /dev/video7, or so")


async def _whoami(_params: Nothing, caller: Caller) -> Echoed:
    return Echoed(text=caller.principal.user_id if caller.principal else "", note=caller.request_id)


def _slow(doors: Doors) -> Method:
    async def wait(_params: Nothing, _caller: Caller) -> Echoed:
        doors.entered += 1
        try:
            await doors.open.wait()
        except BaseException:
            doors.cancelled += 1
            raise
        return Echoed(text="at last")

    return Method("wait", Role.OPERATOR, "Wait.", Nothing, Echoed, wait)


def toy_table(doors: Doors) -> MethodTable:
    return MethodTable(
        (
            Method("echo", Role.VIEWER, "Say it again.", EchoParams, Echoed, _echo),
            Method("wrong", None, "Return what it should not.", Nothing, Echoed, _wrong),
            Method("bug", None, "Fail.", Nothing, Echoed, _bug),
            Method("refused", None, "Refuse.", Nothing, Echoed, _refused, errors=(InvalidState,)),
            Method(
                "grouped", None, "Fail in a task group.", Nothing, Echoed, _grouped, errors=(CaptureFailed,)
            ),
            Method("leak", None, "Tell too much.", Nothing, Echoed, _leak),
            Method("whoami", None, "Say who calls.", Nothing, Echoed, _whoami),
            Method("wipe", Role.ADMIN, "Only for admins.", Nothing, Echoed, _leak),
            _slow(doors),
            contract_placeholder("get_external_streams", Role.VIEWER, "List.", plugin="external_discovery"),
        )
    )


def toy_topics() -> EventTopics:
    """Return the topics that tests publish on, rendered as they are, with the number of the event."""
    topics = EventTopics()
    for topic in CORE_TOPICS:
        topics.register(topic.name, numbered)
    return topics


def numbered(payload: Mapping[str, object], stamp: Stamp) -> Mapping[str, object]:
    return {**payload, "sequence": stamp.sequence}


def without_number(notification: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the params of a notification as the test has published them."""
    params = dict(notification["params"])
    assert isinstance(params.pop("sequence"), int)
    return params


#: Limits of the tests that reach limits.
NARROW: Mapping[str, Mapping[str, int]] = {
    "auth": {"calls_per_s": 1000, "calls_burst": 100_000, "failures_per_minute": 10},
    "server": {"max_calls": 4, "max_queued_events": 3},
}


class Toy:
    """Everything a session needs, by the application's own builders.

    Args:
        state_dir: folder of the secret and of the keys.
        table: methods; those of `toy_table` by default.
        topics: topics; those of `toy_topics` by default.
        sections: sections of the configuration.
        clock: a simulated clock by default.
        require_state: called in the thread that reads the files of credentials when one is missing.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        table: MethodTable | None = None,
        topics: EventTopics | None = None,
        sections: Mapping[str, Mapping[str, Any]] = NARROW,
        clock: SimulatedClock | None = None,
        require_state: Callable[[], None] = lambda: None,
    ) -> None:
        self.state_dir = state_dir
        self.clock = clock or SimulatedClock()
        self.bus = EventBus(self.clock)
        config = AgentConfig.model_validate({**sections, "storage": {"state_dir": state_dir}})
        foundation = Foundation(config, self.bus, self.clock, require_state, reloads=Reloads.fixed(config))
        access = ClientAccess.load(foundation)
        self.access = access
        self.tokens, self.auth, self.links = access.tokens, access.authenticator, access.links
        self.live, self.files = access.live, access.files
        #: Another process's view of the same file.
        self.keys = ApiKeys(config.storage.api_keys_file, self.clock)
        self.doors = Doors()
        self.table = table or toy_table(self.doors)
        self.topics = topics or toy_topics()
        self.sessions = build_sessions(foundation, access, self.table, self.topics)
        add_session_methods(self.table, self.sessions, self.topics, title="toy", version="0")

    def token(self, role: Role = Role.ADMIN, lifetime_s: float = 3600) -> str:
        return self.tokens.create("someone", role, lifetime_s)

    @asynccontextmanager
    async def peer(self, *, buffer: float = math.inf, address: str = "10.0.0.1") -> AsyncIterator["Peer"]:
        """A connected peer that takes at most `buffer` texts before it has to read."""
        to_agent, from_peer = anyio.create_memory_object_stream[str](math.inf)
        to_peer, from_agent = anyio.create_memory_object_stream[str](buffer)
        peer = Peer(to_agent, from_agent)
        stream = _MemoryStream(from_peer, to_peer)
        async with to_agent, from_peer, to_peer, from_agent, anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve, stream, address, peer)
            yield peer
            tasks.cancel_scope.cancel()

    async def _serve(self, stream: "_MemoryStream", address: str, peer: "Peer") -> None:
        await self.sessions.serve(stream, address)
        peer.ended.set()


def limited(state_dir: Path, *, calls_per_s: float, burst: int) -> Toy:
    """Return a toy with these limits of calls."""
    auth = {"calls_per_s": calls_per_s, "calls_burst": burst}
    return Toy(state_dir, sections={**NARROW, "auth": auth})


class _MemoryStream:
    def __init__(
        self, incoming: anyio.abc.ObjectReceiveStream[str], outgoing: MemoryObjectSendStream[str]
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    @property
    def takes_more(self) -> bool:
        return self._outgoing.statistics().max_buffer_size == math.inf

    def send_now(self, text: str) -> None:
        self._outgoing.send_nowait(text)

    async def receive(self) -> str:
        return await self._incoming.receive()

    async def send(self, text: str) -> None:
        await self._outgoing.send(text)

    def admit(self) -> None:
        pass

    def dismiss(self) -> None:
        pass

    def revoke(self) -> None:
        pass


class Peer:
    def __init__(
        self, to_agent: anyio.abc.ObjectSendStream[str], from_agent: anyio.abc.ObjectReceiveStream[str]
    ) -> None:
        self._to_agent = to_agent
        self._from_agent = from_agent
        self.ended = anyio.Event()

    async def send(self, value: object) -> None:
        await self._to_agent.send(value if isinstance(value, str) else json.dumps(value))

    async def post(self, request_id: object, method: str, **params: object) -> None:
        await self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})

    async def receive(self) -> Any:
        with anyio.fail_after(20):
            text = await self._from_agent.receive()
        assert not secret_in(text)
        return json.loads(text)

    async def call(self, method: str, **params: object) -> Any:
        """The whole reply; only for peers with nothing else under way."""
        await self.post("call", method, **params)
        return await self.receive()

    async def result(self, method: str, **params: object) -> Any:
        return (await self.call(method, **params))["result"]

    async def error(self, method: str, **params: object) -> Any:
        return (await self.call(method, **params))["error"]

    async def close(self) -> None:
        await self._to_agent.aclose()


async def no_metrics() -> Sequence[Collected]:
    """Answer `/metrics` with the process's own numbers only."""
    return ()


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer every request with `hi`."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


Serve = Callable[..., AbstractAsyncContextManager[RpcServer]]


@pytest.fixture
def serve(toy: Toy) -> Serve:
    """`async with serve(max_connections=2) as server`: the toy behind a port, with these server settings."""

    @asynccontextmanager
    async def serving(
        *, http: ASGIApp = hello, local: Path | None = None, **settings: Any
    ) -> AsyncIterator[RpcServer]:
        place = SocketPlace(local, clock=toy.clock, mode=0o600) if local is not None else None
        server = RpcServer(ServerConfig(port=0, **settings), toy.sessions, http, local=place)
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(10):
                await tasks.start(server.run)
            yield server
            tasks.cancel_scope.cancel()

    return serving


def url(server: RpcServer, path: str = "/ws", scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{server.port}{path}"


async def call(socket: ClientConnection, method: str, **params: object) -> Any:
    """Return the whole reply; only for sockets with nothing else under way."""
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    with anyio.fail_after(10):
        return json.loads(await socket.recv())


async def close_code(socket: ClientConnection) -> int:
    """Read until the server closes, and return its code: 1006 without a close frame."""
    with anyio.fail_after(20):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 1006


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.005)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path / "state")


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
async def certificate(tmp_path: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, pem = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)]
    await anyio.run_process([*command.split(), *names])
    return pem, key
