"""Readers of what the programs deliver: JPEGs, coded video, or the raw frames of `cam` in a named pipe."""

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import ByteReceiveStream

from agent_core.plugin import CaptureFailed, WorkerPool
from agent_core.plugin.processes import Tail
from libcamera_source.cam_output import FrameLine, StreamFormat, frame_line, stream_format
from libcamera_source.jpeg_stream import JpegStream
from libcamera_source.raw_frames import RAW_CODES, encode

__all__ = ("CamOutput", "CodedOutput", "JpegOutput", "OutputReader", "PictureTaker")

_READ_BYTES = 1 << 20
#: Most bytes that may wait for the line about them, above any frame.
_MOST_BYTES = 1 << 28
_LONGEST_LINE = 4096


class PictureTaker(Protocol):
    """Receiver of pictures in the order of their capture."""

    async def take(self, picture: bytes, stamp_s: float | None = None) -> None:
        """Deliver a picture, or a piece of coded video; `stamp_s` is the time (s) that the driver gave it."""
        ...

    def drop(self, reason: str) -> None:
        """Count a picture that cannot be used."""
        ...


class OutputReader(ABC):
    """Reader of one program's output, run after run."""

    def open(self) -> None:  # noqa: B027 - few need it
        """Prepare what the program needs at its start; call again before each start."""

    def close(self) -> None:  # noqa: B027 - few need it
        """Undo `open`."""

    @abstractmethod
    async def read(self, output: ByteReceiveStream, said: Tail, taker: PictureTaker) -> CaptureFailed | None:
        """Deliver pictures until `output` ends. Return the reason if what it delivers cannot be used.

        Args:
            output: the program's standard output.
            said: its standard error.
            taker: receives the pictures.
        """


class JpegOutput(OutputReader):
    """Reader of JPEGs that follow each other on standard output."""

    async def read(self, output: ByteReceiveStream, said: Tail, taker: PictureTaker) -> None:
        pictures = JpegStream()
        async for chunk in output:
            skipped = pictures.skipped
            for picture in pictures.feed(chunk):
                await taker.take(picture)
            for _ in range(pictures.skipped - skipped):
                taker.drop("damaged")


class CodedOutput(OutputReader):
    """Reader of coded video on standard output, which the broker assembles to pictures.

    The last byte of each piece is left for the next one. So no piece begins with a start code, by which the broker would
    take pieces for whole pictures.
    """

    async def read(self, output: ByteReceiveStream, said: Tail, taker: PictureTaker) -> None:
        held = b""
        async for chunk in output:
            data = held + chunk
            held = data[-1:]
            if len(data) > 1:
                await taker.take(data[:-1])


class CamOutput(OutputReader):
    """Reader of `cam`, which writes each frame to a file, here a named pipe, and then prints a line about it.

    Args:
        pipe: path of the pipe.
        quality: quality of the JPEGs that are made of raw frames.
    """

    def __init__(self, pipe: Path, quality: int) -> None:
        self._pipe = pipe
        self._quality = quality
        self._threads = WorkerPool(1)
        self._descriptor: int | None = None
        self._received = bytearray()
        self._arrived = anyio.Event()

    def open(self) -> None:
        self.close()
        os.mkfifo(self._pipe, 0o600)
        # Also for writing: otherwise it ends whenever `cam` has written a frame.
        self._descriptor = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._pipe.unlink(missing_ok=True)
        self._received.clear()

    async def read(self, output: ByteReceiveStream, said: Tail, taker: PictureTaker) -> CaptureFailed | None:
        problem: CaptureFailed | None = None
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._receive)
            async for line in _lines(output):
                frame = frame_line(line)
                if frame is not None and (problem := await self._deliver(frame, said, taker)) is not None:
                    break
            tg.cancel_scope.cancel()
        return problem

    async def _receive(self) -> None:
        """Keep what comes through the pipe, until cancelled."""
        descriptor = self._descriptor
        assert descriptor is not None  # noqa: S101 - the producer opens it before the program starts
        while True:
            await anyio.wait_readable(descriptor)
            with suppress(BlockingIOError):
                self._received += os.read(descriptor, _READ_BYTES)
            if len(self._received) > _MOST_BYTES:
                self._received.clear()
            self._arrived.set()
            self._arrived = anyio.Event()

    async def _deliver(self, frame: FrameLine, said: Tail, taker: PictureTaker) -> CaptureFailed | None:
        while len(self._received) < frame.size_bytes:
            await self._arrived.wait()
        data = bytes(self._received[: frame.size_bytes])
        del self._received[: frame.size_bytes]
        stream = stream_format(said.text)
        if not data:
            taker.drop("empty")
        elif stream is None or stream.code == "MJPEG":
            await taker.take(data, frame.stamp_s)
        elif stream.code not in RAW_CODES:
            return _unusable(stream)
        elif (picture := await self._threads.run(encode, data, frame, stream, self._quality)) is None:
            taker.drop("short")
        else:
            await taker.take(picture, frame.stamp_s)
        return None


def _unusable(stream: StreamFormat) -> CaptureFailed:
    return CaptureFailed(
        f"The camera delivers {stream.code}, of which no picture is made here.",
        reason="no_usable_format",
        suggestion="Install GStreamer's libcamerasrc, which converts it.",
    )


async def _lines(output: ByteReceiveStream) -> AsyncIterator[str]:
    rest = b""
    async for chunk in output:
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-_LONGEST_LINE:]
        for line in lines:
            yield line.decode(errors="replace")
