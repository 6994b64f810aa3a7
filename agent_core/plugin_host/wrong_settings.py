"""Refusal of invalid plugin settings, which are a fault of the configuration and not of the plugin."""

from collections.abc import Iterable

from agent_core.base.errors import ConfigError
from agent_core.plugin_host.models import PluginStatus

__all__ = ("refuse_wrong_settings",)


def refuse_wrong_settings(statuses: Iterable[PluginStatus]) -> None:
    """Refuse an invalid key or value in `[plugins.<name>]`, like one in any other section.

    `run` and `check-config` both call this after loading the plugins, so that they accept the same configurations.

    Raises:
        ConfigError: an enabled plugin does not accept its settings; `LoadedConfig.located` adds the file.
    """
    for status in statuses:
        if status.reason == "wrong_settings":
            raise ConfigError(
                status.details, reason=status.reason, suggestion=status.suggestion, location=status.location
            )
