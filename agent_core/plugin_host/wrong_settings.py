"""Settings that a plugin does not accept: a fault of the configuration, not of the plugin."""

from collections.abc import Iterable

from agent_core.base.errors import ConfigError
from agent_core.plugin_host.models import PluginStatus

__all__ = ("refuse_wrong_settings",)


def refuse_wrong_settings(statuses: Iterable[PluginStatus]) -> None:
    """Refuse a key or a value below `[plugins.<name>]` as the same mistake in another section is refused.

    `run` and `check-config` both call this after loading the plugins, so that one accepts what the other does.

    Raises:
        ConfigError: an enabled plugin does not accept its settings.
    """
    for status in statuses:
        if status.reason == "wrong_settings":
            raise ConfigError(status.details, reason=status.reason, suggestion=status.suggestion)
