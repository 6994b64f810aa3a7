"""Process of an agent: configuration, signals and exit code."""

import logging
import os
import signal
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio

from agent_core.app.agent import Agent
from agent_core.app.machine import freeze_start_up_objects, keep_files_private, keep_memory_compact
from agent_core.app.reaper import reap_orphans
from agent_core.app.reload import Reloads
from agent_core.base import logging as agent_logging
from agent_core.base.clock import SystemClock
from agent_core.base.containment import ContainedLoop
from agent_core.base.descriptors import raise_descriptor_limit
from agent_core.base.errors import AgentError
from agent_core.base.systemd import notify_systemd
from agent_core.base.tasks import OnStarted
from agent_core.config import AgentConfig, ConfigSource, load_config
from agent_core.plugin_host.watchdog.timer import Watchdog, effective_timeout_s

__all__ = ("main",)

_log = logging.getLogger("camera_agent.app")


async def _run_with_signals(config: AgentConfig, source: ConfigSource, files: Sequence[Path]) -> None:
    """Run the agent. SIGTERM and SIGINT end it, SIGHUP reloads the configuration, SIGTSTP stops the process.

    All of them work while the agent starts, too: a start may be slow, or wait for a part that hangs. SIGHUP is
    received until the very end, where it does nothing: by default it would kill the agent before it has stopped.
    """
    clock = SystemClock()
    watchdog = Watchdog(effective_timeout_s(config.health.watchdog_s, os.environ), clock=clock)
    agent = Agent(
        config, files=files, read=source.read, clock=clock, watchdog=watchdog, notify=notify_systemd
    )
    with anyio.open_signal_receiver(signal.SIGHUP) as hangups, _unblocked(signal.SIGHUP):
        async with anyio.create_task_group() as tg:
            tg.start_soon(_reload_at_each, hangups, agent.reloads)
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGTSTP) as signals:
                # The receiver handles SIGINT too, but only while the event loop runs; the watchdog also acts when it hangs.
                signal.signal(signal.SIGINT, watchdog.interrupted)
                if os.getpid() == 1:
                    tg.start_soon(reap_orphans, clock)
                tg.start_soon(partial(agent.run, task_status=OnStarted(_started)))
                await _until_told_to_end(signals, watchdog)
                tg.cancel_scope.cancel()


@contextmanager
def _unblocked(number: signal.Signals) -> Iterator[None]:
    """Receive a blocked signal while the context is open."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def _started() -> None:
    freeze_start_up_objects()
    notify_systemd("READY=1")


async def _reload_at_each(hangups: AsyncIterator[signal.Signals], reloads: Reloads) -> None:
    async for _ in hangups:
        reloads.request()


async def _until_told_to_end(signals: AsyncIterator[signal.Signals], watchdog: Watchdog) -> None:
    """Obey signals; return after one that ends the agent."""
    async for number in signals:
        if number == signal.SIGTSTP:
            watchdog.stopped_by_user()
        else:
            _log.info("ending on %s", signal.Signals(number).name)
            notify_systemd("STOPPING=1")
            return


def main(files: Iterable[Path]) -> int:
    """Run the agent in this process until a signal ends it; return the exit code.

    Raises:
        ConfigError: the configuration cannot be used.
        AgentError: the agent cannot start.
    """
    # Until the agent receives it: a change of the files while it starts is not missed, and does not kill it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    files = tuple(files)
    config = load_config(files, os.environ)
    source = ConfigSource(files[0] if files else None, os.environ)
    agent_logging.configure(config.logging.level, config.logging.format)
    keep_files_private()
    keep_memory_compact()
    raise_descriptor_limit()
    try:
        anyio.run(
            _run_with_signals,
            config,
            source,
            files,
            backend_options={"loop_factory": ContainedLoop},
        )
    except BaseExceptionGroup as group:
        # Not `except*`: before Python 3.11.4 (Debian 12 has 3.11.2) it wraps an error raised in its body in a group.
        ours, others = group.split(AgentError)
        if ours is None or others is not None:
            raise
        raise _first(ours) from None
    return 0


def _first(group: BaseExceptionGroup[AgentError]) -> AgentError:
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    assert isinstance(inner, AgentError)  # noqa: S101 - `split` has selected this type
    return inner
