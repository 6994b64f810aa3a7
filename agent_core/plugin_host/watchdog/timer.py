"""The timer that the event loop re-arms, and that ends the process where the loop does not."""

import errno
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.files import explain_os_error
from agent_core.base.systemd import notify_systemd
from agent_core.plugin_host.watchdog.origins import PluginOrigin
from agent_core.plugin_host.watchdog.quarantine import SuspendWatch
from agent_core.plugin_host.watchdog.records import HostTimes, RunRecord, host_times
from agent_core.plugin_host.watchdog.stacks import ThreadStack, culprit, frames_of, place_of

__all__ = ("Watchdog", "effective_timeout_s")

_log = logging.getLogger("camera_agent.watchdog")

#: The hard end comes this much later than the signal, whose handler can say more where Python still runs.
_MARGIN_S = 1.0
#: The loop re-arms so many times within the time-out.
_BEATS = 3
#: A second interrupt ends a frozen agent at once if it comes this much later than the first.
_PATIENCE_S = 1.0
_STDERR_FD = 2
_EXIT_CODE = 1


def effective_timeout_s(configured_s: float, environment: Mapping[str, str]) -> float:
    """Return when the watchdog ends the process: as configured, but before systemd's own would (sd_watchdog_enabled(3)).

    systemd's ends the process without a word about the plugin at fault.
    """
    pid, given = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    if not given.isascii() or not given.isdigit() or int(given) == 0 or pid not in ("", str(os.getpid())):
        return configured_s
    return min(configured_s, 0.75 * int(given) / 1e6)


class Watchdog:
    """Ends this process, with its stacks written down, when the event loop has not run for `timeout_s`.

    It works while the interpreter's lock is held: faulthandler's own thread needs no lock. A signal comes a moment
    before. Where Python still takes signals, as in a busy loop or a regular expression, its handler names the plugin
    on standard error; where a call into C keeps it from that, standard error has the bare stack.

    Made and armed in the main thread of the process, which must be the event loop's; the process has one at most.
    """

    def __init__(
        self, timeout_s: float, *, clock: Clock, times: Callable[[], HostTimes] = host_times
    ) -> None:
        self.timeout_s = timeout_s
        self._clock = clock
        self._times = times
        self._fd = -1
        self._plugins: tuple[PluginOrigin, ...] = ()
        self._suspends = SuspendWatch(0.0, 0.0)
        self._written: RunRecord | None = None
        self._unwritable = ""
        self._interrupted_s: float | None = None

    @contextmanager
    def armed(self, fd: int, plugins: tuple[PluginOrigin, ...]) -> Iterator[None]:
        """Watch for as long as the context is open.

        Args:
            fd: an empty file for the stacks; borrowed.
            plugins: whose code may be at fault.
        """
        now = self._times()
        self._fd, self._plugins = fd, plugins
        self._suspends = SuspendWatch(now.monotonic_s, now.boottime_s)
        before = signal.signal(signal.SIGALRM, self._expired)
        faulthandler.register(signal.SIGALRM, file=_STDERR_FD, all_threads=False, chain=True)
        try:
            self.beat()
            yield
        finally:
            self.pause()
            self._fd = -1
            faulthandler.unregister(signal.SIGALRM)
            signal.signal(signal.SIGALRM, before)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Re-arm until cancelled."""
        task_status.started()
        while True:
            self.beat()
            await self._clock.sleep(self.timeout_s / _BEATS)

    def beat(self) -> None:
        """Start the time-out anew, and tell systemd that the loop runs; does nothing while it is not armed."""
        if self._fd < 0:
            return
        now = self._times()
        resumed = self._suspends.is_fresh(now.monotonic_s, now.boottime_s)
        self._write(
            RunRecord(
                boot_id=now.boot_id,
                loop_thread=threading.get_ident(),
                timeout_s=self.timeout_s,
                offset_s=self._suspends.offset_s,
                resumed=resumed,
                plugins=self._plugins,
            )
        )
        signal.setitimer(signal.ITIMER_REAL, self.timeout_s)
        faulthandler.dump_traceback_later(self.timeout_s + _MARGIN_S, file=self._fd, exit=True)
        notify_systemd("WATCHDOG=1")

    def pause(self) -> None:
        """Let the loop stand still, as while the process is stopped; `beat` ends this."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()

    def stopped_by_user(self) -> None:
        """Stop the process as SIGTSTP does, and watch on when it is continued: meanwhile the loop cannot run."""
        self.pause()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.beat()

    def interrupted(self, _number: int, frame: FrameType | None) -> None:
        """Handle SIGINT as a Python handler beside the loop's own: the second ends an agent whose loop is frozen."""
        now_s = time.monotonic()
        if self._interrupted_s is None:
            self._interrupted_s = now_s
        elif now_s - self._interrupted_s > _PATIENCE_S:
            self._end(frame, "The agent was interrupted twice; its event loop stood still")

    def _write(self, record: RunRecord) -> None:
        """Replace the file's first line where it says something else, which it does after a suspend only."""
        if record == self._written:
            return
        line = record.model_dump_json().encode() + b"\n"
        try:
            os.ftruncate(self._fd, 0)
            if os.pwrite(self._fd, line, 0) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.lseek(self._fd, len(line), os.SEEK_SET)
        except OSError as error:  # a full disk keeps no agent from running; the next beat tries again
            self._not_written(error)
            return
        self._written, self._unwritable = record, ""

    def _not_written(self, error: OSError) -> None:
        """Log once for each cause that a freeze would leave no stacks behind."""
        why = explain_os_error(error, "write watchdog.txt in the state folder")
        if why.details != self._unwritable:
            _log.warning(
                "%s Until it can be written, a plugin that freezes the agent is named on standard error only. %s",
                why.details, why.suggestion or "Look at the disk of storage.state_dir.",
            )  # fmt: skip
        self._unwritable = why.details

    def _expired(self, _number: int, frame: FrameType | None) -> None:
        faulthandler.cancel_dump_traceback_later()
        faulthandler.dump_traceback(file=self._fd, all_threads=True)
        self._end(frame, f"The event loop stood still for {self.timeout_s:g} s")

    def _end(self, frame: FrameType | None, what: str) -> NoReturn:
        """Say on standard error which plugin is at fault, and end the process at once."""
        ident = threading.get_ident()
        current = sys._current_frames() | ({ident: frame} if frame is not None else {})  # noqa: SLF001 - its only name
        stacks = tuple(ThreadStack(each, frames_of(innermost)) for each, innermost in current.items())
        found = culprit(stacks, ident, self._plugins)
        cause = (
            f"because of the plugin '{found.plugin.name}' ({found.place})"
            if found is not None
            else f"at {place_of(stacks, ident)}"
        )
        todo = "Update the plugin or take it out of plugins.enabled; `camera-agent plugins list` says more."
        text = f"camera-agent: {what} {cause}; the agent ends.\nWhat to do: {todo}\n"
        os.write(
            _STDERR_FD, text.encode(errors="backslashreplace")
        )  # not by a stream: this interrupts anything
        os._exit(_EXIT_CODE)
