"""Child processes in groups of their own, killed with their scope and with the agent.

anyio ends a child whose scope is cancelled, but a child survives an agent that is killed by SIGKILL. Therefore every
child is started through a launcher that requests a signal on the parent's death (prctl(2), PR_SET_PDEATHSIG):
`setpriv --pdeathsig` of util-linux if installed and not forbidden, this interpreter otherwise. The kernel sends that signal when the
thread that started the child ends, and only to the child. So the thread of the event loop must last, and a program
that starts children must end them itself if it is not ended by its scope.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

from agent_core.base.descriptors import descriptor_limit, inherited_descriptor_limit

__all__ = ("Finished", "Tail", "child", "find_launcher", "handed_on", "run")

_log = logging.getLogger("camera_agent.processes")

#: Exits if the parent died before the prctl call. Sets the soft limit of descriptors unless it is 0, and restores
#: SIGPIPE and SIGXFSZ, which Python ignores and exec would pass on as ignored.
_PRCTL_LAUNCHER = (
    "import ctypes,os,resource,signal,sys\n"
    "ctypes.CDLL(None).prctl(1,int(signal.SIGKILL),0,0,0)\n"
    "if os.getppid()!=int(sys.argv[2]):os._exit(1)\n"
    "limit=int(sys.argv[1])\n"
    "if limit:resource.setrlimit(resource.RLIMIT_NOFILE,(limit,resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
    "signal.signal(signal.SIGPIPE,signal.SIG_DFL)\n"
    "signal.signal(signal.SIGXFSZ,signal.SIG_DFL)\n"
    "os.execv(sys.argv[3],sys.argv[3:])"
)

#: Prefixes of environment variables for the agent only: its settings, then those of systemd.exec(5), sd_notify(3),
#: sd_watchdog_enabled(3) and sd_listen_fds(3).
_OUR_OWN = (
    "CAMERA_AGENT_",
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "LISTEN_",
    "MEMORY_PRESSURE_",
)

#: Limit of the wait for a killed process, which ends in milliseconds unless it hangs in a driver.
_REAP_LIMIT_S = 5.0


def handed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `environment` that a child may have.

    Removed are the agent's settings, which hold passwords, and the service manager's variables for the agent.
    """
    return {name: value for name, value in environment.items() if not name.startswith(_OUR_OWN)}


def find_launcher(search_path: str | None = None) -> tuple[str, ...]:
    """Return the words to put before a command so that it dies with this process.

    They also restore the limit of file descriptors that this process was started with.

    Args:
        search_path: folders to search for `setpriv` and `prlimit`, in the form of PATH; default: PATH.
    """
    inherited = inherited_descriptor_limit()
    is_raised = descriptor_limit() != inherited
    setpriv, prlimit = (_util_linux(name, search_path) for name in ("setpriv", "prlimit"))
    if setpriv and not _works(setpriv):
        setpriv = None
    if setpriv and not is_raised:
        return (setpriv, "--pdeathsig", "KILL", "--")
    if setpriv and prlimit:
        return (prlimit, f"--nofile={inherited}:", setpriv, "--pdeathsig", "KILL", "--")
    limit = inherited if is_raised else 0
    return (sys.executable, "-ISc", _PRCTL_LAUNCHER, str(limit), str(os.getpid()))


def _util_linux(name: str, search_path: str | None) -> str | None:
    """Return the path of a util-linux program, or None; BusyBox has a `setpriv` without --pdeathsig."""
    found = shutil.which(name, path=search_path)
    return found if found and Path(found).resolve().name == name else None


def _works(setpriv: str) -> bool:
    """Try `setpriv`, which takes milliseconds; log and return False if it fails.

    It calls capset(2) even if nothing is to be set, and filters of system calls, such as a container's, may forbid that.
    """
    argv = (setpriv, "--pdeathsig", "KILL", "--", setpriv, "--version")
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    try:
        pid = os.posix_spawn(setpriv, argv, handed_on(os.environ), file_actions=quiet)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except OSError as error:
        how = f"cannot be started: {error.strerror}"
    else:
        if code == 0:
            return True
        how = f"ends with status {code}" if code > 0 else f"is ended by signal {-code}"
    _log.warning(
        "%s %s; perhaps a filter of system calls forbids capset(2). Other programs are started by Python instead, which is slower.",
        setpriv,
        how,
    )
    return False


@cache
def _default_launcher() -> tuple[str, ...]:
    return find_launcher()


@dataclass(frozen=True, slots=True)
class Finished:
    """Result of a child process. `returncode` is negative for a signal, as in `subprocess`.

    `overflowed`: it printed more than the limit and was killed; `stdout` is the beginning of its output.
    """

    returncode: int
    stdout: bytes
    stderr: str
    overflowed: bool = False


class Tail:
    """The last `limit_bytes` of a stream. Reading it to its end keeps a verbose child from blocking, in bounded memory.

    `listener` gets each piece of the stream, so that it misses nothing that `limit_bytes` cuts off.
    """

    def __init__(self, limit_bytes: int = 8192, *, listener: Callable[[bytes], object] | None = None) -> None:
        self._listener = listener
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._limit = limit_bytes

    async def follow(self, stream: ByteReceiveStream) -> None:
        async for chunk in stream:
            if self._listener is not None:
                self._listener(chunk)
            self._chunks.append(chunk)
            self._size += len(chunk)
            while self._size - len(self._chunks[0]) >= self._limit:
                self._size -= len(self._chunks.popleft())

    @property
    def text(self) -> str:
        return b"".join(self._chunks)[-self._limit :].decode(errors="replace")


def _signal_group(process: Process, number: int) -> None:
    """Signal the whole process group: the program may have children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def _end(process: Process, stop_signal: int, grace_s: float) -> None:
    if process.returncode is None and grace_s > 0:
        _signal_group(process, stop_signal)
        with anyio.move_on_after(grace_s):
            await process.wait()
    _signal_group(process, signal.SIGKILL)
    with anyio.move_on_after(_REAP_LIMIT_S) as limit:
        await process.wait()
        await process.aclose()
    if limit.cancelled_caught:
        _log.error("a killed process does not end: it hangs in the kernel")


def _program(name: str) -> str:
    """Return the absolute path of a program, because the child may start in another folder."""
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(name)
    return str(Path(found).absolute())


@asynccontextmanager
async def child(
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    stop_signal: int = signal.SIGTERM,
    grace_s: float = 0.0,
    launcher: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> AsyncIterator[Process]:
    """Run `argv` while the context is open; leaving the context ends the child and its process group.

    The context is left, also under cancellation, only after the child is reaped; a child that hangs in the kernel is
    abandoned after some seconds.

    Args:
        argv: the program and its arguments; never a shell string.
        stdin: as for `subprocess.Popen`, as are `stdout` and `stderr`.
        stdout: a pipe by default.
        stderr: a pipe by default.
        stop_signal: the signal that asks the child to end, if `grace_s` is not 0.
        grace_s: seconds between `stop_signal` and SIGKILL; with 0 the child is killed at once.
        launcher: result of `find_launcher`; default: the one for PATH.
        env: environment instead of this process's; either is filtered by `handed_on`.
        cwd: the folder that the child starts in.

    Raises:
        FileNotFoundError: the program does not exist, or is not executable.
    """
    program = _program(argv[0])
    # The program runs before `open_process` returns: a cancellation in between would leave it without an owner.
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            [*(launcher or _default_launcher()), program, *argv[1:]],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env=handed_on(os.environ if env is None else env),
            cwd=cwd,
        )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, stop_signal, grace_s)


async def run(
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    output_limit_bytes: int = 64 << 20,
    launcher: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Finished:
    """Run `argv` to its end and collect its output; cancelling kills it.

    Args:
        argv: the program and its arguments; never a shell string.
        stdin: an open descriptor that the child reads; by default nothing.
        output_limit_bytes: a child that prints more than this is killed with its group.
        launcher: as for `child`, as are `env` and `cwd`.
        env: by default this process's environment.
        cwd: by default this process's folder.

    Raises:
        FileNotFoundError: the program does not exist, or is not executable.
    """
    tail = Tail()
    output = bytearray()
    async with child(argv, stdin=stdin, launcher=launcher, env=env, cwd=cwd) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        assert process.stderr is not None  # noqa: S101
        async with anyio.create_task_group() as readers:
            readers.start_soon(tail.follow, process.stderr)
            async for chunk in process.stdout:
                output += chunk
                if len(output) > output_limit_bytes:
                    readers.cancel_scope.cancel()
        overflowed = len(output) > output_limit_bytes
        if not overflowed:
            await process.wait()
    assert process.returncode is not None or overflowed  # noqa: S101 - waited for
    returncode = -signal.SIGKILL if process.returncode is None else process.returncode
    return Finished(returncode, bytes(output), tail.text, overflowed)
