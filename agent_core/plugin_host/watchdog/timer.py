"""Timer that the event loop re-arms. It ends the process if the loop does not."""

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

#: Delay of the hard end after the signal, whose handler can say more if Python still runs.
_MARGIN_S = 1.0
#: Number of times that the loop re-arms within the time-out.
_BEATS = 3
#: Time after the first interrupt from which a second one ends a frozen agent.
_PATIENCE_S = 1.0
_STDERR_FD = 2
_EXIT_CODE = 1


def effective_timeout_s(configured_s: float, environment: Mapping[str, str]) -> float:
    """Return the configured time-out, or three quarters of systemd's if that is less (sd_watchdog_enabled(3)).

    systemd's watchdog would end the process without naming the plugin at fault.
    """
    pid, given = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    if not given.isascii() or not given.isdigit() or int(given) == 0 or pid not in ("", str(os.getpid())):
        return configured_s
    return min(configured_s, 0.75 * int(given) / 1e6)


class Watchdog:
    """Timer that writes all stacks and ends this process when the event loop has not run for `timeout_s`.

    It works even while the interpreter's lock is held, because faulthandler's own thread needs no lock. A signal
    precedes it by a moment. If Python still handles signals, as in a busy loop or a regular expression, the handler
    names the plugin on standard error; if a call into C prevents that, standard error gets the bare stack.

    Make and arm it in the main thread, which must run the event loop. A process can have only one.
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
        """Watch while the context is open.

        Args:
            fd: descriptor of an empty file for the stacks; borrowed.
            plugins: plugins whose code may be at fault.
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
        """Restart the time-out and tell systemd that the loop runs. Does nothing if not armed."""
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
        """Stop the timer, as before the process is stopped. `beat` starts it again."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()

    def stopped_by_user(self) -> None:
        """Stop the process as SIGTSTP does, with the timer paused, and resume watching when it is continued."""
        self.pause()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.beat()

    def interrupted(self, _number: int, frame: FrameType | None) -> None:
        """Handle SIGINT besides the loop's own handler: a second one ends an agent whose loop is frozen."""
        now_s = time.monotonic()
        if self._interrupted_s is None:
            self._interrupted_s = now_s
        elif now_s - self._interrupted_s > _PATIENCE_S:
            self._end(frame, "The agent was interrupted twice; its event loop stood still")

    def _write(self, record: RunRecord) -> None:
        """Replace the first line of the file if it has changed, which happens only after a suspend."""
        if record == self._written:
            return
        line = record.model_dump_json().encode() + b"\n"
        try:
            os.ftruncate(self._fd, 0)
            if os.pwrite(self._fd, line, 0) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.lseek(self._fd, len(line), os.SEEK_SET)
        except OSError as error:  # a full disk must not stop the agent; the next beat tries again
            self._not_written(error)
            return
        self._written, self._unwritable = record, ""

    def _not_written(self, error: OSError) -> None:
        """Log, once per cause, that a freeze would leave no stacks behind."""
        why = explain_os_error(error, "write watchdog.txt in the state folder")
        if why.details != self._unwritable:
            _log.warning(
                "%s Until it can be written, a plugin that freezes the agent is named on standard error only. %s",
                why.details, why.suggestion or "Check the disk of storage.state_dir.",
            )  # fmt: skip
        self._unwritable = why.details

    def _expired(self, _number: int, frame: FrameType | None) -> None:
        faulthandler.cancel_dump_traceback_later()
        faulthandler.dump_traceback(file=self._fd, all_threads=True)
        self._end(frame, f"The event loop stood still for {self.timeout_s:g} s")

    def _end(self, frame: FrameType | None, what: str) -> NoReturn:
        """Name the plugin at fault on standard error and end the process at once."""
        ident = threading.get_ident()
        current = sys._current_frames() | ({ident: frame} if frame is not None else {})  # noqa: SLF001 - its only name
        stacks = tuple(ThreadStack(each, frames_of(innermost)) for each, innermost in current.items())
        found = culprit(stacks, ident, self._plugins)
        cause = (
            f"because of the plugin '{found.plugin.name}' ({found.place})"
            if found is not None
            else f"at {place_of(stacks, ident)}"
        )
        todo = "Update the plugin or remove it from plugins.enabled; see `camera-agent plugins list`."
        text = f"camera-agent: {what} {cause}; the agent ends.\nWhat to do: {todo}\n"
        # Not through a stream: this may interrupt any code.
        os.write(_STDERR_FD, text.encode(errors="backslashreplace"))
        os._exit(_EXIT_CODE)
