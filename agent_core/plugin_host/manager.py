"""Loading of plugins: stevedore selects them by name, pluggy calls their hooks.

A failure affects one plugin, and its reason is kept. For the composition root only; plugins never see it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import pluggy
from pydantic import ValidationError

from agent_core.base.containment import contained, describe
from agent_core.base.errors import AgentError, ConfigError, PluginError
from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import MediaInput
from agent_core.config import PluginsConfig, explain_validation
from agent_core.plugin import spec
from agent_core.plugin.abc import (
    CameraSource,
    Component,
    Plugin,
    Publisher,
    RecordingStills,
    RpcMethod,
    Settings,
    SnapshotTier,
)
from agent_core.plugin.checks import Check
from agent_core.plugin.context import AgentContext
from agent_core.plugin.web import WebPart
from agent_core.plugin_host.models import PluginState, PluginStatus, Providers
from agent_core.plugin_host.offers import check_names, checked_publisher, checked_topics, typed
from agent_core.plugin_host.pages import check_pages
from agent_core.plugin_host.selection import (
    ENTRY_POINT_GROUP,
    EntryPointFinder,
    check_class,
    installed,
    installed_versions,
    plugin_class,
    select,
)

__all__ = (
    "ENTRY_POINT_GROUP",
    "ContextMaker",
    "EntryPointFinder",
    "PluginManager",
    "installed",
    "plugin_class",
)

_log = logging.getLogger("camera_agent.plugins")

T = TypeVar("T")

#: States of plugins that were not imported, by the reason.
_UNTRIED = MappingProxyType({"quarantined": PluginState.QUARANTINED, "safe_mode": PluginState.SKIPPED})

#: Makes the `AgentContext` of the plugin with this name and these topics.
ContextMaker = Callable[[str, Sequence[str]], AgentContext]


def _construct(name: str, plugin: type[Plugin[Settings]], config: PluginsConfig) -> Plugin[Settings]:
    try:
        settings = plugin.Settings.model_validate(config.settings(name))
    except ValidationError as error:
        explained = explain_validation(error, ("plugins", name), plugin.Settings)
        raise ConfigError(
            explained.details,
            reason="wrong_settings",
            suggestion=explained.suggestion,
            location=explained.location,
        ) from error
    with contained(f"The plugin '{name}'"):
        return plugin(settings)


class PluginManager:
    """Enabled plugins, each loaded or with the reason why not. Owned by the composition root."""

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager(spec.MARKER)
        self._pluggy.add_hookspecs(spec)
        self._statuses: dict[str, PluginStatus] = {}
        self._broken_publishers: set[str] = set()
        self._versions: dict[str, str] = {}

    @property
    def statuses(self) -> tuple[PluginStatus, ...]:
        """Statuses in the order of `plugins.enabled`."""
        return tuple(self._statuses.values())

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the enabled plugins."""
        registry.gauge(
            "camera_agent_plugin_loaded",
            "1 for an enabled plugin that is loaded, 0 for one that is not.",
            lambda: {
                (each.name, each.version): int(each.state is PluginState.LOADED)
                for each in self._statuses.values()
            },
            labels=("plugin", "version"),
        )

    def is_loaded(self, name: str) -> bool:
        """Return True if the plugin is loaded and in use."""
        status = self._statuses.get(name)
        return status is not None and status.state is PluginState.LOADED

    def load(
        self,
        config: PluginsConfig,
        find: EntryPointFinder = installed,
        *,
        held: Mapping[str, PluginError] = MappingProxyType({}),
        barred: Mapping[str, PluginError] = MappingProxyType({}),
    ) -> None:
        """Load the enabled plugins.

        Args:
            config: names and settings of the plugins.
            find: imports the classes.
            held: quarantined plugins with their errors; they are not imported.
            barred: plugins that safe mode leaves out, with their errors; not imported even if they are required.

        Raises:
            AgentError: a plugin marked `required` cannot be loaded.
        """
        loaded: list[tuple[str, Plugin[Settings]]] = []
        self._versions = installed_versions()
        for name in config.enabled:
            if name in barred:
                self._fail(name, barred[name], required=False)
                continue
            try:
                if name in held:
                    raise held[name]
                loaded.append((name, _construct(name, check_class(name, select(name, find)), config)))
                self._statuses[name] = PluginStatus(name, self._version(name), PluginState.LOADED)
            except Exception as error:  # noqa: BLE001 - foreign code; only this plugin fails
                self._fail(name, error, required=config.required(name))
        for name, plugin in reversed(loaded):  # pluggy calls the last registered first
            self._register(name, plugin, required=config.required(name))

    def _version(self, name: str) -> str:
        return self._versions.get(name, "")

    def _register(self, name: str, plugin: Plugin[Settings], *, required: bool) -> None:
        try:
            self._pluggy.register(plugin, name)
            for caller in self._pluggy.get_hookcallers(plugin) or ():
                if not caller.has_spec():
                    raise PluginError(
                        f"The plugin '{name}' implements {caller.name}, which is not a hook.",
                        reason="unknown_hook",
                    )
        except (PluginError, pluggy.PluginValidationError) as error:
            if self._pluggy.has_plugin(name):
                self._pluggy.unregister(name=name)
            self._fail(name, error, required=required)

    def _fail(self, name: str, error: Exception, *, required: bool) -> None:
        if not isinstance(error, AgentError):
            error = PluginError(f"The plugin '{name}' failed: {describe(error)}.", reason="plugin_failed")
        state = _UNTRIED.get(error.reason, PluginState.FAILED)
        self._statuses[name] = PluginStatus(
            name,
            self._version(name),
            state,
            error.reason,
            error.details,
            error.suggestion,
            error.location if isinstance(error, ConfigError) else (),
        )
        _log.error("%s %s", error.details, error.suggestion, extra={"fields": {"plugin": name}})
        if required:
            raise error

    def collect(
        self,
        make_context: ContextMaker,
        config: PluginsConfig,
        *,
        check: Callable[[Providers], None] = lambda _providers: None,
    ) -> list[Providers]:
        """Return the providers of each loaded plugin. A plugin that raises is dropped with its reason.

        Args:
            make_context: makes the context of a plugin.
            config: names the plugins that are required.
            check: raises PluginError for providers that cannot be wired.

        Raises:
            PluginError: a plugin marked `required` was dropped.
        """
        collected: list[Providers] = []
        for status in self.statuses:
            if status.state is not PluginState.LOADED:
                continue
            try:
                with contained(f"The plugin '{status.name}'"):
                    providers = self._ask(status.name, make_context)
                    check_names(providers, collected)
                    check_pages(providers, collected)
                check(providers)
            except Exception as error:  # noqa: BLE001 - foreign code; only this plugin is dropped
                self.reject(status.name, error, config)
            else:
                collected.append(providers)
        return collected

    def reject(self, name: str, error: Exception, config: PluginsConfig) -> None:
        """Drop a loaded plugin because of `error`.

        Raises:
            AgentError: the plugin is marked `required`.
        """
        self._pluggy.unregister(name=name)
        self._fail(name, error, required=config.required(name))

    def _ask(self, name: str, make_context: ContextMaker) -> Providers:
        plugin = self._pluggy.get_plugin(name)
        assert isinstance(plugin, Plugin)  # noqa: S101 - only plugins are registered
        topics = checked_topics(name, plugin.topics)
        agent = make_context(name, topics)
        return Providers(
            name,
            self._ask_one(name, "agent_camera_sources", CameraSource, agent=agent),
            self._ask_one(name, "agent_snapshot_tiers", SnapshotTier, agent=agent),
            self._ask_one(name, "agent_components", Component, agent=agent),
            self._ask_one(name, "agent_rpc_methods", RpcMethod, agent=agent),
            topics,
            self._ask_single(name, "agent_recording_stills", RecordingStills, agent=agent),
            self._ask_one(name, "agent_web_routes", WebPart, agent=agent),
        )

    def _ask_single(self, name: str, hook: str, kind: type[T], **arguments: object) -> T | None:
        """Return the one provider that a hook offers, or None."""
        offered = self._answer(name, hook, **arguments)
        return None if offered is None else typed(name, hook, kind, (offered,))[0]

    def _ask_one(self, name: str, hook: str, kind: type[T], **arguments: object) -> tuple[T, ...]:
        return typed(name, hook, kind, self._answer(name, hook, **arguments))

    def _answer(self, name: str, hook: str, **arguments: object) -> Any:
        """Call a hook of one plugin and return its result; None if the plugin does not implement it."""
        others = [each for other, each in self._pluggy.list_name_plugin() if other != name]
        found = self._pluggy.subset_hook_caller(hook, others)(**arguments)
        if isinstance(found, list):  # a collecting hook: one answer per plugin
            return found[0] if found else None
        return found

    def settings_class(self, name: str) -> type[Settings]:
        """Return the class of a loaded plugin's settings."""
        plugin = self._pluggy.get_plugin(name)
        assert isinstance(plugin, Plugin)  # noqa: S101 - only plugins are registered
        return plugin.Settings

    def reload(self, name: str, settings: Settings) -> tuple[str, ...] | None:
        """Call a loaded plugin's `agent_reload`; return its keys that need a restart, or None if it has no such hook.

        Raises an Exception if the hook raises anything.
        """
        callers = self._pluggy.get_hookcallers(self._pluggy.get_plugin(name)) or ()
        if all(each.name != "agent_reload" for each in callers):
            return None
        with contained(f"The hook agent_reload of the plugin '{name}'"):
            return self._ask_one(name, "agent_reload", str, settings=settings)

    def checks(self, name: str, *, ffmpeg_program: str | None) -> tuple[Check, ...]:
        """Return a loaded plugin's checks for `doctor`. Raises an Exception if the hook raises anything."""
        with contained(f"The hook agent_checks of the plugin '{name}'"):
            return self._ask_one(name, "agent_checks", Check, ffmpeg_program=ffmpeg_program)

    def settings_of(self, name: str) -> Settings | None:
        """Return the validated settings of a loaded plugin, as it keeps them; None if it keeps none."""
        kept = getattr(self._pluggy.get_plugin(name), "settings", None)
        return kept if isinstance(kept, Settings) else None

    def publisher(self, media_input: MediaInput) -> Publisher | None:
        """Return the first plugin's publisher for `media_input`, in the order of `plugins.enabled`.

        A plugin whose hook fails or returns anything else is skipped and logged once.

        Raises:
            AgentError: a plugin raised this error and no other plugin has a publisher.
        """
        reasons: list[AgentError] = []
        for status in self.statuses:
            if status.state is not PluginState.LOADED:
                continue
            try:
                if found := self._publisher_of(status.name, media_input):
                    return found
            except AgentError as error:
                reasons.append(error)
        if reasons:
            raise reasons[0]
        return None

    def _publisher_of(self, name: str, media_input: MediaInput) -> Publisher | None:
        try:
            with contained(f"The hook agent_publisher of the plugin '{name}'"):
                answer = self._answer(name, "agent_publisher", media_input=media_input)
            return None if answer is None else checked_publisher(name, answer)
        except PluginError as error:
            self._note_broken_publisher(name, error)
        except AgentError:
            raise
        except Exception as error:  # noqa: BLE001 - the next plugin may have one
            self._note_broken_publisher(name, error)
        return None

    def _note_broken_publisher(self, name: str, error: Exception) -> None:
        if name not in self._broken_publishers:
            self._broken_publishers.add(name)
            _log.error("the hook agent_publisher of %s failed", name, exc_info=error)
