"""Plugins loaded for a look, without running anything of theirs but their import and construction."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_core.config import PluginsConfig
    from agent_core.plugin.manager import PluginManager, PluginStatus

__all__ = ("load_plugins", "loaded_manager", "quietly")


@contextmanager
def quietly() -> Iterator[None]:
    """Nothing of a plugin's import reaches standard output, and what the manager logs is shown by the command."""
    logger = logging.getLogger("camera_agent")
    silent = logging.NullHandler()
    logger.addHandler(silent)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logger.removeHandler(silent)


def load_plugins(config: "PluginsConfig") -> "tuple[PluginStatus, ...]":
    """What became of each enabled plugin; here none is required, so that all are looked at."""
    return loaded_manager(config).statuses


def loaded_manager(config: "PluginsConfig") -> "PluginManager":
    """The same with the plugins themselves."""
    from agent_core.config import PluginsConfig
    from agent_core.plugin.manager import PluginManager

    settings = {name: dict(config.settings(name)) for name in config.enabled}
    manager = PluginManager()
    with quietly():
        manager.load(PluginsConfig.model_validate({"enabled": config.enabled, **settings}))
    return manager
