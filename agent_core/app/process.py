import logging
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import anyio

from agent_core.app.agent import Agent
from agent_core.app.machine import freeze_start_up_objects, keep_files_private, keep_memory_compact
from agent_core.base import logging as agent_logging
from agent_core.base.clock import SystemClock
from agent_core.base.containment import ContainedLoop
from agent_core.base.descriptors import raise_descriptor_limit
from agent_core.base.errors import AgentError, ConfigError
from agent_core.base.systemd import notify_systemd
from agent_core.config import AgentConfig, load_config
from agent_core.plugin_host.watchdog.timer import Watchdog, effective_timeout_s

__all__ = ("main",)

_log = logging.getLogger("camera_agent.app")


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
            freeze_start_up_objects()
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
