"""Settings of the loaded plugins at a reload: checked all together, then handed to each plugin."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from agent_core.base.containment import contained
from agent_core.base.errors import ConfigError
from agent_core.config import (
    LoadedConfig,
    PluginsConfig,
    changes,
    explain_validation,
    with_keys,
)
from agent_core.plugin.abc import Settings
from agent_core.plugin_host.manager import PluginManager

__all__ = ("PluginReload", "PluginSettings")

_log = logging.getLogger("camera_agent.plugins")


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """Result for one plugin: the keys that took effect, those that need a restart, and a sentence if it failed."""

    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    problem: str = ""


class PluginReload:
    """Keeps the settings that each loaded plugin has in effect.

    Args:
        manager: the plugins.
        config: the settings that they were loaded with.
    """

    def __init__(self, manager: PluginManager, config: PluginsConfig) -> None:
        self._manager = manager
        self._started = config
        self._current: dict[str, Settings] = {}

    def check(self, loaded: LoadedConfig) -> Mapping[str, Settings]:
        """Return the new settings of each loaded plugin.

        Raises:
            ConfigError: a plugin does not accept its settings.
        """
        names = [each.name for each in self._manager.statuses if self._manager.is_loaded(each.name)]
        return {name: self._checked(name, loaded) for name in names}

    def _checked(self, name: str, loaded: LoadedConfig) -> Settings:
        model = self._manager.settings_class(name)
        try:
            with contained(f"The check of the settings of the plugin '{name}'"):
                return model.model_validate(loaded.config.plugins.settings(name))
        except ValidationError as error:
            raise loaded.located(explain_validation(error, ("plugins", name), model)) from error
        except Exception as error:
            raise ConfigError(
                f"plugins.{name}: the plugin failed to check its settings ({type(error).__name__}).",
                reason="wrong_settings",
            ) from error

    def apply(self, name: str, settings: Settings) -> PluginSettings:
        """Let the plugin take over `settings`, which `check` returned. A failure of the plugin is part of the result."""
        model = self._manager.settings_class(name)
        old = self._current.setdefault(name, model.model_validate(self._started.settings(name)))
        found = tuple(changes(old, settings))
        hot = {each.key for each in found if each.is_hot}
        problem, refused = self._offer(name, with_keys(old, settings, hot), hot)
        taken = hot - refused
        self._current[name] = with_keys(old, settings, taken)
        return PluginSettings(
            tuple(f"plugins.{name}.{each.key}" for each in found if each.key in taken),
            tuple(f"plugins.{name}.{each.key}" for each in found if each.key not in taken),
            problem,
        )

    def _offer(self, name: str, settings: Settings, hot: set[str]) -> tuple[str, set[str]]:
        """Call the plugin's hook; return a sentence if it failed, and the keys that did not take effect."""
        try:
            refused = self._manager.reload(name, settings)
        except Exception as error:  # noqa: BLE001 - foreign code; the other plugins go on
            _log.error("the plugin %s failed to take over its settings", name, exc_info=error)
            return (
                f"The plugin '{name}' failed to take over its settings ({type(error).__name__}); see the agent's log.",
                hot,
            )
        return "", hot if refused is None else set(refused)
