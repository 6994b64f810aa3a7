"""Calls that are sent together with `authenticate`."""

from agent_core.auth.roles import Role
from tests.toy_server import Toy


def entry(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}


async def test_calls_behind_authenticate_are_judged_by_its_outcome(toy: Toy) -> None:
    """It may wait for the disk; the others of its batch, and messages sent right behind it, wait for it."""
    echo = entry("echo", text="x")
    good, other = (entry("authenticate", auth_token=toy.token(role)) for role in (Role.VIEWER, Role.ADMIN))
    async with toy.peer() as peer:
        await peer.send([echo, good, echo, other, entry("wipe")])
        replies = await peer.receive()
        assert ["result" in each for each in replies] == [False, True, True, True, True]
    async with toy.peer() as peer:
        for each in (good, echo, entry("authenticate", auth_token="wrong"), echo):
            await peer.send(each)
        assert ["result" in await peer.receive() for _ in range(4)] == [True, True, False, True]
