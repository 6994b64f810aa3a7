"""Reader of `cam`, which writes raw frames into a named pipe."""

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

from agent_core.plugin import CaptureFailed, Clock, WorkerPool, first_of
from libcamera_source.cam_output import FormatLog, FrameLine, StreamFormat, frame_line
from libcamera_source.outputs import OutputReader, PictureTaker
from libcamera_source.raw_frames import RAW_CODES, encode

__all__ = ("CamOutput",)

_READ_BYTES = 1 << 20
#: Most bytes that may wait for the line about them, above any frame.
_MOST_BYTES = 1 << 28
_LONGEST_LINE = 4096
#: Time for the format after the first frame. `cam` tells it before that, but on another stream.
_FORMAT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """Whole frame, the line about it, and the monotonic time (s) at which that line came."""

    data: bytes
    line: FrameLine
    arrived_s: float


class _Waiting:
    """Place for the newest whole frame, in which it waits for the encoder; `end` closes it."""

    def __init__(self) -> None:
        self._frame: _Frame | None = None
        self._ended = False
        self._changed = anyio.Event()
        self.problem: CaptureFailed | None = None

    def put(self, frame: _Frame) -> bool:
        """Return whether `frame` took the place of an older one."""
        replaces = self._frame is not None
        self._frame = frame
        self._changed.set()
        return replaces

    def end(self, problem: CaptureFailed | None = None) -> None:
        self.problem = self.problem or problem
        self._ended = True
        self._changed.set()

    async def next(self) -> _Frame | None:
        """Take the frame, or wait for it; None after the last."""
        while self._frame is None and not self._ended:
            self._changed = anyio.Event()
            await self._changed.wait()
        frame, self._frame = self._frame, None
        return frame


class CamOutput(OutputReader):
    """Reader of `cam`, which writes each frame to a file, here a named pipe, and then prints a line about it.

    Frames are cut out of the pipe as they come, also while an older one is encoded, so that `cam` need not wait and each
    line stays with its frame. Only the newest waits for the encoder.

    Args:
        pipe: path of the pipe.
        quality: quality of the JPEGs that are made of raw frames.
        clock: the monotonic clock.
    """

    def __init__(self, pipe: Path, quality: int, clock: Clock) -> None:
        self._pipe = pipe
        self._quality = quality
        self._clock = clock
        self._threads = WorkerPool(1)
        self._descriptor: int | None = None
        self._received = bytearray()
        self._arrived = anyio.Event()
        self._format = FormatLog()

    def open(self) -> None:
        self.close()
        self._format = FormatLog()
        os.mkfifo(self._pipe, 0o600)
        # Also for writing: otherwise it ends whenever `cam` has written a frame.
        self._descriptor = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._pipe.unlink(missing_ok=True)
        self._received.clear()

    def hear(self, piece: bytes) -> None:
        self._format.feed(piece)

    async def read(self, output: ByteReceiveStream, taker: PictureTaker) -> CaptureFailed | None:
        waiting = _Waiting()
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._receive, waiting)
            tg.start_soon(self._cut, output, waiting, taker)
            problem = await self._encode(waiting, taker)
            tg.cancel_scope.cancel()
        return problem

    async def _receive(self, waiting: _Waiting) -> None:
        """Keep what comes through the pipe, until cancelled or too much has come without a line about it."""
        descriptor = self._descriptor
        assert descriptor is not None  # noqa: S101 - the producer opens it before the program starts
        while len(self._received) <= _MOST_BYTES:
            await anyio.wait_readable(descriptor)
            with suppress(BlockingIOError):
                self._received += os.read(descriptor, _READ_BYTES)
            self._arrived.set()
            self._arrived = anyio.Event()
        waiting.end(_untold())

    async def _cut(self, output: ByteReceiveStream, waiting: _Waiting, taker: PictureTaker) -> None:
        """Cut the frame of each line out of what was received, until the lines end."""
        async for text in _lines(output):
            line = frame_line(text)
            if line is None:
                continue
            arrived_s = self._clock.monotonic_s()
            data = await self._taken(line.size_bytes)
            if not data:
                taker.drop("empty")
            elif waiting.put(_Frame(data, line, arrived_s)):
                taker.skip("superseded")
        waiting.end()

    async def _taken(self, size_bytes: int) -> bytes:
        while len(self._received) < size_bytes:
            await self._arrived.wait()
        with memoryview(self._received) as received:
            data = bytes(received[:size_bytes])
        del self._received[:size_bytes]
        return data

    async def _encode(self, waiting: _Waiting, taker: PictureTaker) -> CaptureFailed | None:
        """Deliver frames until they end. Return the reason if they cannot be used."""
        while (frame := await waiting.next()) is not None:
            if self._format.stream is None:
                await first_of(self._format.told.wait, lambda: self._clock.sleep(_FORMAT_S))
            stream = self._format.stream
            if stream is None:
                return _no_format()
            if stream.code != "MJPEG" and stream.code not in RAW_CODES:
                return _unusable(stream)
            await self._deliver(frame, stream, taker)
        return waiting.problem

    async def _deliver(self, frame: _Frame, stream: StreamFormat, taker: PictureTaker) -> None:
        picture: bytes | None = frame.data
        if stream.code != "MJPEG":
            picture = await self._threads.run(encode, frame.data, frame.line, stream, self._quality)
        if picture is None:
            taker.drop("short")
        else:
            await taker.take(picture, frame.line.stamp_s, frame.arrived_s)


def _unusable(stream: StreamFormat) -> CaptureFailed:
    return CaptureFailed(
        f"The camera delivers {stream.code}, of which no picture is made here.",
        reason="no_usable_format",
        suggestion="Install GStreamer's libcamerasrc, which converts it.",
    )


def _no_format() -> CaptureFailed:
    return CaptureFailed(
        "cam does not tell the format of the camera's frames.",
        reason="no_usable_format",
        suggestion="Install GStreamer's libcamerasrc, which needs no such line, or the libcamera of Debian 13.",
    )


def _untold() -> CaptureFailed:
    return CaptureFailed(
        f"cam wrote more than {_MOST_BYTES >> 20} MiB without a line that tells of a frame.",
        reason="no_usable_format",
        suggestion="Use a smaller picture, or install GStreamer's libcamerasrc.",
    )


async def _lines(output: ByteReceiveStream) -> AsyncIterator[str]:
    rest = b""
    async for chunk in output:
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-_LONGEST_LINE:]
        for line in lines:
            yield line.decode(errors="replace")
