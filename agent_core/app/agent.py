"""The agent's life: start the parts in order, run them, end them in order."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint

from agent_core import __version__
from agent_core.app.folders import RuntimeFolder, claimed_folders
from agent_core.app.machine import Announcement
from agent_core.app.reload import Reloads
from agent_core.app.wiring import AgentParts, build_agent
from agent_core.base.clock import Clock, SystemClock
from agent_core.base.models import PluginEvent
from agent_core.base.tasks import ShieldedTasks
from agent_core.base.tenancy import Tenancy
from agent_core.config import AgentConfig, LoadedConfig
from agent_core.health import SystemEvent
from agent_core.plugin_host.manager import EntryPointFinder, installed
from agent_core.plugin_host.models import NORMAL_START, PluginState, StartMode
from agent_core.plugin_host.watchdog.quarantine import TIMES
from agent_core.plugin_host.watchdog.records import Review, host_times, keep, review, stack_file
from agent_core.plugin_host.watchdog.timer import Watchdog
from agent_core.recordings.removals import end_recordings_of_removed

__all__ = ("Agent", "Running")

_log = logging.getLogger("camera_agent.app")

#: Turns of the event loop that sessions get to write their last events to their sockets.
SHUTDOWN_TURNS = 10


@dataclass(frozen=True, slots=True)
class Running:
    """A running agent: the address it listens on, and its parts for tests."""

    url: str
    parts: AgentParts


class Agent:
    """The whole agent. All its work happens inside `run`; nothing runs before or after it."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        files: Sequence[Path] = (),
        read: Callable[[], LoadedConfig] | None = None,
        clock: Clock | None = None,
        find: EntryPointFinder = installed,
        watchdog: Watchdog | None = None,
        mode: StartMode = NORMAL_START,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep the arguments; nothing runs yet.

        Args:
            config: the agent's configuration.
            files: the files that `config` was read from; `doctor` compares them with those that it reads.
            read: reads the configuration again for a reload; blocks. Default: it stays `config`.
            clock: default: the system's clock.
            find: finds a plugin's class by name.
            watchdog: ends the process when the event loop stands still; default: none.
            mode: safe mode, and the problems of installed plugins.
            notify: tells the service manager of reloads.
        """
        #: Reloads of the configuration; `request` may be called at any time.
        self.reloads = Reloads(config, read or (lambda: LoadedConfig(config, tuple(files))), notify=notify)
        self._config = config
        self._files = files
        self._clock = clock or SystemClock()
        self._find = find
        self._watchdog = watchdog
        self._mode = mode

    async def run(self, *, task_status: TaskStatus[Running] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; report `started`, with the address, once the agent listens.

        Raises:
            StartFailed, ConfigError, PluginError, StorageFailed: the agent cannot start.
        """
        storage = self._config.storage
        with (
            claimed_folders(storage) as folder,
            Tenancy(storage.recordings, name="recordings", setting="storage.recordings_dir") as tenancy,
        ):
            found = _last_run(self._config)
            with self._guarded(found):
                parts = build_agent(
                    self._config,
                    clock=self._clock,
                    find=self._find,
                    reloads=self.reloads,
                    held=found.held(),
                    require_state=folder.require_state,
                    tenancy=tenancy,
                    mode=self._mode,
                )
                await parts.snapshots.store.prepare()
                await self._serve(parts, folder, task_status)

    @contextmanager
    def _guarded(self, found: Review) -> Iterator[None]:
        """Arm the watchdog, if there is one. This overwrites the stacks of the last run: `found` must be read before."""
        if self._watchdog is None:
            yield
            return
        with stack_file(self._config) as fd, self._watchdog.armed(fd, found.plugins):
            yield

    async def _serve(
        self, parts: AgentParts, folder: RuntimeFolder, task_status: TaskStatus[Running]
    ) -> None:
        """Run all parts until cancelled.

        Recordings end first, while clients can still be told; then the server, while the parts that it serves from
        still run.
        """
        async with anyio.create_task_group() as group:
            tasks = _AgentTasks.of(group)
            try:
                if self._watchdog is not None:
                    await tasks.watchdog.start(self._watchdog.run)
                await tasks.server.start(parts.server.run)
                url = f"{parts.server.scheme}://{_host(self._config.server.host)}:{parts.server.port}/ws"
                announcement = self._announcement(parts, url)
                with announcement:
                    await _start_services(parts, tasks)
                    _log.info("listening on %s, version %s", url, __version__)
                    task_status.started(Running(url, parts))
                    self.reloads.when_read(announcement.update)
                    await tasks.services.start(self.reloads.run)
                    await folder.keep(self._clock)
            finally:
                with anyio.CancelScope(shield=True):
                    try:
                        parts.events.publish("system.shutdown", _system_event(parts, "system.shutdown"))
                        await tasks.recordings.stop()
                        await _let_sessions_write()
                    finally:
                        await tasks.stop()

    def _announcement(self, parts: AgentParts, url: str) -> Announcement:
        return Announcement(
            self._config.storage.endpoint_file, url, self._files, local_socket=parts.server.local_socket
        )


@dataclass(frozen=True, slots=True)
class _AgentTasks:
    """The tasks of a running agent, in the order in which they end."""

    recordings: ShieldedTasks
    server: ShieldedTasks
    sessions: ShieldedTasks
    media: ShieldedTasks
    services: ShieldedTasks
    watchdog: ShieldedTasks

    @classmethod
    def of(cls, group: TaskGroup) -> "_AgentTasks":
        return cls(*(ShieldedTasks(group) for _ in fields(cls)))

    async def stop(self) -> None:
        """End the tasks in order, each kind after the one before has ended."""
        for tasks in (
            self.recordings,
            self.server,
            self.sessions,
            self.media,
            self.services,
            self.watchdog,
        ):
            await tasks.stop()


async def _start_services(parts: AgentParts, tasks: _AgentTasks) -> None:
    """Start everything behind the server."""
    await tasks.services.start(parts.credentials.run)
    await tasks.services.start(parts.supervisor.run)
    await tasks.services.start(parts.controls.run)
    await tasks.services.start(parts.monitor.run)
    await tasks.services.start(parts.snapshots.converter.run)
    await tasks.services.start(parts.feeds.run)
    await tasks.services.start(parts.index.run)
    await tasks.services.start(parts.thumbnails.run)
    # The leases run before the link connects, so that each path is created with its full configuration and later
    # comparisons with the server's copy find no difference.
    await tasks.media.start(parts.media.streams.run)
    await tasks.sessions.start(parts.media.whep.sessions.run)
    await tasks.media.start(parts.media.link.run)
    media, storage = parts.media, parts.storage
    for each in (
        media.keeper,
        media.health,
        media.disks,
        media.flusher,
        storage.retention,
        storage.storage,
    ):
        await tasks.media.start(each.run)
    await tasks.recordings.start(parts.media.recordings.run)
    await tasks.recordings.start(end_recordings_of_removed, parts.media.recordings, parts.events)
    await tasks.recordings.start(parts.media.resumption.run)
    await tasks.services.start(_announce_startup, parts)


def _last_run(config: AgentConfig) -> Review:
    """Find out how the last run ended, log it, and store the count of freezes."""
    found = review(config, host_times())
    if found.ended:
        _log.error("%s", found.ended)
    if found.freeze is not None and (count := found.quarantine.count(found.freeze)):
        _log.error("freeze %s of %s before the plugin %s is quarantined", count, TIMES, found.freeze.plugin)
    problem = keep(config, found)
    if problem is not None:
        _log.error("%s %s", problem.details, problem.suggestion)
    return found


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _announce_startup(
    parts: AgentParts, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
) -> None:
    task_status.started()
    await parts.monitor.wait_settled()
    status = parts.controller.system_status()
    _log.info("%s", status.message)
    parts.events.publish("system.startup", _system_event(parts, "system.startup"))
    for each in (await parts.controller.server_info()).plugins:
        if each.state is PluginState.QUARANTINED:
            parts.events.publish("plugin.quarantined", PluginEvent(each.name, each.details))


async def _let_sessions_write() -> None:
    """Give the sessions time to send the last events before they close."""
    for _ in range(SHUTDOWN_TURNS):
        await checkpoint()


def _system_event(parts: AgentParts, topic: str) -> SystemEvent:
    healthy = not parts.controller.system_status().problems
    return SystemEvent(topic, "HEALTHY" if healthy else "DEGRADED", parts.media.health.report.components)
