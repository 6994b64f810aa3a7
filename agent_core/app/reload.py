"""Reload of the configuration: the parts take over what they can, and each other changed key is told to need a restart."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.errors import ConfigError
from agent_core.base.systemd import reload_begins, reload_ends
from agent_core.base.workers import WorkerPool
from agent_core.config import AgentConfig, LoadedConfig, PluginsConfig, changes, with_keys
from agent_core.controller import Reloaded
from agent_core.plugin.abc import Settings
from agent_core.plugin_host.reload import PluginReload

__all__ = ("Reloads", "Taken")

_log = logging.getLogger("camera_agent.app")


@dataclass(frozen=True, slots=True)
class Taken:
    """Answer of a part to other settings: keys that it cannot take over, and a sentence for the operator."""

    needs_restart: frozenset[str] = frozenset()
    note: str = ""


#: Hands the settings to one part. Called with the whole configuration; must neither wait nor fail.
Apply = Callable[[AgentConfig], Taken | None]


@dataclass(slots=True)
class _Result:
    """Result of one reload while it is made."""

    changed: list[str] = field(default_factory=list)
    needs_restart: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def frozen(self) -> Reloaded:
        return Reloaded(tuple(self.changed), tuple(self.needs_restart), tuple(self.notes), tuple(self.errors))


class Reloads:
    """Reads the configuration again on request, one request at a time, and hands the changes to the parts.

    Args:
        config: the configuration that the parts are built with.
        read: reads the configuration; blocks, and raises ConfigError.
        notify: tells the service manager a state.
    """

    def __init__(
        self,
        config: AgentConfig,
        read: Callable[[], LoadedConfig],
        *,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._current = config
        self._read = read
        self._notify = notify
        self._parts: list[tuple[str, Apply]] = []
        self._plugins: PluginReload | None = None
        self._tell_files: Callable[[Sequence[Path]], None] = lambda _: None
        self._thread = WorkerPool(1)
        self._reloading = anyio.Lock()
        self._requested = anyio.Event()
        self._serving = anyio.Event()

    @property
    def current(self) -> AgentConfig:
        """The configuration in effect, except for the tables of plugins, which are those of the start."""
        return self._current

    @classmethod
    def fixed(cls, config: AgentConfig) -> "Reloads":
        """Return one that always reads `config`, of which nothing changes."""
        return cls(config, lambda: LoadedConfig(config))

    def on_change(self, section: str, apply: Apply) -> None:
        """Call `apply` whenever a hot key of `section` has changed."""
        self._parts.append((section, apply))

    def include_plugins(self, plugins: PluginReload) -> None:
        """Hand the plugins their settings, too."""
        self._plugins = plugins

    def when_read(self, tell_files: Callable[[Sequence[Path]], None]) -> None:
        """Call `tell_files`, which may block, with the files of each configuration that was taken over."""
        self._tell_files = tell_files

    def request(self) -> None:
        """Have the configuration reloaded soon. Requests during a reload make one further reload."""
        self._requested.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve requests until cancelled, also those that came before; reloads wait until this runs."""
        self._serving.set()
        task_status.started()
        while True:
            await self._requested.wait()
            self._requested = anyio.Event()
            try:
                await self.reload()
            except ConfigError:  # it is logged
                continue
            except Exception:  # noqa: BLE001 - a fault of the reload must not end the agent, which can go on without
                _log.exception("the configuration was not reloaded")

    async def reload(self) -> Reloaded:
        """Read the configuration, apply the hot keys that have changed, and return what became of each changed key.

        Waits for the end of the agent's start and of a reload under way. A key stays in `needs_restart` of each
        further reload until the agent has restarted, or its former value is back.

        Raises:
            ConfigError: the configuration is invalid or cannot be read; nothing has changed.
        """
        await self._serving.wait()
        async with self._reloading:
            self._notify(reload_begins())
            problem = "The reload was interrupted."
            try:
                reloaded = await self._reload()
            except ConfigError as error:
                problem = f"The configuration was not reloaded: {error.details}"
                _log.error("%s %s", problem, error.suggestion)
                raise
            else:
                problem = " ".join(reloaded.errors)
                return reloaded
            finally:
                self._notify(reload_ends(problem))

    async def _reload(self) -> Reloaded:
        loaded = await self._thread.run_abandonable(self._read)
        plugins = self._plugins.check(loaded) if self._plugins is not None else {}
        result = _Result()
        self._apply_core(loaded.config, result)
        result.needs_restart += _changed_tables(self._current.plugins, loaded.config.plugins, plugins)
        self._apply_plugins(plugins, result)
        await self._thread.run_abandonable(self._tell_files, loaded.files)
        _log_result(result)
        return result.frozen()

    def _apply_core(self, wanted: AgentConfig, result: _Result) -> None:
        found = tuple(changes(self._current, wanted))
        hot = {each.key for each in found if each.is_hot}
        taken = hot - self._offer(with_keys(self._current, wanted, hot), hot, result)
        self._current = with_keys(self._current, wanted, taken)
        for each in found:
            (result.changed if each.key in taken else result.needs_restart).append(each.key)

    def _offer(self, config: AgentConfig, hot: set[str], result: _Result) -> set[str]:
        """Hand `config` to the parts; return the keys of `hot` that did not take effect."""
        refused: set[str] = set()
        for section, apply in self._parts:
            keys = {each for each in hot if each.startswith(f"{section}.")}
            if not keys:
                continue
            try:
                taken = apply(config) or Taken()
            except Exception:  # noqa: BLE001 - a fault of one part must not keep the others from theirs
                _log.exception("the settings of %s could not be applied", section)
                result.errors.append(f"The settings of {section} could not be applied; see the agent's log.")
                taken = Taken(frozenset(keys))
            refused |= taken.needs_restart & keys
            if taken.note and taken.note not in result.notes:
                result.notes.append(taken.note)
        return refused

    def _apply_plugins(self, plugins: Mapping[str, Settings], result: _Result) -> None:
        for name, settings in plugins.items():
            assert self._plugins is not None  # noqa: S101 - it has checked the settings
            told = self._plugins.apply(name, settings)
            result.changed += told.changed
            result.needs_restart += told.needs_restart
            if told.problem:
                result.errors.append(told.problem)


def _changed_tables(old: PluginsConfig, new: PluginsConfig, loaded: Mapping[str, Settings]) -> Iterator[str]:
    """Yield the changed keys of the plugins that stay enabled, which the plugins themselves do not take over."""
    for name in old.enabled:
        if name not in new.enabled:
            continue
        if old.required(name) != new.required(name):
            yield f"plugins.{name}.required"
        if name not in loaded:  # the next start tries it again
            yield from _differences(old.settings(name), new.settings(name), f"plugins.{name}.")


def _differences(old: Mapping[str, object], new: Mapping[str, object], prefix: str) -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _log_result(result: _Result) -> None:
    changed = ", ".join(result.changed) or "nothing"
    _log.info("reloaded the configuration; changed: %s", changed)
    if result.needs_restart:
        _log.warning("these changes need a restart: %s", ", ".join(result.needs_restart))
    for note in result.notes:
        _log.info("%s", note)
