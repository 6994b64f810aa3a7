"""Plugin class with its hooks."""

from agent_core.plugin import Plugin
from external_discovery.settings import ExternalDiscoverySettings

__all__ = ("ExternalDiscoveryPlugin",)


class ExternalDiscoveryPlugin(Plugin[ExternalDiscoverySettings]):
    """Plugin with a source of network cameras and the methods of the contract for external streams."""

    Settings = ExternalDiscoverySettings
    hookspec_api = ">=1.1,<2"
