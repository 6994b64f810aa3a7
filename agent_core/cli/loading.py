"""Loading of settings and plugins for inspection. Plugins are imported, constructed and queried, but not run."""

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.base.errors import ConfigError

if TYPE_CHECKING:
    from types import FrameType

    from agent_core.app.plugins import LoadedPlugins
    from agent_core.base.models import Camera
    from agent_core.config import AgentConfig
    from agent_core.plugin_host.models import PluginStatus

__all__ = ("find_files", "load_plugins", "load_settings", "loaded", "quietly")


#: Limit for the import or a hook of a plugin.
LIMIT_S = 15.0


class _NoCameras:
    """Camera directory of an agent that does not run."""

    def list(self) -> "Sequence[Camera]":
        return ()


class _NoRedirects:
    """Judge of redirects of an agent that does not run."""

    async def admit(self, path: str, url: str) -> str | None:
        return None


@contextmanager
def quietly() -> Iterator[None]:
    """Redirect a plugin's output to standard error, and suppress the manager's log: the command reports it."""
    logger = logging.getLogger("camera_agent")
    silent = logging.NullHandler()
    logger.addHandler(silent)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logger.removeHandler(silent)


@contextmanager
def _limited(config: "AgentConfig") -> "Iterator[None]":
    """Raise TimeoutError in a plugin's code that does not return within `LIMIT_S`, as the plugin's failure.

    Interrupts Python code only: a call into C that ignores signals goes on until the user ends it.
    """
    from agent_core.plugin_host.watchdog.origins import enabled_origins
    from agent_core.plugin_host.watchdog.stacks import ThreadStack, culprit, frames_of

    plugins = enabled_origins(config.plugins)

    def expired(_number: int, frame: "FrameType | None") -> None:
        found = culprit((ThreadStack(0, frames_of(frame)),), 0, plugins)
        if found is not None:
            raise TimeoutError(f"it did not return within {LIMIT_S:g} s ({found.place})")

    handler = signal.signal(signal.SIGALRM, expired)
    timer = signal.setitimer(signal.ITIMER_REAL, LIMIT_S, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def load_plugins(config: "AgentConfig") -> "tuple[PluginStatus, ...]":
    """Load all enabled plugins and return their states; treat none as required, so that each is tried."""
    return loaded(config).manager.statuses


def loaded(config: "AgentConfig") -> "LoadedPlugins":
    """Load all enabled plugins like `load_plugins`; return them with their providers."""
    from agent_core.app.foundation import Foundation
    from agent_core.app.plugins import contexts, load_plugins
    from agent_core.app.reload import Reloads
    from agent_core.base.clock import SystemClock
    from agent_core.base.events import EventBus
    from agent_core.config import PluginsConfig
    from agent_core.plugin_host.manager import installed
    from agent_core.plugin_host.watchdog.records import host_times, review
    from agent_core.rpc.lent_sessions import LentSessions
    from agent_core.streams.lent import LentStreams

    plugins = config.plugins
    settings = {name: dict(plugins.settings(name)) for name in plugins.enabled}
    unrequired = PluginsConfig.model_validate({"enabled": plugins.enabled, **settings})
    foundation = Foundation(config, EventBus(), SystemClock(), reloads=Reloads.fixed(config))
    make_context = contexts(
        foundation,
        cameras=_NoCameras(),
        redirects=_NoRedirects(),
        streams=LentStreams(),
        sessions=LentSessions(),
    )
    with quietly(), _limited(config):
        return load_plugins(
            unrequired,
            make_context,
            installed,
            held=review(config, host_times()).held(),
            spare_last_source=config.health.quarantine == "spare_last_source",
        )


def find_files(explicit: Path | None) -> tuple[Path, ...]:
    """Return the configuration files to read, in order.

    Raises:
        ConfigError: a file does not exist, or its folder cannot be read.
    """
    from agent_core.config import config_files

    try:
        return config_files(explicit)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"{error.filename} cannot be read: {said}.",
            reason="config_unreadable",
            suggestion="Run this as a user who may read the configuration, or give --url and a token.",
        ) from error


def load_settings(explicit: Path | None) -> "AgentConfig":
    """Return the configuration. Raises ConfigError."""
    from agent_core.config import load_config

    return load_config(find_files(explicit), os.environ)
