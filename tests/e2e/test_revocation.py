"""The command line revokes credentials while the agent runs: its connections and downloads end."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import SystemClock
from tests.toy_server import call, close_code

from .conftest import AgentProcess, AgentProcessFactory

#: Would take for ever to download.
ENDLESS_BYTES = 1 << 40


@dataclass(frozen=True)
class Case:
    """Credentials, the command that revokes them, and its input."""

    credentials: str
    command: tuple[str, ...]
    given: str = ""


def by_key(agent: AgentProcess) -> Case:
    key = ApiKeys(agent.folder / "state/api-keys.json", SystemClock()).create("robot", Role.VIEWER)
    return Case(key, ("key", "revoke", "robot"))


def by_role(agent: AgentProcess) -> Case:
    key = ApiKeys(agent.folder / "state/api-keys.json", SystemClock()).create("robot", Role.VIEWER)
    return Case(key, ("key", "change", "robot", "--role", "operator"))


def token(agent: AgentProcess) -> str:
    secret = Secret.load(agent.folder / "state/secret")
    return TokenAuthority(secret, SystemClock()).create("someone", Role.VIEWER, 600)


def by_token(agent: AgentProcess) -> Case:
    made = token(agent)
    return Case(made, ("token", "revoke", "--file", "-"), made)


async def camera_agent(agent: AgentProcess, command: tuple[str, ...], given: str = "") -> None:
    argv = [sys.executable, "-m", "agent_core", *command, "--config", str(agent.folder / "config.toml")]
    await anyio.run_process(argv, input=given.encode(), env=dict(os.environ))


async def download(response: httpx.Response, begun: anyio.Event) -> None:
    async for _ in response.aiter_raw():
        begun.set()


async def is_cut(response: httpx.Response, begun: anyio.Event) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await download(response, begun)


@pytest.mark.parametrize("make", [by_key, by_role, by_token])
async def test_what_runs_on_them_ends(
    agent_process: AgentProcessFactory, make: Callable[[AgentProcess], Case]
) -> None:
    async with agent_process("") as agent:
        url = await agent.url()
        folder = agent.folder / "state/snapshots"
        with (folder / "endless.jpg").open("wb") as file:
            file.truncate(ENDLESS_BYTES)
        case, other = make(agent), token(agent)
        http_url = url.replace("ws:", "http:").removesuffix("/ws")
        headers, begun = {"Authorization": f"Bearer {case.credentials}"}, anyio.Event()
        async with (
            connect(url) as socket,
            connect(url) as other_socket,
            httpx.AsyncClient(base_url=http_url, timeout=30) as http,
            http.stream("GET", "/files/snapshots/endless.jpg", headers=headers) as response,
        ):
            assert response.status_code == 200
            for client, credentials in ((socket, case.credentials), (other_socket, other)):
                assert "result" in await call(client, "authenticate", auth_token=credentials)
            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(is_cut, response, begun)
                    await begun.wait()
                    await camera_agent(agent, case.command, case.given)
            assert await close_code(socket) == 1008
            assert "result" in await call(other_socket, "get_system_status")


async def test_deleting_the_secret_ends_what_tokens_opened_and_lets_the_command_line_in(
    agent_process: AgentProcessFactory,
) -> None:
    async with agent_process("") as agent:
        async with connect(await agent.url()) as socket:
            assert "result" in await call(socket, "authenticate", auth_token=token(agent))
            (agent.folder / "state/secret").unlink()
            assert await close_code(socket) == 1008
        await camera_agent(agent, ("cameras",))
