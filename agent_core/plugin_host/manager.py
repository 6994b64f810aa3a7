"""Loading: stevedore selects by name, pluggy dispatches, every failure costs one plugin and is kept with its reason.

For the composition root only; plugins never see it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import pluggy
from pydantic import ValidationError

from agent_core.base.containment import contained, describe
from agent_core.base.errors import AgentError, PluginError
from agent_core.base.field_rules import Rule, first_breach, kind_of, tuple_of
from agent_core.base.models import MediaInput
from agent_core.config import PluginsConfig, explain_validation
from agent_core.plugin import spec
from agent_core.plugin.abc import (
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
from agent_core.plugin_host.models import PluginState, PluginStatus, Providers
from agent_core.plugin_host.selection import (
    ENTRY_POINT_GROUP,
    EntryPointFinder,
    check_class,
    installed,
    installed_version,
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

#: Of a snapshot tier; `snapshots.tier_budget_s` has a budget for each.
_HIGHEST_RANK = 3
_PUBLISHER: Mapping[str, Rule] = MappingProxyType(
    {
        "argv": ("a tuple of words", lambda value: bool(value) and tuple_of(str)(value)),
        "redacted": ("a text", lambda value: isinstance(value, str)),
        "reports_progress": ("a bool", lambda value: isinstance(value, bool)),
    }
)


#: Makes the `AgentContext` for the plugin of this name and these topics.
ContextMaker = Callable[[str, Sequence[str]], AgentContext]


def _construct(name: str, plugin: type[Plugin[Settings]], config: PluginsConfig) -> Plugin[Settings]:
    try:
        settings = plugin.Settings.model_validate(config.settings(name))
    except ValidationError as error:
        explained = explain_validation(error, f"plugins.{name}", plugin.Settings)
        raise PluginError(
            explained.details, reason="wrong_settings", suggestion=explained.suggestion
        ) from error
    with contained(f"The plugin '{name}'"):
        return plugin(settings)


def _typed(name: str, hook: str, kind: type[T], offered: Iterable[object] | None) -> tuple[T, ...]:
    with contained(f"The hook {hook} of the plugin '{name}'"):
        found = tuple(offered or ())
    for each in found:
        if not isinstance(each, kind):
            raise PluginError(
                f"The hook {hook} of the plugin '{name}' returned a {type(each).__name__}, not a {kind.__name__}.",
                reason="wrong_provider",
            )
    return found  # type: ignore[return-value] # checked above


def _topics(name: str, topics: object) -> tuple[str, ...]:
    if isinstance(topics, tuple | list) and all(isinstance(each, str) for each in topics):
        return tuple(topics)
    raise PluginError(
        f"The topics of the plugin '{name}' are not a tuple of texts.",
        reason="topic_refused",
        suggestion=f'Write topics = ("{name}.word",).',
    )


def _check_names(providers: Providers, others: Sequence[Providers]) -> None:
    """Raise PluginError for a provider whose name or rank cannot be used.

    Sources and components are known by their names, in the list of remembered cameras and in statuses.
    """
    for kind, hook in (("sources", "camera source"), ("components", "component")):
        taken = [each.name for other in others for each in getattr(other, kind)]
        for each in getattr(providers, kind):
            _check_name(providers.plugin, hook, each.name)
            if each.name in taken:
                raise PluginError(
                    f"The plugin '{providers.plugin}' brings a {hook} {each.name}, which exists already.",
                    reason="name_clash",
                    suggestion=f"Give it a name of its own, for example {providers.plugin}.",
                )
            taken.append(each.name)
    for tier in providers.tiers:
        _check_name(providers.plugin, "snapshot tier", tier.name)
        rank: object = tier.rank
        if not isinstance(rank, int) or isinstance(rank, bool) or not 0 <= rank <= _HIGHEST_RANK:
            raise PluginError(
                f"The snapshot tier {tier.name} of the plugin '{providers.plugin}' has the rank {rank!r}.",
                reason="wrong_rank",
                suggestion=f"Use a whole number from 0 (fastest) to {_HIGHEST_RANK}.",
            )


def _check_name(plugin: str, kind: str, name: object) -> None:
    if not (isinstance(name, str) and name.strip() and name.isprintable()):
        raise PluginError(
            f"A {kind} of the plugin '{plugin}' has the name {name!r}, which cannot be shown.",
            reason="wrong_name",
            suggestion="Use a short word.",
        )


class PluginManager:
    """The enabled plugins, loaded or with the reason why not. Owned by the composition root."""

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager(spec.MARKER)
        self._pluggy.add_hookspecs(spec)
        self._statuses: dict[str, PluginStatus] = {}
        self._broken_publishers: set[str] = set()

    @property
    def statuses(self) -> tuple[PluginStatus, ...]:
        """In the order of `plugins.enabled`."""
        return tuple(self._statuses.values())

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
    ) -> None:
        """Load what is enabled.

        Args:
            config: which plugins, and their settings.
            find: where the classes come from.
            held: quarantined plugins, each with why; they are not imported.

        Raises:
            PluginError: a plugin marked `required` cannot be loaded.
        """
        loaded: list[tuple[str, Plugin[Settings]]] = []
        for name in config.enabled:
            try:
                if name in held:
                    raise held[name]
                found, version = select(name, find)
                loaded.append((name, _construct(name, check_class(name, found), config)))
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
            error = PluginError(f"The plugin '{name}' failed: {describe(error)}.", reason="plugin_failed")
        known = self._statuses.get(name)
        version = known.version if known else installed_version(name)
        state = PluginState.QUARANTINED if error.reason == "quarantined" else PluginState.FAILED
        self._statuses[name] = PluginStatus(
            name, version, state, error.reason, error.details, error.suggestion
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
        """Ask each loaded plugin for its providers; one that raises is dropped with its reason.

        Args:
            make_context: makes what a plugin is lent.
            config: tells which plugins are required.
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
                    _check_names(providers, collected)
                check(providers)
            except Exception as error:  # noqa: BLE001 - a raising hook costs only its plugin
                self.reject(status.name, error, config)
            else:
                collected.append(providers)
        return collected

    def reject(self, name: str, error: Exception, config: PluginsConfig) -> None:
        """Take a loaded plugin out because of `error`.

        Raises:
            AgentError: the plugin is marked `required`.
        """
        self._pluggy.unregister(name=name)
        self._fail(name, error, required=config.required(name))

    def _ask(self, name: str, make_context: ContextMaker) -> Providers:
        plugin = self._pluggy.get_plugin(name)
        assert isinstance(plugin, Plugin)  # noqa: S101 - only those are registered
        topics = _topics(name, plugin.topics)
        agent = make_context(name, topics)
        return Providers(
            name,
            self._ask_one(name, "agent_camera_sources", CameraSource, agent=agent),
            self._ask_one(name, "agent_snapshot_tiers", SnapshotTier, agent=agent),
            self._ask_one(name, "agent_components", Component, agent=agent),
            self._ask_one(name, "agent_rpc_methods", RpcMethod, agent=agent),
            topics,
        )

    def _ask_one(self, name: str, hook: str, kind: type[T], **arguments: object) -> tuple[T, ...]:
        return _typed(name, hook, kind, self._answer(name, hook, **arguments))

    def _answer(self, name: str, hook: str, **arguments: object) -> Any:
        """Return what the hook of this one plugin returns, None where the plugin does not implement it."""
        others = [each for other, each in self._pluggy.list_name_plugin() if other != name]
        found = self._pluggy.subset_hook_caller(hook, others)(**arguments)
        if isinstance(found, list):  # a collecting hook: one answer per plugin
            return found[0] if found else None
        return found

    def checks(self, name: str) -> tuple[Check, ...]:
        """Return a loaded plugin's checks for `doctor`. Raises an Exception for whatever its hook raises."""
        with contained(f"The hook agent_checks of the plugin '{name}'"):
            return self._ask_one(name, "agent_checks", Check)

    def publisher(self, media_input: MediaInput) -> Publisher | None:
        """Return the first plugin's publisher for `media_input`, in the order of `plugins.enabled`.

        A plugin whose hook fails, or returns something else, has none; the log says so once.

        Raises:
            AgentError: the reason that a plugin gave, where no other plugin has a publisher.
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
            return None if answer is None else _checked_publisher(name, answer)
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


def _checked_publisher(plugin: str, value: object) -> Publisher:
    """Return `value`, which the hook `agent_publisher` of `plugin` returned.

    Raises:
        PluginError: it is not a usable `Publisher`.
    """
    breach = first_breach(value, _PUBLISHER) if isinstance(value, Publisher) else ""
    if isinstance(value, Publisher) and not breach:
        return value
    fault = f"a Publisher {breach}" if breach else f"{kind_of(value)} instead of a Publisher"
    raise PluginError(
        f"The hook agent_publisher of the plugin '{plugin}' returned {fault}.", reason="wrong_provider"
    )
