"""A whole agent, with strangers at its door."""

import json
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import SystemClock
from agent_core.client import AgentClient, AgentUnreachable
from agent_core.client.address import unix_url
from agent_core.plugin import ffmpeg

from .conftest import AgentProcess, AgentProcessFactory, descendants
from .media import EMBEDDED_CONFIG, connected

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
STRANGERS = 1100
#: Debian's and systemd's soft limit, and no room above it.
LIMITED = ("sh", "-c", 'ulimit -n 1024; exec "$@"', "sh")


@contextmanager
def many_files() -> Iterator[None]:
    """Let this process have the strangers' sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = STRANGERS + 400
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("this session may not have so many files open")
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].removesuffix("/ws"))


async def stranger(port: int, held: AsyncExitStack, sent: bytes) -> SocketStream:
    peer = await held.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
    await peer.send(sent)
    return peer


async def cameras(agent: AgentProcess, *more: str) -> tuple[int, str]:
    """Run the command line of the agent's account; return its exit code and all that it said."""
    command = [sys.executable, "-m", "agent_core", "cameras", *more]
    if not more:
        command += ["--config", str(agent.folder / "config.toml")]
    with anyio.fail_after(30):
        done = await anyio.run_process(command, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def limit_of(pid: int) -> int:
    (line,) = (
        each
        for each in Path(f"/proc/{pid}/limits").read_text().splitlines()
        if each.startswith("Max open files")
    )
    return int(line.split()[3])


async def test_a_flood_of_strangers_costs_no_recording_and_keeps_nobody_out(
    agent_process: AgentProcessFactory,
) -> None:
    with many_files():
        async with agent_process(EMBEDDED_CONFIG, prefix=LIMITED) as agent, AsyncExitStack() as held:
            client = await held.enter_async_context(agent.client())
            await connected(client)
            with anyio.fail_after(60):
                started = await client.call("start_recording", device="camera0", wait=True)
                port = port_of(await agent.url())
                for _ in range(STRANGERS):
                    await stranger(port, held, UPGRADE + b"\r\n")
                assert (await client.call("take_snapshot", device="camera0"))["status"] == "SUCCESS"
                assert (await cameras(agent))[0] == 0
                code, said = await cameras(
                    agent, "--url", await agent.url(), "--config", str(agent.folder / "config.toml")
                )
                assert code == 0, said
                stopped = await client.call("stop_recording", device="camera0")
            assert stopped["status"] == "STOPPED"
            assert len(list(Path(f"/proc/{agent.pid}/fd").iterdir())) < 1024 // 2
            assert "Traceback" not in agent.log
            assert len(agent.log.splitlines()) < 40, agent.log
            folder = agent.folder / "state" / "recordings" / "camera0" / started["filename"]
            (segment,) = folder.glob("*.mp4")
            await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(segment), "-f", "null", "-"])


async def test_the_agent_may_have_more_files_open_than_its_children(
    agent_process: AgentProcessFactory,
) -> None:
    if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 900:
        pytest.skip("the hard limit of this session is lower than this test needs")
    lower = ("sh", "-c", 'ulimit -Sn 512; ulimit -Hn 900; exec "$@"', "sh")
    async with agent_process(EMBEDDED_CONFIG, prefix=lower) as agent, agent.client() as client:
        await connected(client)
        with anyio.fail_after(30):
            await client.call("start_recording", device="camera0", wait=True)
        assert limit_of(agent.pid) == 900
        assert {limit_of(pid) for pid in descendants(agent.pid)} == {512}


@asynccontextmanager
async def full(agent: AgentProcess) -> AsyncIterator[str]:
    """The agent, all of whose places are taken; gives a token."""
    async with agent.client():
        secret = Secret.load(agent.folder / "state" / "secret")
        yield TokenAuthority(secret, SystemClock()).create("test", Role.OPERATOR, 600)


async def test_the_host_gets_in_when_no_place_is_left(
    agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    async with (
        agent_process("[server]\nmax_connections = 1\n" + EMBEDDED_CONFIG) as agent,
        full(agent) as token,
    ):
        code, said = await cameras(
            agent, "--url", await agent.url(), "--config", str(agent.folder / "config.toml")
        )
        assert (code, "503" in said) == (3, True)
        code, said = await cameras(agent)
        assert (code, "camera0" in said) == (0, True)
        announced = json.loads((agent.folder / "state" / "endpoint.json").read_text())
        path = Path(announced["socket"])
        assert path.stat().st_mode & 0o777 == 0o600
        url = unix_url(path)
        async with AgentClient(url, token) as client:
            taken = await client.call("take_snapshot", device="camera0")
            picture = await client.download(taken["download_url"], size_bytes=taken["file_size"])
            assert picture.startswith(b"\xff\xd8")
            size_bytes = await client.download_to(tmp_path / "a.jpg", taken["filename"])
            assert size_bytes == taken["file_size"]
        path.unlink()
        with pytest.raises(AgentUnreachable) as caught:
            await AgentClient(url, token).__aenter__()
        assert str(path) in str(caught.value)
    assert not path.exists()


async def test_without_its_socket_the_host_takes_the_port(agent_process: AgentProcessFactory) -> None:
    async with agent_process(EMBEDDED_CONFIG) as agent:
        await agent.url()
        (agent.folder / "run" / "agent.sock").unlink()
        assert (await cameras(agent))[0] == 0


@pytest.mark.parametrize(
    "sent",
    [UPGRADE + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n", UPGRADE, UPGRADE + b"\r\n", b""],
)
async def test_strangers_do_not_disturb_the_end(agent_process: AgentProcessFactory, sent: bytes) -> None:
    async with agent_process(EMBEDDED_CONFIG) as agent, AsyncExitStack() as held:
        port = port_of(await agent.url())
        for _ in range(3):
            await stranger(port, held, sent)
        async with agent.client("viewer") as client:
            await client.call("ping")
        assert await agent.end(signal.SIGTERM) == 0
        assert "Traceback" not in agent.log
        assert " ERROR " not in agent.log, agent.log
