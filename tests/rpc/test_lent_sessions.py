"""Sessions lent to plugins, over the toy server's methods."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from agent_core.auth.own import OwnPrincipals
from agent_core.auth.roles import Role
from agent_core.base.errors import InvalidState
from agent_core.rpc.lent_sessions import LentSessions, PluginSessions, SessionLender
from tests.toy_server import Toy


class Client:
    """Client of a lent session, behind streams in memory."""

    def __init__(self) -> None:
        self.to_agent, self._incoming = anyio.create_memory_object_stream[str](100)
        self._outgoing, self.from_agent = anyio.create_memory_object_stream[str](100)

    async def receive(self) -> str:
        return await self._incoming.receive()

    async def send(self, text: str) -> None:
        await self._outgoing.send(text)

    async def call(self, method: str, **params: object) -> Any:
        await self.to_agent.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
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
    sessions.open(SessionLender(toy.sessions, OwnPrincipals()))
    return sessions.to("bridge")


def test_a_hook_cannot_use_sessions() -> None:
    with pytest.raises(InvalidState, match="still starting"):
        LentSessions().to("bridge").own("viewer")


async def test_the_plugins_own_user_bears_its_name(toy: Toy, client: Client) -> None:
    sessions = LentSessions()
    sessions.open(SessionLender(toy.sessions, toy.access.own))
    lent = sessions.to("bridge")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: lent.serve(client, lent.own("viewer"), address="bridge"))
        assert (await client.call("whoami"))["result"]["text"] == "bridge"
        assert (await client.call("wipe"))["error"]["code"] == -32002
        assert (await client.call("authenticate", auth_token=toy.token(Role.ADMIN)))["error"]["data"][
            "reason"
        ] == "user_is_fixed"
        assert (len(toy.sessions), toy.sessions.lent) == (0, 1)
        client.to_agent.close()
    assert toy.sessions.lent == 0
