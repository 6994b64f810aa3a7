"""Methods about system.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING

from agent_core.client.typed import Invokes, InvokesInThread

if TYPE_CHECKING:
    from agent_core.client.results.system import ServerInfo, StatusForm, SystemStatusForm

__all__ = ("SyncSystemMethods", "SystemMethods")


class SystemMethods(Invokes):
    async def get_system_status(self) -> "SystemStatusForm":
        """Return the agent's progress at start and its problems."""
        from agent_core.client.results.system import SystemStatusForm

        return await self._invoke(SystemStatusForm, "get_system_status", {})

    async def get_server_info(self) -> "ServerInfo":
        """Return the version, capabilities and plugins of the agent."""
        from agent_core.client.results.system import ServerInfo

        return await self._invoke(ServerInfo, "get_server_info", {})

    async def get_status(self) -> "StatusForm":
        """Return the health of the agent and its components, from memory."""
        from agent_core.client.results.system import StatusForm

        return await self._invoke(StatusForm, "get_status", {})


class SyncSystemMethods(InvokesInThread):
    def get_system_status(self) -> "SystemStatusForm":
        """Return the agent's progress at start and its problems."""
        from agent_core.client.results.system import SystemStatusForm

        return self._invoke(SystemStatusForm, "get_system_status", {})

    def get_server_info(self) -> "ServerInfo":
        """Return the version, capabilities and plugins of the agent."""
        from agent_core.client.results.system import ServerInfo

        return self._invoke(ServerInfo, "get_server_info", {})

    def get_status(self) -> "StatusForm":
        """Return the health of the agent and its components, from memory."""
        from agent_core.client.results.system import StatusForm

        return self._invoke(StatusForm, "get_status", {})
