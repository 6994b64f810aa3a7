"""Process of an agent: configuration, signals and exit code."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Self

import anyio

from agent_core.app.agent import Agent
from agent_core.app.machine import freeze_start_up_objects, keep_files_private, keep_memory_compact
from agent_core.app.reaper import reap_orphans
from agent_core.base import logging as agent_logging
from agent_core.base.clock import SystemClock
from agent_core.base.containment import ContainedLoop
from agent_core.base.descriptors import raise_descriptor_limit
from agent_core.base.errors import AgentError, ConfigError
from agent_core.base.systemd import notify_systemd
from agent_core.base.tasks import OnStarted
from agent_core.config import AgentConfig, ConfigSource, load_layers, main_file
from agent_core.plugin_host.models import StartMode
from agent_core.plugin_host.overlay.place import agents_place
from agent_core.plugin_host.overlay.wanted import find_problems
from agent_core.plugin_host.provenance import barred_in_safe_mode
from agent_core.plugin_host.watchdog.timer import Watchdog, effective_timeout_s

__all__ = ("main",)

_log = logging.getLogger("camera_agent.app")


class _Hangups:
    """Receiver of SIGHUP from before the configuration is read to the end of the process, which it never ends.

    A receiver of the event loop would leave the default action, which kills the process, before and after the loop.
    """

    def __init__(self) -> None:
        self._is_pending = False
        self._request: Callable[[], object] | None = None

    def __enter__(self) -> Self:
        signal.signal(signal.SIGHUP, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def obey(self, request: Callable[[], None]) -> None:
        """Call `request` in the running event loop at each signal from now on, and once if there was one before."""
        self._request = partial(asyncio.get_running_loop().call_soon_threadsafe, request)
        if self._is_pending:
            request()

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self._is_pending = True
        if self._request is not None:
            with suppress(RuntimeError):  # the loop is closed: the agent has ended
                self._request()


async def _run_with_signals(
    config: AgentConfig, files: Sequence[Path], mode: StartMode, hangups: _Hangups
) -> None:
    """Run the agent. SIGTERM and SIGINT end it, SIGHUP reloads the configuration, SIGTSTP stops the process.

    All of them work while the agent starts, too: a start may be slow, or wait for a part that hangs.
    """
    clock = SystemClock()
    watchdog = Watchdog(effective_timeout_s(config.health.watchdog_s, os.environ), clock=clock)
    agent = Agent(
        config,
        files=files,
        read=ConfigSource(main_file(files), os.environ).read,
        clock=clock,
        watchdog=watchdog,
        notify=notify_systemd,
        mode=mode,
    )
    hangups.obey(agent.reloads.request)
    async with anyio.create_task_group() as tg:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGTSTP) as signals:
            # The receiver handles SIGINT too, but only while the event loop runs; the watchdog also acts when it hangs.
            signal.signal(signal.SIGINT, watchdog.interrupted)
            if os.getpid() == 1:
                tg.start_soon(reap_orphans, clock)
            tg.start_soon(partial(agent.run, task_status=OnStarted(_started)))
            await _until_told_to_end(signals, watchdog)
            tg.cancel_scope.cancel()


def _started() -> None:
    freeze_start_up_objects()
    notify_systemd("READY=1")


async def _until_told_to_end(signals: AsyncIterator[signal.Signals], watchdog: Watchdog) -> None:
    """Obey signals; return after one that ends the agent."""
    async for number in signals:
        if number == signal.SIGTSTP:
            watchdog.stopped_by_user()
        else:
            _log.info("ending on %s", signal.Signals(number).name)
            notify_systemd("STOPPING=1")
            return


def _start_mode(config: AgentConfig, *, safe_mode: bool) -> StartMode:
    """Look at the installed plugins, and log what is wrong with them."""
    place = agents_place()
    if safe_mode:
        _log.warning("safe mode: only plugins that came with the agent are loaded")
        return StartMode(safe_mode=True, barred=barred_in_safe_mode(config.plugins.enabled, place))
    problems = find_problems(place)
    for each in problems:
        _log.error("%s %s", each.details, each.suggestion)
    return StartMode(problems=problems)


def main(find_files: Callable[[], Iterable[Path]], *, safe_mode: bool = False) -> int:
    """Run the agent in this process until a signal ends it; return the exit code.

    Args:
        find_files: returns the configuration files; raises ConfigError. Called again for a reload, because files come and go.
        safe_mode: load only plugins that came with the agent.

    Raises:
        ConfigError: the configuration cannot be used.
        AgentError: the agent cannot start.
    """
    files = tuple(find_files())
    with _Hangups() as hangups:
        loaded = load_layers(files, os.environ)
        config = loaded.config
        agent_logging.configure(config.logging.level, config.logging.format)
        keep_files_private()
        keep_memory_compact()
        raise_descriptor_limit()
        mode = _start_mode(config, safe_mode=safe_mode)
        try:
            anyio.run(
                _run_with_signals,
                config,
                files,
                mode,
                hangups,
                backend_options={"loop_factory": ContainedLoop},
            )
        except BaseExceptionGroup as group:
            # Not `except*`: before Python 3.11.4 (Debian 12 has 3.11.2) it wraps an error raised in its body in a group.
            ours, others = group.split(AgentError)
            if ours is None or others is not None:
                raise
            error = _first(ours)
            raise (loaded.located(error) if isinstance(error, ConfigError) else error) from None
    return 0


def _first(group: BaseExceptionGroup[AgentError]) -> AgentError:
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    assert isinstance(inner, AgentError)  # noqa: S101 - `split` has selected this type
    return inner
