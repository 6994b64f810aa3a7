"""Sessions lent to plugins, over the toy server's methods."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from agent_core.auth.roles import Principal, Role
from agent_core.base.errors import AuthenticationFailed, InvalidState, Unsupported
from agent_core.plugin.sessions import PrincipalSource, SignedCall
from agent_core.rpc.lent_sessions import LentSessions, PluginSessions, SessionLender
from agent_core.rpc.table import Caller, Method
from tests.toy_server import Echoed, Nothing, Toy, until

CALL = SignedCall("box", "pc", "0" * 16, {"method": "ping"}, "replies/pc", b"1", "", "", "", "")


class Client:
    """Client of a lent session, behind streams in memory."""

    def __init__(self) -> None:
        self.to_agent, self._incoming = anyio.create_memory_object_stream[str](100)
        self._outgoing, self.from_agent = anyio.create_memory_object_stream[str](100)

    async def receive(self) -> str:
        return await self._incoming.receive()

    async def send(self, text: str) -> None:
        await self._outgoing.send(text)

    async def post(self, method: str, **params: object) -> None:
        await self.to_agent.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))

    async def call(self, method: str, **params: object) -> Any:
        await self.post(method, **params)
        return await self.read()

    async def read(self) -> Any:
        with anyio.fail_after(20):
            return json.loads(await self.from_agent.receive())

    def close(self) -> None:
        for each in (self.to_agent, self._incoming, self._outgoing, self.from_agent):
            each.close()


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


@pytest.fixture
def lent(toy: Toy) -> PluginSessions:
    sessions = LentSessions()
    sessions.open(SessionLender(toy.sessions, toy.access.own))
    return sessions.to("bridge")


def test_a_hook_cannot_use_sessions() -> None:
    with pytest.raises(InvalidState, match="still starting"):
        LentSessions().to("bridge").own("viewer")


async def test_an_agent_without_a_verifier_accepts_no_signed_calls(lent: PluginSessions) -> None:
    with pytest.raises(Unsupported):
        await lent.verify(CALL, agent="box")


async def test_the_plugins_own_user_bears_its_name_and_is_no_connection(
    toy: Toy, lent: PluginSessions, client: Client
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, lent, client, lent.own("viewer"))
        assert (await client.call("whoami"))["result"]["text"] == "bridge"
        assert (await client.call("wipe"))["error"]["code"] == -32002
        assert (len(toy.sessions), toy.sessions.lent) == (0, 1)
        client.to_agent.close()
    assert toy.sessions.lent == 0


async def test_no_one_authenticates_as_the_agents_own_user(toy: Toy, lent: PluginSessions) -> None:
    own = lent.own("admin")
    assert toy.auth.is_current(own.credential)
    assert not toy.auth.is_current(own.credential + "0")
    async with toy.peer() as peer:
        assert (await peer.error("authenticate", auth_token=own.credential))["code"] == -32001


async def test_a_session_and_its_calls_end_when_the_credentials_expire(
    toy: Toy, lent: PluginSessions, client: Client
) -> None:
    ends = toy.tokens.verify(toy.token(Role.OPERATOR, lifetime_s=60))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect_expiry, lent, client, ends)
        await client.post("wait")
        await until(lambda: toy.doors.entered == 1)
        await toy.clock.advance(61)
    assert toy.doors.cancelled == 1


async def test_what_a_session_holds_ends_with_it(toy: Toy, lent: PluginSessions, client: Client) -> None:
    released: list[str] = []

    async def hold(_params: Nothing, caller: Caller) -> Echoed:
        caller.session.on_close("stream", lambda: released.append("stream"))
        return Echoed(text="held")

    toy.table.add(Method("hold", Role.VIEWER, "Hold.", Nothing, Echoed, hold))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, lent, client, lent.own("viewer"))
        await client.call("hold")
        assert released == []
        client.to_agent.close()
    assert released == ["stream"]


def test_the_agents_own_users_get_no_links(toy: Toy, lent: PluginSessions) -> None:
    own, someone = lent.own("viewer"), toy.tokens.verify(toy.token())
    assert isinstance(own, Principal)
    assert toy.links.offered_to(own)("snapshots", "camera0/a.jpg") is None
    assert toy.links.offered_to(someone)("snapshots", "camera0/a.jpg") is not None


async def serve(lent: PluginSessions, client: Client, user: PrincipalSource) -> None:
    await lent.serve(client, user, address="bridge:client")


async def expect_expiry(lent: PluginSessions, client: Client, user: PrincipalSource) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        await serve(lent, client, user)
    assert caught.value.reason == "token_expired"
