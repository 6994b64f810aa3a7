"""The enabled plugins, loaded, with the providers that their hooks return."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from agent_core.api.provided import check_provided
from agent_core.app.foundation import Foundation
from agent_core.base.errors import PluginError
from agent_core.config import PluginsConfig
from agent_core.plugin import CameraSource, Component, RecordingStills, SnapshotTier
from agent_core.plugin.context import CameraDirectory, CameraRedirects
from agent_core.plugin_host.context import PluginContext, PluginEvents
from agent_core.plugin_host.manager import ContextMaker, EntryPointFinder, PluginManager
from agent_core.plugin_host.models import Providers
from agent_core.rpc.lent_sessions import LentSessions
from agent_core.streams.lent import LentStreams

__all__ = ("LoadedPlugins", "contexts", "load_plugins")

_log = logging.getLogger("camera_agent.plugins")


@dataclass(frozen=True, slots=True)
class LoadedPlugins:
    """States of the enabled plugins, and providers of the usable ones. Every provided name is valid and unique."""

    manager: PluginManager
    providers: tuple[Providers, ...]

    @property
    def sources(self) -> tuple[CameraSource, ...]:
        return tuple(chain.from_iterable(each.sources for each in self.providers))

    @property
    def tiers(self) -> tuple[SnapshotTier, ...]:
        return tuple(chain.from_iterable(each.tiers for each in self.providers))

    @property
    def components(self) -> tuple[Component, ...]:
        return tuple(chain.from_iterable(each.components for each in self.providers))

    @property
    def stills(self) -> RecordingStills | None:
        """The first plugin's decoder of recorded files."""
        return next((each.stills for each in self.providers if each.stills is not None), None)


def contexts(
    foundation: Foundation,
    *,
    cameras: CameraDirectory,
    redirects: CameraRedirects,
    streams: LentStreams,
    sessions: LentSessions,
) -> ContextMaker:
    """Return a function that makes the context of each plugin."""
    config, volumes = foundation.config, foundation.volumes

    def make(plugin: str, topics: Sequence[str]) -> PluginContext:
        return PluginContext(
            clock=foundation.clock,
            cameras=cameras,
            redirects=redirects,
            events=PluginEvents(foundation.events, plugin, topics),
            streams=streams.to(plugin),
            sessions=sessions.to(plugin),
            runtime_dir=config.storage.runtime_dir,
            state_dir=config.storage.state_dir,
            recordings_dir=volumes.link or config.storage.recordings,
            ffmpeg=config.ffmpeg.program,
            plugins=tuple(config.plugins.enabled),
        )

    return make


def load_plugins(
    config: PluginsConfig,
    make_context: ContextMaker,
    find: EntryPointFinder,
    *,
    held: Mapping[str, PluginError] = MappingProxyType({}),
    barred: Mapping[str, PluginError] = MappingProxyType({}),
    spare_last_source: bool = True,
) -> LoadedPlugins:
    """Load the enabled plugins and call their hooks.

    Args:
        config: the enabled plugins and their settings.
        make_context: makes the context of each plugin.
        find: finds a plugin's class by name.
        held: quarantined plugins, each with the reason.
        barred: plugins that safe mode leaves out, each with the reason; never loaded.
        spare_last_source: load quarantined plugins that provide camera sources if no other plugin provides one.

    Raises:
        PluginError: a plugin marked `required` cannot be used.
    """
    found = _load(config, make_context, find, held, barred)
    if not held or not spare_last_source or any(each.sources for each in found.providers):
        return found
    everything = _load(config, make_context, find, {}, barred)
    for each in everything.providers:
        if each.plugin in held and not each.sources:
            everything.manager.reject(each.plugin, held[each.plugin], config)
    for each in everything.providers:
        if each.plugin in held and each.sources:
            _log.warning(
                "the plugin %s is loaded despite its quarantine: no other plugin provides cameras; see health.quarantine",
                each.plugin,
            )
    kept = tuple(each for each in everything.providers if everything.manager.is_loaded(each.plugin))
    return LoadedPlugins(everything.manager, kept)


def _load(
    config: PluginsConfig,
    make_context: ContextMaker,
    find: EntryPointFinder,
    held: Mapping[str, PluginError],
    barred: Mapping[str, PluginError],
) -> LoadedPlugins:
    manager = PluginManager()
    manager.load(config, find, held=held, barred=barred)
    return LoadedPlugins(manager, tuple(manager.collect(make_context, config, check=check_provided)))
