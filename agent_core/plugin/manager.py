"""Loading: stevedore selects by name, pluggy dispatches, every failure costs one plugin and is kept with its reason.

For the composition root only; plugins never see it.
"""

import inspect
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import EntryPoint
from typing import Any, Protocol, TypeVar

import pluggy
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import ValidationError
from stevedore.named import NamedExtensionManager

from agent_core.config import PluginsConfig, explain_validation
from agent_core.errors import AgentError, PluginError
from agent_core.models import MediaInput
from agent_core.plugin import spec
from agent_core.plugin.abc import (
    HOOKSPEC_API,
    CameraSource,
    Component,
    Plugin,
    Publisher,
    RpcMethod,
    Settings,
    SnapshotTier,
)
from agent_core.plugin.checks import Check
from agent_core.plugin.context import AgentContext

__all__ = (
    "ENTRY_POINT_GROUP",
    "EntryPointFinder",
    "PluginManager",
    "PluginState",
    "PluginStatus",
    "Providers",
    "plugin_class",
)

ENTRY_POINT_GROUP = "camera_agent.plugins"

_log = logging.getLogger("camera_agent.plugins")

T = TypeVar("T")


class PluginState(StrEnum):
    LOADED = "LOADED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One enabled plugin; `reason`, `details` and `suggestion` say why it is not loaded, and what to do."""

    name: str
    version: str
    state: PluginState
    reason: str = ""
    details: str = ""
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Providers:
    """What one plugin offers. The core uses all of it, or none when any of its hooks failed."""

    plugin: str
    sources: tuple[CameraSource, ...] = ()
    tiers: tuple[SnapshotTier, ...] = ()
    components: tuple[Component, ...] = ()
    methods: tuple[RpcMethod[Any], ...] = ()
    topics: tuple[str, ...] = ()


class EntryPointFinder(Protocol):
    """The seam of selection: the classes that are installed under `name`, with the version of their distribution."""

    def __call__(self, name: str) -> Sequence[tuple[object, str]]: ...


def installed(name: str) -> list[tuple[object, str]]:
    """Import what is installed under `name`. Raises whatever the import raises, `SystemExit` included."""
    failures: list[BaseException] = []

    def failed(_manager: object, _entry_point: EntryPoint, error: BaseException) -> None:
        failures.append(error)

    manager: NamedExtensionManager[object] = NamedExtensionManager(
        ENTRY_POINT_GROUP,
        [name],
        on_load_failure_callback=failed,
        on_missing_entrypoints_callback=lambda _names: None,  # the caller says it better
    )
    if failures:
        raise failures[0]
    found = [(each.plugin, each.entry_point.dist) for each in manager.extensions]
    return [(plugin, dist.version if dist else "") for plugin, dist in found]


def _select(name: str, find: EntryPointFinder) -> tuple[object, str]:
    try:
        found = find(name)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"The plugin '{name}' failed at import: {type(error).__name__}: {error}.", reason="import_failed"
        ) from error
    if not found:
        raise PluginError(
            f"No plugin named '{name}' is installed.",
            reason="not_installed",
            suggestion=f"Install the package camera-agent-{name.replace('_', '-')}, or take the name out.",
        )
    if len(found) > 1:
        raise PluginError(
            f"{len(found)} installed packages offer a plugin named '{name}'.",
            reason="name_clash",
            suggestion="Uninstall all but one of them.",
        )
    return found[0]


def _check_class(name: str, plugin: object) -> type[Plugin[Settings]]:
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise PluginError(f"The entry point '{name}' is not a subclass of Plugin.", reason="not_a_plugin")
    try:
        compatible = HOOKSPEC_API in SpecifierSet(plugin.hookspec_api)
    except InvalidSpecifier:
        compatible = False
    if not compatible:
        raise PluginError(
            f"The plugin '{name}' wants plugin API {plugin.hookspec_api}; this agent has {HOOKSPEC_API}.",
            reason="wrong_api_version",
            suggestion="Install a version of the plugin that fits this agent.",
        )
    for attribute, member in inspect.getmembers(plugin, callable):
        if hasattr(member, f"{spec.MARKER}_impl") and inspect.iscoroutinefunction(member):
            raise PluginError(
                f"The hook {attribute} of the plugin '{name}' is a coroutine; hooks return providers at once.",
                reason="coroutine_hook",
            )
    return plugin


def plugin_class(name: str, find: EntryPointFinder = installed) -> type[Plugin[Settings]]:
    """The class installed under `name`, for a look at its settings. Raises PluginError."""
    found, _ = _select(name, find)
    return _check_class(name, found)


def _construct(name: str, plugin: type[Plugin[Settings]], config: PluginsConfig) -> Plugin[Settings]:
    try:
        settings = plugin.Settings.model_validate(config.settings(name))
    except ValidationError as error:
        explained = explain_validation(error, f"plugins.{name}", plugin.Settings)
        raise PluginError(
            explained.details, reason="wrong_settings", suggestion=explained.suggestion
        ) from error
    return plugin(settings)


def _typed(name: str, hook: str, kind: type[T], offered: Iterable[object] | None) -> tuple[T, ...]:
    found = tuple(offered or ())
    for each in found:
        if not isinstance(each, kind):
            raise PluginError(
                f"The hook {hook} of the plugin '{name}' returned a {type(each).__name__}, not a {kind.__name__}.",
                reason="wrong_provider",
            )
    return found  # type: ignore[return-value] # checked above


class PluginManager:
    """The enabled plugins, loaded or with the reason why not. Owned by the composition root."""

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager(spec.MARKER)
        self._pluggy.add_hookspecs(spec)
        self._statuses: dict[str, PluginStatus] = {}

    @property
    def statuses(self) -> tuple[PluginStatus, ...]:
        """In the order of `plugins.enabled`."""
        return tuple(self._statuses.values())

    def is_loaded(self, name: str) -> bool:
        """Whether it is one of those that are used."""
        status = self._statuses.get(name)
        return status is not None and status.state is PluginState.LOADED

    def load(self, config: PluginsConfig, find: EntryPointFinder = installed) -> None:
        """Load what is enabled.

        Raises:
            PluginError: a plugin marked `required` cannot be loaded.
        """
        loaded: list[tuple[str, Plugin[Settings]]] = []
        for name in config.enabled:
            try:
                found, version = _select(name, find)
                loaded.append((name, _construct(name, _check_class(name, found), config)))
                self._statuses[name] = PluginStatus(name, version, PluginState.LOADED)
            except Exception as error:  # noqa: BLE001 - whatever a plugin's constructor raises costs only itself
                self._fail(name, error, required=config.required(name))
        for name, plugin in reversed(loaded):  # pluggy asks the last registered first
            self._register(name, plugin, required=config.required(name))

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
            error = PluginError(
                f"The plugin '{name}' failed: {type(error).__name__}: {error}.", reason="plugin_failed"
            )
        known = self._statuses.get(name)
        version = known.version if known else ""
        self._statuses[name] = PluginStatus(
            name, version, PluginState.FAILED, error.reason, error.details, error.suggestion
        )
        _log.error("%s %s", error.details, error.suggestion, extra={"fields": {"plugin": name}})
        if required:
            raise error

    def collect(self, agent: AgentContext, config: PluginsConfig) -> list[Providers]:
        """Ask each loaded plugin for its providers; one that raises is dropped with its reason.

        Raises:
            PluginError: that plugin is marked `required`.
        """
        collected = []
        for status in self.statuses:
            if status.state is not PluginState.LOADED:
                continue
            try:
                collected.append(self._ask(status.name, agent))
            except Exception as error:  # noqa: BLE001 - a raising hook costs only its plugin
                self.reject(status.name, error, config)
        return collected

    def reject(self, name: str, error: Exception, config: PluginsConfig) -> None:
        """Take a loaded plugin out because of `error`.

        Raises:
            AgentError: the plugin is marked `required`.
        """
        self._pluggy.unregister(name=name)
        self._fail(name, error, required=config.required(name))

    def _ask(self, name: str, agent: AgentContext) -> Providers:
        plugin = self._pluggy.get_plugin(name)
        assert isinstance(plugin, Plugin)  # noqa: S101 - only those are registered
        return Providers(
            name,
            self._ask_one(name, "agent_camera_sources", CameraSource, agent=agent),
            self._ask_one(name, "agent_snapshot_tiers", SnapshotTier, agent=agent),
            self._ask_one(name, "agent_components", Component, agent=agent),
            self._ask_one(name, "agent_rpc_methods", RpcMethod, agent=agent),
            plugin.topics,
        )

    def _ask_one(self, name: str, hook: str, kind: type[T], **arguments: object) -> tuple[T, ...]:
        others = [each for other, each in self._pluggy.list_name_plugin() if other != name]
        (offered,) = self._pluggy.subset_hook_caller(hook, others)(**arguments) or (None,)
        return _typed(name, hook, kind, offered)

    def checks(self, name: str) -> tuple[Check, ...]:
        """What a loaded plugin looks at for `doctor`. Raises whatever its hook raises."""
        return self._ask_one(name, "agent_checks", Check)

    def publisher(self, media_input: MediaInput) -> Publisher | None:
        """The first plugin's publisher for `media_input`, in the order of `plugins.enabled`."""
        publisher: Publisher | None = self._pluggy.hook.agent_publisher(media_input=media_input)
        return publisher
