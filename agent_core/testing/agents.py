"""Whole agents inside a test: real sockets on a free port, own folders, plugins as classes or by name."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import anyio

from agent_core.app import Agent, Running
from agent_core.app.wiring import AgentParts
from agent_core.auth.roles import Role
from agent_core.base.clock import Clock
from agent_core.client import AgentClient
from agent_core.config import AgentConfig, LoadedConfig
from agent_core.plugin_host.manager import EntryPointFinder, installed

__all__ = ("WHOLE_CONTRACT", "RunningAgent", "document_of", "running_agent")

START_LIMIT_S = 30.0
#: A whole process may stand still for longer than the client's default where others use the machine too.
CONNECT_LIMIT_S = 30.0
#: Configuration of an agent that offers every method of this repository: each plugin that adds some, and keys.
WHOLE_CONTRACT: Mapping[str, Any] = MappingProxyType(
    {
        "auth": {"keys_over_network": True},
        "plugins": {
            "enabled": ["virtual_camera", "external_discovery"],
            "virtual_camera": {"faults": True},
        },
    }
)


class RunningAgent:
    """Agent that listens; `observe` receives every text that its clients receive."""

    def __init__(self, running: Running, folder: Path, observe: Callable[[str], None] | None) -> None:
        self._running = running
        self._observe = observe
        self.folder = folder

    @property
    def url(self) -> str:
        return self._running.url

    @property
    def http_url(self) -> str:
        return self.url.replace("ws", "http", 1).removesuffix("/ws")

    @property
    def parts(self) -> AgentParts:
        """Parts of the agent, for assertions that no client can make."""
        return self._running.parts

    def token(self, role: str = "viewer", lifetime_s: float = 86_400.0) -> str:
        return self.parts.tokens.create("test", Role(role), lifetime_s)

    @asynccontextmanager
    async def client(self, role: str | None = "operator") -> AsyncIterator[AgentClient]:
        """Connect a client, authenticated unless `role` is None."""
        token = self.token(role) if role else None
        async with AgentClient(
            self.url, token=token, observe=self._observe, connect_timeout_s=CONNECT_LIMIT_S
        ) as client:
            yield client


def _finder(plugins: Mapping[str, object]) -> EntryPointFinder:
    def find(name: str) -> Sequence[object]:
        return [plugins[name]] if name in plugins else installed(name)

    return find


@asynccontextmanager
async def running_agent(
    *,
    plugins: Mapping[str, object] | None = None,
    config: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    clock: Clock | None = None,
    settled: bool = True,
    observe: Callable[[str], None] | None = None,
    reread: Callable[[], Mapping[str, Any]] | None = None,
) -> AsyncIterator[RunningAgent]:
    """Run an agent for as long as the context is open.

    Args:
        plugins: plugin classes by name, enabled in this order; they need not be installed.
        config: configuration sections; `plugins.enabled` may also name installed plugins.
        folder: folder for state and sockets; a temporary folder by default.
        clock: clock of all parts; the system's by default.
        settled: wait until every source has reported its first inventory.
        observe: receives every text that the clients of `RunningAgent.client` receive.
        reread: returns the configuration sections of each reload; default: those of `config`.
    """
    with TemporaryDirectory(prefix="ca-") as temporary:
        root = folder or Path(temporary)

        def read() -> LoadedConfig:
            sections = reread() if reread is not None else config or {}
            return LoadedConfig(_configuration(sections, plugins or {}, root))

        first = _configuration(config or {}, plugins or {}, root)
        agent = Agent(first, read=read, clock=clock, find=_finder(plugins or {}))
        async with anyio.create_task_group() as tg:
            with anyio.fail_after(START_LIMIT_S):
                running: Running = await tg.start(agent.run)
                if settled:
                    await running.parts.monitor.wait_settled()
            try:
                yield RunningAgent(running, root, observe)
            finally:
                tg.cancel_scope.cancel()


def _configuration(config: Mapping[str, Any], plugins: Mapping[str, object], root: Path) -> AgentConfig:
    sections = {name: dict(section) for name, section in config.items()}
    server = sections.setdefault("server", {})
    server.setdefault("port", 0)
    storage = sections.setdefault("storage", {})
    storage.setdefault("state_dir", root / "state")
    storage.setdefault("runtime_dir", root / "run")
    table = sections.setdefault("plugins", {})
    table["enabled"] = [*plugins, *(name for name in table.get("enabled", ()) if name not in plugins)]
    return AgentConfig.model_validate(sections)


async def document_of(config: Mapping[str, Any] = WHOLE_CONTRACT) -> dict[str, Any]:
    """Return the answer to `rpc.discover` of an agent with these sections, which runs only meanwhile."""
    async with running_agent(config=config, settled=False) as agent, agent.client(None) as client:
        document: dict[str, Any] = await client.call("rpc.discover")
        return document
