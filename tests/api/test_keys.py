"""The methods about API keys, over a whole agent."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.clock import SystemClock
from agent_core.client import AgentClient, CallFailed, ConnectionLost
from agent_core.testing import RunningAgent, running_agent
from tests.toy_server import call, close_code


@pytest.fixture
async def agent() -> AsyncIterator[RunningAgent]:
    async with running_agent() as running:
        yield running


def keys_of(agent: RunningAgent) -> ApiKeys:
    """Return the keys as another process sees them, as the command line does."""
    return ApiKeys(agent.folder / "state/api-keys.json", SystemClock())


async def call_until_cut(client: AgentClient) -> None:
    while True:
        await client.call("get_system_status")
        await anyio.sleep(0.05)


async def test_keys_are_listed_without_the_keys(agent: RunningAgent) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    key = keys_of(agent).create("robot", Role.OPERATOR, expires_at=end)
    keys_of(agent).create("wall", Role.VIEWER)
    async with agent.client("admin") as admin:
        listed: Any = await admin.call("list_api_keys")
    robot, wall = listed["keys"]
    assert listed["total"] == 2
    assert set(robot) == {"id", "user", "kind", "role", "created_at", "expires_at"}
    assert (robot["user"], robot["role"]) == ("robot", "operator")
    assert datetime.fromisoformat(robot["expires_at"]) == end
    assert (wall["user"], wall["kind"], wall["expires_at"]) == ("wall", "api", None)
    assert key[3:] not in str(listed)


async def test_a_revoked_key_ends_its_connection_and_no_other(agent: RunningAgent) -> None:
    robot, wall = (keys_of(agent).create(user, Role.VIEWER) for user in ("robot", "wall"))
    async with (
        agent.client("admin") as admin,
        AgentClient(agent.url, robot) as of_robot,
        AgentClient(agent.url, wall) as of_wall,
    ):
        listed: Any = await admin.call("list_api_keys")
        (key_id,) = (each["id"] for each in listed["keys"] if each["user"] == "robot")
        assert await admin.call("revoke_api_key", id=key_id) == {
            "id": key_id, "user": "robot", "revoked": True
        }  # fmt: skip
        with anyio.fail_after(20), pytest.raises(ConnectionLost):
            await call_until_cut(of_robot)
        await of_wall.call("get_system_status")
        with pytest.raises(CallFailed) as caught:
            await admin.call("revoke_api_key", id=key_id)
        assert (caught.value.code, caught.value.reason) == (-32010, "api_key_not_found")
    with pytest.raises(CallFailed) as caught:
        async with AgentClient(agent.url, robot):
            pass
    assert caught.value.reason == "api_key_invalid"


async def test_a_key_that_revokes_itself_is_answered(agent: RunningAgent) -> None:
    for _ in range(10):
        key = keys_of(agent).create("robot", Role.ADMIN)
        async with connect(agent.url) as socket:
            await call(socket, "authenticate", auth_token=key)
            (own,) = (await call(socket, "list_api_keys"))["result"]["keys"]
            assert (await call(socket, "revoke_api_key", id=own["id"]))["result"]["revoked"] is True
            assert await close_code(socket) == 1008


async def test_keys_are_created_on_the_host_only(agent: RunningAgent) -> None:
    async with agent.client("admin") as admin:
        with pytest.raises(CallFailed) as caught:
            await admin.call("create_api_key", role="viewer", user="x")
        assert caught.value.code == -32601


async def test_keys_are_created_over_the_network_if_that_is_configured() -> None:
    async with (
        running_agent(config={"auth": {"keys_over_network": True}}) as agent,
        agent.client("admin") as admin,
    ):
        made: Any = await admin.call(
            "create_api_key", role="viewer", user="wall", expires_at="2999-01-01T00:00:00Z"
        )
        assert (made["user"], made["role"], made["expires_at"]) == (
            "wall",
            "viewer",
            "2999-01-01T00:00:00.000Z",
        )
        async with AgentClient(agent.url, made["key"]) as wall:
            await wall.call("get_system_status")
        with pytest.raises(CallFailed) as caught:
            await admin.call("create_api_key", role="admin", user="wall")
        assert caught.value.code == -32020
        signing: Any = await admin.call("create_api_key", role="viewer", user="wall", kind="mqtt")
        assert (signing["kind"], signing["key"][:3], signing["id"] != made["id"]) == ("mqtt", "mk_", True)
        with pytest.raises(CallFailed) as caught:
            async with AgentClient(agent.url, signing["key"]) as wall:
                await wall.call("get_system_status")
        assert caught.value.reason == "wrong_key_kind"
        for wrong in (
            {"kind": "ssh"},
            {"user": "a\nb"},
            {"user": ""},
            {"role": "root"},
            {"expires_at": "2999-01-01T00:00:00"},
            {"expires_at": "9999-12-31T23:59:59-01:00"},
            {"expires_at": "0001-01-01T00:00:00+01:00"},
        ):
            with pytest.raises(CallFailed) as caught:
                await admin.call("create_api_key", **{"role": "viewer", "user": "x", **wrong})
            assert caught.value.code == -32602


@pytest.mark.parametrize("damage", ["the lock file is deleted", "the folder is replaced by a copy"])
async def test_a_key_revoked_on_the_host_ends_although_the_state_folder_has_changed(
    agent: RunningAgent, damage: str
) -> None:
    key = keys_of(agent).create("robot", Role.VIEWER)
    state = agent.folder / "state"
    async with AgentClient(agent.url, key) as robot:
        if "lock" in damage:
            for each in state.glob("*.lock"):
                each.unlink()
        else:
            old = state.rename(agent.folder / "old")
            shutil.copytree(old, state, ignore=shutil.ignore_patterns("*.sock"))
        await robot.call("get_system_status")
        keys_of(agent).revoke("robot")
        with anyio.fail_after(20), pytest.raises(ConnectionLost):
            await call_until_cut(robot)
