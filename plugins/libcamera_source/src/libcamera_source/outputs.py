"""Readers of what the programs deliver on standard output: JPEGs or coded video."""

from abc import ABC, abstractmethod
from typing import Protocol

from anyio.abc import ByteReceiveStream

from agent_core.plugin import CaptureFailed
from libcamera_source.jpeg_stream import JpegStream

__all__ = ("CodedOutput", "JpegOutput", "OutputReader", "PictureTaker")


class PictureTaker(Protocol):
    """Receiver of pictures in the order of their capture."""

    async def take(
        self, picture: bytes, stamp_s: float | None = None, arrived_s: float | None = None
    ) -> None:
        """Deliver a picture, or a piece of coded video.

        Args:
            picture: its bytes.
            stamp_s: the time (s) that the driver gave it, on a clock of the kernel.
            arrived_s: the monotonic time (s) of its arrival, if it has waited since.
        """
        ...

    def skip(self, reason: str) -> None:
        """Count a good picture that was not used."""
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

    def hear(self, piece: bytes) -> None:  # noqa: B027 - few need it
        """Take the next piece of what the program says on standard error."""

    @abstractmethod
    async def read(self, output: ByteReceiveStream, taker: PictureTaker) -> CaptureFailed | None:
        """Deliver pictures until `output` ends. Return the reason if what it delivers cannot be used.

        Args:
            output: the program's standard output.
            taker: receives the pictures.
        """


class JpegOutput(OutputReader):
    """Reader of JPEGs that follow each other on standard output."""

    async def read(self, output: ByteReceiveStream, taker: PictureTaker) -> None:
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

    async def read(self, output: ByteReceiveStream, taker: PictureTaker) -> None:
        held = b""
        async for chunk in output:
            data = held + chunk
            held = data[-1:]
            if len(data) > 1:
                await taker.take(data[:-1])
