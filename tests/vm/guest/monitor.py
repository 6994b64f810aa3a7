"""Monitors of udev's events and of a stream's buffers by programs without our code."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream
from anyio.streams.buffered import BufferedByteReceiveStream

__all__ = ("Buffer", "Lines", "NextBuffer", "streaming", "udev_events", "until_ended")

EVENT_LIMIT_S = 60
LONGEST_LINE_BYTES = 4096
#: A buffer in the output of v4l2-ctl --verbose.
BUFFER = re.compile(r"dqbuf: +\d+ seq: +(\d+) bytesused: +(\d+) ts: \S+ .*\((.*)\)")


@dataclass(frozen=True, slots=True)
class Buffer:
    """Buffer that the kernel returned to a streaming program."""

    sequence: int
    size_bytes: int
    flagged: bool


NextBuffer = Callable[[], Awaitable[Buffer]]


async def until_ended(next_buffer: NextBuffer) -> None:
    """Take buffers until the stream ends."""
    with suppress(EOFError):
        while True:
            await next_buffer()


@asynccontextmanager
async def udev_events() -> AsyncIterator[Callable[[], Awaitable[tuple[str, str]]]]:
    """Yield a function that waits for the next event of a V4L2 node: ("add", "video0")."""
    argv = ["stdbuf", "--output=L", "udevadm", "monitor", "--udev", "--subsystem-match=video4linux"]
    async with await anyio.open_process(argv) as process:
        lines = Lines(process.stdout)

        async def line_with(start: str) -> str:
            with anyio.fail_after(EVENT_LIMIT_S):
                while not (line := await lines.next()).startswith(start):
                    pass
            return line

        async def next_event() -> tuple[str, str]:
            _, action, path, _ = (await line_with("UDEV  [")).partition("[")[2].split()
            return action, path.rsplit("/", 1)[-1]

        # udevadm prints its second header line once it listens.
        await line_with("UDEV - ")
        try:
            yield next_event
        finally:
            process.terminate()


@asynccontextmanager
async def streaming(node: Path, *options: str) -> AsyncIterator[NextBuffer]:
    """Stream with v4l2-ctl for the duration of the `async with`; yield a function that waits for the next buffer.

    The function raises EOFError once the stream has ended. Cancelling it loses no buffer.
    """
    argv = ["v4l2-ctl", "-d", str(node), *options, "--stream-mmap", "--verbose"]
    async with await anyio.open_process(argv, stdout=-3) as process:
        lines = Lines(process.stderr)

        async def next_buffer() -> Buffer:
            while True:
                found = BUFFER.search(await lines.next())
                if found:
                    sequence, size_bytes, flags = found.groups()
                    return Buffer(int(sequence), int(size_bytes), "error" in flags)

        try:
            yield next_buffer
        finally:
            if process.returncode is None:
                process.kill()


class Lines:
    """Output of a program, line by line; cancelling a wait loses nothing."""

    def __init__(self, stream: ByteReceiveStream | None) -> None:
        assert stream is not None
        self._received = BufferedByteReceiveStream(stream)

    async def next(self) -> str:
        """Return the next line; raise EOFError at the end."""
        try:
            return (await self._received.receive_until(b"\n", LONGEST_LINE_BYTES)).decode()
        except (anyio.IncompleteRead, anyio.EndOfStream) as error:
            raise EOFError from error
