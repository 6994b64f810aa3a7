"""Child processes that cannot outlive their owner: own process group, killed with the scope and with the agent.

anyio ends a child whose scope is cancelled, but a child survives an agent that is killed with -9. So every child is
started through a launcher that asks the kernel for a signal on the parent's death (prctl(2), PR_SET_PDEATHSIG):
`setpriv --pdeathsig` of util-linux where it is there, this interpreter otherwise.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache

import anyio
from anyio.abc import ByteReceiveStream, Process

__all__ = ("Finished", "Tail", "child", "run")

_PRCTL_LAUNCHER = (
    "import ctypes,os,signal,sys;"
    "ctypes.CDLL(None).prctl(1,signal.SIGKILL);"
    "os.execvp(sys.argv[1],sys.argv[1:])"
)


@cache
def _launcher() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if setpriv:
        return (setpriv, "--pdeathsig", "KILL", "--")
    return (sys.executable, "-Ic", _PRCTL_LAUNCHER)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a child left behind. `returncode` is negative for a signal, as in `subprocess`."""

    returncode: int
    stdout: bytes
    stderr: str


class Tail:
    """The last `limit_bytes` of a stream that is read to its end, so that a chatty child neither blocks nor grows us."""

    def __init__(self, limit_bytes: int = 8192) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._limit = limit_bytes

    async def follow(self, stream: ByteReceiveStream) -> None:
        async for chunk in stream:
            self._chunks.append(chunk)
            self._size += len(chunk)
            while self._size - len(self._chunks[0]) >= self._limit:
                self._size -= len(self._chunks.popleft())

    @property
    def text(self) -> str:
        return b"".join(self._chunks)[-self._limit :].decode(errors="replace")


def _signal_group(process: Process, number: int) -> None:
    """Reach the whole group: the launcher has become the program, and the program may have children of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def _end(process: Process, stop_signal: int, grace_s: float) -> None:
    if process.returncode is None and grace_s > 0:
        _signal_group(process, stop_signal)
        with anyio.move_on_after(grace_s):
            await process.wait()
    _signal_group(process, signal.SIGKILL)
    await process.wait()
    await process.aclose()


@asynccontextmanager
async def child(
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    stop_signal: int = signal.SIGTERM,
    grace_s: float = 0.0,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Run `argv` for as long as the context is open; leaving it, in whatever way, ends the child and its group.

    With `grace_s` the child first gets `stop_signal` and that many seconds. The context is not left before the child
    is reaped, also under cancellation. `env` replaces the environment.

    Raises:
        FileNotFoundError: the program does not exist.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise FileNotFoundError(argv[0])
    process = await anyio.open_process(
        [*_launcher(), program, *argv[1:]],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        env=env,
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, stop_signal, grace_s)


async def run(argv: Sequence[str], *, output_limit_bytes: int = 64 << 20) -> Finished:
    """Run `argv` to its end and collect its output; cancelling kills it.

    Args:
        argv: the program and its arguments; never a shell string.
        output_limit_bytes: a child that prints more than this is killed, and what it printed so far returned.
    """
    tail = Tail()
    output = bytearray()
    async with child(argv) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        assert process.stderr is not None  # noqa: S101
        async with anyio.create_task_group() as readers:
            readers.start_soon(tail.follow, process.stderr)
            async for chunk in process.stdout:
                output += chunk
                if len(output) > output_limit_bytes:
                    process.kill()
                    break
        returncode = await process.wait()
    return Finished(returncode, bytes(output), tail.text)
