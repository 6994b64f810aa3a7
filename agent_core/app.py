"""The composition root: the only place that wires, and the owner of everything that runs."""

import gc
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from agent_core import __version__
from agent_core.allocator import keep_memory_compact
from agent_core.assembly import Assembly, assemble
from agent_core.base import logging as agent_logging
from agent_core.base.clock import Clock, SystemClock
from agent_core.base.containment import ContainedLoop
from agent_core.base.descriptors import raise_descriptor_limit
from agent_core.base.errors import AgentError, ConfigError
from agent_core.base.models import PluginEvent
from agent_core.base.systemd import notify_systemd
from agent_core.config import AgentConfig, load_config
from agent_core.health.monitor import SystemEvent
from agent_core.instance import RuntimeFolder, claimed_folders
from agent_core.plugin.manager import EntryPointFinder, PluginState, installed
from agent_core.runtime import Announcement, keep_files_private
from agent_core.stages import Stage
from agent_core.watchdog.quarantine import TIMES
from agent_core.watchdog.records import Review, host_times, keep, review, stack_file
from agent_core.watchdog.timer import Watchdog, effective_timeout_s

__all__ = ("Agent", "Running", "main")

_log = logging.getLogger("camera_agent.app")

#: Turns of the event loop in which sessions hand their last event to their sockets.
SHUTDOWN_TURNS = 10


@dataclass(frozen=True, slots=True)
class Running:
    """Where the agent listens. `parts` is for tests and for the composition root itself."""

    url: str
    parts: Assembly


class Agent:
    """The whole agent. `run` is its life; nothing happens before it and nothing is left after it."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        files: Sequence[Path] = (),
        clock: Clock | None = None,
        find: EntryPointFinder = installed,
        watchdog: Watchdog | None = None,
    ) -> None:
        """`files` are where `config` was read from; `doctor` compares them with what it reads itself."""
        self._config = config
        self._files = files
        self._clock = clock or SystemClock()
        self._find = find
        self._watchdog = watchdog

    async def run(self, *, task_status: TaskStatus[Running] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started, with the address, as soon as it listens.

        Raises:
            StartFailed, PluginError, StorageFailed: it cannot start.
        """
        with claimed_folders(self._config.storage) as folder:
            found = _last_run(self._config)
            with self._guarded(found):
                parts = assemble(self._config, clock=self._clock, find=self._find, held=found.held())
                await parts.store.prepare()
                await self._serve(parts, folder, task_status)

    @contextmanager
    def _guarded(self, found: Review) -> Iterator[None]:
        """Arm the watchdog, if there is one; the stacks of the last run have been read by then."""
        if self._watchdog is None:
            yield
            return
        with stack_file(self._config) as fd, self._watchdog.armed(fd, found.plugins):
            yield

    async def _serve(self, parts: Assembly, folder: RuntimeFolder, task_status: TaskStatus[Running]) -> None:
        """The server ends first, while what it serves from is still there; then everything else."""
        async with anyio.create_task_group() as tg:
            services, media, recordings, front, guard = (Stage(tg) for _ in range(5))
            try:
                if self._watchdog is not None:
                    await guard.start(self._watchdog.run)
                await front.start(parts.server.run)
                url = f"{parts.server.scheme}://{_host(self._config.server.host)}:{parts.server.port}/ws"
                where = Announcement(
                    self._config.storage.endpoint_file,
                    url,
                    self._files,
                    local_socket=parts.server.local_socket,
                )
                with where:
                    await services.start(parts.supervisor.run)
                    await services.start(parts.monitor.run)
                    await services.start(parts.converter.run)
                    # Streams before the server: a path is made as whole as it will be compared with later.
                    await media.start(parts.media.streams.run)
                    await media.start(parts.media.link.run)
                    for each in (parts.media.keeper, parts.media.health, parts.media.cleaner):
                        await media.start(each.run)
                    await recordings.start(parts.media.recordings.run)
                    await recordings.start(parts.media.resumption.run)
                    await services.start(_announce_startup, parts)
                    _log.info("listening on %s, version %s", url, __version__)
                    task_status.started(Running(url, parts))
                    await folder.keep(self._clock)
            finally:
                with anyio.CancelScope(shield=True):
                    await _announce_shutdown(parts)
                    for stage in (front, recordings, media, services, guard):
                        await stage.end()


def _last_run(config: AgentConfig) -> Review:
    """Look at how the last run ended, log what there is to say, and keep what counts."""
    found = review(config, host_times())
    if found.ended:
        _log.error("%s", found.ended)
    if found.freeze is not None and (count := found.quarantine.count(found.freeze)):
        _log.error("%s of %s times until the plugin %s is in quarantine", count, TIMES, found.freeze.plugin)
    problem = keep(config, found)
    if problem is not None:
        _log.error("%s %s", problem.details, problem.suggestion)
    return found


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _announce_startup(parts: Assembly, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
    task_status.started()
    await parts.monitor.wait_settled()
    status = parts.controller.system_status()
    _log.info("%s", status.message)
    parts.events.publish("system.startup", _system_event(parts, "system.startup"))
    for each in parts.controller.plugins.statuses:
        if each.state is PluginState.QUARANTINED:
            parts.events.publish("plugin.quarantined", PluginEvent(each.name, each.details))


async def _announce_shutdown(parts: Assembly) -> None:
    """Publish, and let the sessions send it before they are closed."""
    parts.events.publish("system.shutdown", _system_event(parts, "system.shutdown"))
    for _ in range(SHUTDOWN_TURNS):
        await checkpoint()


def _system_event(parts: Assembly, topic: str) -> SystemEvent:
    healthy = not parts.controller.system_status().problems
    components = tuple((name, state.value) for name, state in parts.supervisor.states.items())
    return SystemEvent(topic, "HEALTHY" if healthy else "DEGRADED", components)


async def _run_with_signals(config: AgentConfig, files: Sequence[Path], reload: Callable[[], None]) -> None:
    """SIGTERM and SIGINT end the agent, SIGHUP reloads what can be reloaded, SIGTSTP stops the process."""
    clock = SystemClock()
    watchdog = Watchdog(effective_timeout_s(config.health.watchdog_s, os.environ), clock=clock)
    agent = Agent(config, files=files, clock=clock, watchdog=watchdog)
    async with anyio.create_task_group() as tg:
        with anyio.open_signal_receiver(
            signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTSTP
        ) as signals:
            # The loop is told by the same signal; this is for when it does not run.
            signal.signal(signal.SIGINT, watchdog.interrupted)
            await tg.start(agent.run)
            _settle_memory()
            notify_systemd("READY=1")
            async for number in signals:
                if number == signal.SIGHUP:
                    reload()
                    continue
                if number == signal.SIGTSTP:
                    watchdog.stopped_by_user()
                    continue
                _log.info("ending on %s", signal.Signals(number).name)
                notify_systemd("STOPPING=1")
                tg.cancel_scope.cancel()
                return


def _settle_memory() -> None:
    """Collect what start-up left behind, and keep what stays out of all later collections."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _reload(files: Sequence[Path]) -> None:
    """Only the log level is taken over at run time; the rest of the file needs a restart."""
    try:
        config = load_config(files, os.environ)
    except ConfigError as error:
        _log.error("the configuration was not reloaded: %s %s", error.details, error.suggestion)
        return
    agent_logging.set_level(config.logging.level)
    _log.info("reloaded: the log level is %s; other changes need a restart", config.logging.level)


def main(files: Iterable[Path]) -> int:
    """Run the agent in this process until a signal ends it; returns the exit code.

    Raises:
        ConfigError: the configuration cannot be used.
        AgentError: it cannot start.
    """
    files = tuple(files)
    config = load_config(files, os.environ)
    agent_logging.configure(config.logging.level, config.logging.format)
    keep_files_private()
    keep_memory_compact()
    raise_descriptor_limit()
    try:
        anyio.run(
            _run_with_signals,
            config,
            files,
            lambda: _reload(files),
            backend_options={"loop_factory": ContainedLoop},
        )
    except BaseExceptionGroup as group:
        # Not `except*`: before Python 3.11.4, which Debian 12 is, it puts what is raised in it into another group.
        ours, others = group.split(AgentError)
        if ours is None or others is not None:
            raise
        raise _first(ours) from None
    return 0


def _first(group: BaseExceptionGroup[AgentError]) -> AgentError:
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    assert isinstance(inner, AgentError)  # noqa: S101 - it was split off by this type
    return inner
