"""One run of the worker process: its pipes, and the watchdog that ends it when it hangs or needs too much memory."""

import logging
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import Tail, child
from rtsp_tier.messages import TO_PLUGIN, Decoder, Message, MessageError, Ping, Pong, ToPlugin, encode

__all__ = ("WorkerFailed", "WorkerLimits", "WorkerRun")

_log = logging.getLogger("camera_agent.rtsp_tier")

#: Messages that may wait for the worker to read them. Pipes hold some hundred more.
_QUEUED_MESSAGES = 1024
#: Wait for the exit status of a worker that has closed its output.
_STATUS_WAIT_S = 1.0


class WorkerFailed(Exception):
    """The worker ended by itself or had to be ended. The message is a sentence without addresses."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Limits of a worker process.

    Attributes:
        start_s: limit of its first answer: the interpreter starts and loads the decoder's libraries, slowly on a busy
            device.
        silence_s: wait for any other answer after which it hangs.
        check_s: time between two checks of its answers, its memory and the need for it.
        memory_bytes: resident memory beyond which it is replaced.
        idle_s: time without requests and readers after which it ends.
    """

    start_s: float
    silence_s: float
    check_s: float
    memory_bytes: int
    idle_s: float


class WorkerRun:
    """One worker process, from its start to its end.

    Args:
        argv: the command; credentials must not be in it, because every user of the host can read it.
        limits: limits of the process.
        receive: called with each message of the worker but `Pong`. It must not wait.
        is_unneeded: called at each check; the worker ends if it returns True. Gets the resident memory in bytes.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        limits: WorkerLimits,
        receive: Callable[[ToPlugin], None],
        is_unneeded: Callable[[int], bool],
    ) -> None:
        self._argv = argv
        self._limits = limits
        self._receive = receive
        self._is_unneeded = is_unneeded
        self._outgoing, self._queue = anyio.create_memory_object_stream[bytes](_QUEUED_MESSAGES)
        self._scope = anyio.CancelScope()
        self._problem = ""
        self._pong: Pong | None = None
        self._answered = anyio.Event()
        self._said = Tail(2048)

    def send(self, message: Message) -> None:
        """Queue a message; never waits. A worker that does not read its messages is ended."""
        try:
            self._outgoing.send_nowait(encode(message))
        except anyio.WouldBlock:
            self._fail("It did not read its requests.")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._fail("It has ended.")

    async def run(self) -> None:
        """Start the worker; return when it is not needed any more. Cancellation ends it, too.

        Raises:
            WorkerFailed: it cannot start, ended by itself, hangs, needs too much memory, or sent garbage.
        """
        with self._outgoing, self._queue:
            try:
                await self._run()
            except OSError as error:
                raise WorkerFailed(f"It cannot start: {error.strerror or type(error).__name__}.") from error
        if self._problem:
            raise WorkerFailed(self._problem)

    async def _run(self) -> None:
        async with child(self._argv, stdin=subprocess.PIPE) as process:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._write, cast("ByteSendStream", process.stdin))
                    tasks.start_soon(self._read, process)
                    tasks.start_soon(self._said.follow, cast("ByteReceiveStream", process.stderr))
                    tasks.start_soon(self._watch)
        if self._problem and self._said.text:
            _log.info("the worker's last words: %s", ffmpeg.redact(self._said.text)[-500:])

    def _fail(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._scope.cancel()

    async def _write(self, stdin: ByteSendStream) -> None:
        async for message in self._queue:
            try:
                await stdin.send(message)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # it has ended or will be found to hang; `_read` and `_watch` say which

    async def _read(self, process: Process) -> None:
        decoder = Decoder(TO_PLUGIN)
        try:
            async for data in cast("ByteReceiveStream", process.stdout):
                for message in decoder.feed(data):
                    self._received(cast("ToPlugin", message))
        except MessageError as error:
            self._fail(f"It sent garbage. {error}")
            return
        with anyio.move_on_after(_STATUS_WAIT_S):
            await process.wait()
        self._fail(_ending(process.returncode))

    def _received(self, message: ToPlugin) -> None:
        if isinstance(message, Pong):
            self._pong = message
            self._answered.set()
        else:
            self._receive(message)

    async def _watch(self) -> None:
        limit_s, number = max(self._limits.start_s, self._limits.silence_s), 0
        while True:
            number += 1
            if (rss_bytes := await self._ping(number, limit_s)) is None:
                self._fail(f"It did not answer for {limit_s:g} s.")
                return
            if rss_bytes > 2 * self._limits.memory_bytes:
                self._fail(f"It needed {rss_bytes >> 20} MB of memory.")
                return
            if self._is_unneeded(rss_bytes):
                self._scope.cancel()
                return
            limit_s = self._limits.silence_s
            await anyio.sleep(self._limits.check_s)

    async def _ping(self, number: int, limit_s: float) -> int | None:
        """Return the worker's resident memory in bytes; None if it does not answer within `limit_s`."""
        self.send(Ping(number))
        with anyio.move_on_after(limit_s):
            while self._pong is None or self._pong.number != number:
                self._answered = anyio.Event()
                await self._answered.wait()
            return self._pong.rss_bytes
        return None


def _ending(returncode: int | None) -> str:
    if returncode is None:
        return "It closed its output."
    return f"Signal {-returncode} ended it." if returncode < 0 else f"It ended with status {returncode}."
