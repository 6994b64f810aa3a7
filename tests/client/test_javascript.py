"""The generated JavaScript client: its files are up to date, and under Node it works with a real agent."""

import json
import runpy
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_core.testing import RunningAgent, document_of, running_agent

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/javascript"
#: `make node` makes it.
MODULES = ROOT / ".cache/node/node_modules"
CONFIG = {
    # Room for a few events only.
    "server": {"event_journal_bytes": 30_000},
    "plugins": {
        "enabled": ["virtual_camera"],
        "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}], "faults": True},
    },
}
STATUS = "camera.status_change"


def node() -> str:
    """Return the path of Node; skip the test where it, or what npm installs, is missing."""
    found = shutil.which("node")
    if found is None or not (MODULES / "ws").is_dir():
        pytest.skip("no Node with npm's ws: install them and run `make node`")
    return found


async def test_the_files_are_those_of_the_document() -> None:
    for path, text in runpy.run_path(str(ROOT / "scripts/js-client"))["written"](await document_of()).items():
        assert path.read_bytes() == text.encode(), f"{path}: run scripts/js-client"


class Cable:
    """TCP connections to an agent, which a test cuts."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._scopes: set[anyio.CancelScope] = set()
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True
        for scope in self._scopes:
            scope.cancel()

    async def connect(self, client: anyio.abc.SocketStream) -> None:
        async with client:
            if self.is_cut:
                return
            with anyio.CancelScope() as scope:
                self._scopes.add(scope)
                async with await anyio.connect_tcp("127.0.0.1", self._port) as agent:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._carry, client, agent, scope)
                        tasks.start_soon(self._carry, agent, client, scope)
            self._scopes.discard(scope)

    async def _carry(
        self, source: anyio.abc.SocketStream, sink: anyio.abc.SocketStream, scope: anyio.CancelScope
    ) -> None:
        try:
            async for data in source:
                await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def cable(agent: RunningAgent) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to the agent, and the address at its near end."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - this is no Django
    made = Cable(int(agent.http_url.rpartition(":")[2]))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, made.connect)
        yield made, f"ws://127.0.0.1:{port}/ws"
        tasks.cancel_scope.cancel()


class Script:
    """Running scenario: `await script("call", "ping")` does one step."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input = process.stdin
        self._output = BufferedByteReceiveStream(process.stdout)

    async def __call__(self, *step: object) -> Any:
        with anyio.fail_after(30):
            await self.tell(*step)
            return json.loads(await self._output.receive_until(b"\n", 1 << 20))

    async def tell(self, *words: object) -> None:
        await self._input.send(json.dumps(words).encode() + b"\n")

    async def until(self, is_enough: Callable[[Any], bool]) -> Any:
        """Return what the client has seen, once that is enough."""
        with anyio.fail_after(30):
            while not is_enough(seen := await self("seen")):
                await anyio.sleep(0.02)
        return seen


@asynccontextmanager
async def scenario(url: str, token: str) -> AsyncIterator[Script]:
    argv = [node(), str(CLIENT / "tests/scenario.mjs"), str(CLIENT / "client.js"), f"{MODULES}/"]
    async with await anyio.open_process(argv, stderr=None) as process:
        script = Script(process)
        try:
            await script.tell(url, token)
            yield script
        finally:
            process.kill()


@pytest.fixture
async def agent(observe: Callable[[str], None]) -> AsyncIterator[RunningAgent]:
    node()  # skips the test before there is a task group, which would wrap what skips it
    async with running_agent(config=CONFIG, observe=observe) as agent:
        yield agent


async def test_calls_errors_and_limits(agent: RunningAgent) -> None:
    async with scenario(agent.url, agent.token("admin")) as script:
        assert await script("connect") == {"result": "connected"}
        assert await script("call", "ping") == {"result": "pong"}
        cameras = (await script("call", "getCameraList"))["result"]
        assert [each["device"] for each in cameras["cameras"]] == ["camera0"]
        missing = await script("call", "getCameraStatus", {"device": "camera9"})
        assert missing["kinds"] == ["CallFailed", "AgentClientError", "NotFound"] or set(
            missing["kinds"]
        ) == {
            "AgentClientError",
            "CallFailed",
            "NotFound",
        }
        assert missing["code"] == -32010
        wrong = await script("call", "getCameraStatus", {"device": 3})
        assert "InvalidParams" in wrong["kinds"]
        await script(
            "call", "virtualCameraSetFault", {"device": "camera0", "fault": "stall", "enabled": True}
        )
        late = await script("call", "takeSnapshot", {"device": "camera0", "max_age_ms": 0}, {"timeoutMs": 30})
        assert "CallTimeout" in late["kinds"]
        given_up = await script("abort", "takeSnapshot", {"device": "camera0", "max_age_ms": 0})
        assert given_up["message"] == "enough"
        assert await script("url", "/files/a.jpg") == f"{agent.http_url}/files/a.jpg"


async def test_a_probe_ends_the_pause_between_two_attempts(agent: RunningAgent) -> None:
    async with scenario(agent.url, agent.token("viewer")) as script:
        assert await script("probe") == ["waiting", "connected"]


async def test_refused_credentials_and_missing_agents_fail_at_once(agent: RunningAgent) -> None:
    async with scenario(agent.url, agent.token("viewer")) as script:
        await script("connect")
        denied = await script("call", "getStatus")
        assert "PermissionDenied" in denied["kinds"]
        refused = await script("other", agent.url, "wrong")
        assert ("AuthenticationFailed" in refused["kinds"], refused["state"]) == (True, "closed")
        nowhere = await script("other", "ws://127.0.0.1:9/ws", "wrong")
        assert ("ConnectionLost" in nowhere["kinds"], nowhere["state"]) == (True, "closed")


async def test_events_reach_their_subscribers(agent: RunningAgent) -> None:
    async with scenario(agent.url, agent.token("admin")) as script, agent.client("admin") as other:
        await script("connect")
        assert await script("subscribe", STATUS, {"device": "camera0"}) == {"result": "subscribed"}
        await other.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=True)
        seen = await script.until(lambda seen: seen["events"])
        assert (seen["events"][0]["method"], seen["events"][0]["params"]["device"]) == (STATUS, "camera0")
        assert await script("unsubscribe") == {"result": "closed"}
        stats = (await script("call", "getSubscriptionStats"))["result"]
        assert stats["client_topics"] == []
        unknown = await script("subscribe", "no.topic")
        assert "InvalidParams" in unknown["kinds"]


async def test_a_cut_connection_comes_back_with_its_events(agent: RunningAgent) -> None:
    async with cable(agent) as (wire, url), scenario(url, agent.token("admin")) as script:
        async with agent.client("admin") as other:
            await script("connect")
            await script("subscribe", [STATUS, "recording.started"])
            wire.cut()
            await script.until(lambda seen: "disconnected" in seen["connection"])
            await script("begin", "ping")
            await other.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=True)
            wire.is_cut = False
            assert await script("finish") == {"result": "pong"}
            await other.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=False)
            seen = await script.until(lambda seen: len(seen["events"]) >= 2)
    statuses = [each["params"]["status"] for each in seen["events"]]
    assert statuses == ["DISCONNECTED", "CONNECTED"]
    assert seen["connection"][0] == "connected"
    assert seen["connection"][-1] == "connected"


async def test_calls_under_way_end_with_the_connection(agent: RunningAgent) -> None:
    stall = {"device": "camera0", "fault": "stall", "enabled": True}
    async with cable(agent) as (wire, url), scenario(url, agent.token("admin")) as script:
        await script("connect")
        await script("call", "virtualCameraSetFault", stall)
        await script("begin", "takeSnapshot", {"device": "camera0", "max_age_ms": 0})
        wire.cut()
        assert "ConnectionLost" in (await script("finish"))["kinds"]
        assert await script("close") == {"result": "closed"}
        assert "ConnectionLost" in (await script("call", "ping"))["kinds"]


async def test_events_that_have_arrived_are_never_told_as_lost(agent: RunningAgent) -> None:
    """A quiet topic beside a busy one must not let the client ask from where the quiet one began."""
    async with cable(agent) as (wire, url), scenario(url, agent.token("admin")) as script:
        async with agent.client("admin") as other:
            await script("connect")
            await script("subscribe", ["camera.controls", "camera.connected"])
            for value in range(40):
                await other.set_camera_controls("camera0", controls={"brightness": value})
            await script.until(lambda seen: len(seen["events"]) == 40)
            wire.cut()
            await script.until(lambda seen: "disconnected" in seen["connection"])
            await other.set_camera_controls("camera0", controls={"brightness": 50})
            wire.is_cut = False
            seen = await script.until(lambda seen: len(seen["events"]) > 40)
    assert {each["method"] for each in seen["events"]} == {"camera.controls"}
    numbers = [each["params"]["sequence"] for each in seen["events"]]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_topic_that_the_agent_refuses_does_not_keep_the_client_away(
    agent: RunningAgent, is_known: bool
) -> None:
    async with cable(agent) as (wire, url), scenario(url, agent.token("admin")) as script:
        await script("connect")
        await script("subscribe", [STATUS])
        wire.cut()
        await script.until(lambda seen: "disconnected" in seen["connection"])
        await script("beginSubscribe", ["snapshot.taken" if is_known else "no.topic"])
        wire.is_cut = False
        ended = await script("finish")
        assert await script("call", "ping") == {"result": "pong"}
        stats = (await script("call", "getSubscriptionStats"))["result"]
        seen = await script("seen")
    if is_known:
        assert ended == {"result": "subscribed"}
        assert stats["client_topics"] == [STATUS, "snapshot.taken"]
    else:
        assert "InvalidParams" in ended["kinds"]
        assert stats["client_topics"] == [STATUS]
        assert "refused no.topic" in seen["connection"]


async def test_a_client_closed_while_it_connects_leaves_nothing_waiting(agent: RunningAgent) -> None:
    async with scenario(agent.url, agent.token("viewer")) as script:
        connecting, called, state = await script("closeWhileConnecting", agent.url)
    assert "ConnectionLost" in connecting["kinds"]
    assert "ConnectionLost" in called["kinds"]
    assert state == "closed"


async def test_an_async_listener_that_fails_does_not_end_the_program(agent: RunningAgent) -> None:
    async with scenario(agent.url, agent.token("admin")) as script:
        await script("connect")
        await script("subscribeAsync", ["camera.controls"])
        for value in (1, 2):
            await script(
                "call", "setCameraControls", {"device": "camera0", "controls": {"brightness": value}}
            )
        await script.until(lambda seen: len(seen["events"]) == 2)


async def test_a_refused_token_leaves_the_last_one_in_use(agent: RunningAgent) -> None:
    async with cable(agent) as (wire, url), scenario(url, agent.token("viewer")) as script:
        await script("connect")
        assert "AuthenticationFailed" in (await script("setToken", "wrong"))["kinds"]
        wire.cut()
        await script.until(lambda seen: "disconnected" in seen["connection"])
        wire.is_cut = False
        assert "result" in await script("call", "getCameraList")
        assert await script("endless") == {"result": "pong"}


async def test_the_reason_of_a_failed_connection_is_told(agent: RunningAgent) -> None:
    async with scenario(agent.url, agent.token("viewer")) as script:
        nowhere = await script("other", "ws://127.0.0.1:9/ws", "wrong")
        assert "ECONNREFUSED" in nowhere["message"]
        no_socket = await script("other", agent.url.replace("/ws", "/healthz"), "wrong")
        assert "404" in no_socket["message"]


async def test_the_types_are_accepted_by_the_compiler(tmp_path: Path) -> None:
    compiler = MODULES / "typescript/bin/tsc"
    if not compiler.exists():
        pytest.skip("no compiler of TypeScript: run `make node`")
    (tmp_path / "use.ts").write_text((CLIENT / "tests/use.ts").read_text())
    for name in ("client.js", "client.d.ts"):
        (tmp_path / name).write_text((CLIENT / name).read_text())
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]
    argv = [node(), str(compiler), *options, "client.d.ts", "use.ts"]
    done = await anyio.run_process(argv, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout.decode()) == (0, "")
