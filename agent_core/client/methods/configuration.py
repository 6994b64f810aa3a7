"""Methods about configuration.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING

from agent_core.client.typed import Invokes, InvokesInThread

if TYPE_CHECKING:
    from agent_core.client.results.configuration import ReloadForm

__all__ = ("ConfigurationMethods", "SyncConfigurationMethods")


class ConfigurationMethods(Invokes):
    async def reload_configuration(self) -> "ReloadForm":
        """Read the configuration again, apply what needs no restart, and return what became of each changed key."""
        from agent_core.client.results.configuration import ReloadForm

        return await self._invoke(ReloadForm, "reload_configuration", {})


class SyncConfigurationMethods(InvokesInThread):
    def reload_configuration(self) -> "ReloadForm":
        """Read the configuration again, apply what needs no restart, and return what became of each changed key."""
        from agent_core.client.results.configuration import ReloadForm

        return self._invoke(ReloadForm, "reload_configuration", {})
