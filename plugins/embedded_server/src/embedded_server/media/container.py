"""What a recorder needs of a file format."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from embedded_server.media.samples import Sample

__all__ = ("Container",)


class Container(ABC):
    """One file in the making: its bytes are the header, then the parts. Times of samples are of the whole recording."""

    @abstractmethod
    def header(self, sample: Sample) -> bytes:
        """What comes first; `sample` is the first one, whose time becomes zero.

        Raises:
            BitstreamError: its parameter sets cannot be read.
        """

    @abstractmethod
    def part(self, samples: Sequence[Sample]) -> bytes:
        """The samples as bytes that can be read up to their end."""

    @abstractmethod
    def correction(self, duration_s: float) -> tuple[int, bytes] | None:
        """An offset into the header and the bytes to put there when the file is complete."""
