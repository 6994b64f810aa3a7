"""The plugin, which contributes one component."""

from collections.abc import Sequence

from agent_core.plugin import AgentContext, Component, Plugin, hookimpl
from embedded_server.server import EmbeddedServer
from embedded_server.settings import EmbeddedServerSettings

__all__ = ("EmbeddedServerPlugin",)


class EmbeddedServerPlugin(Plugin[EmbeddedServerSettings]):
    Settings = EmbeddedServerSettings

    @hookimpl
    def agent_components(self, agent: AgentContext) -> Sequence[Component]:
        server = EmbeddedServer(
            self.settings, agent.clock, recordings=agent.recordings_dir, redirects=agent.redirects
        )
        return [server]
