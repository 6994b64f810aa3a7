"""File format of a recorder."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from embedded_server.media.samples import Sample

__all__ = ("Container",)


class Container(ABC):
    """File under construction: a header, then parts. Times of samples count from the start of the recording."""

    @abstractmethod
    def header(self, sample: Sample) -> bytes:
        """Return the header; `sample` is the first one, and its time becomes the zero of the file.

        Raises:
            BitstreamError: the parameter sets of `sample` are invalid.
        """

    @abstractmethod
    def part(self, samples: Sequence[Sample]) -> bytes:
        """Return samples as a part; the file is playable after each part."""

    @abstractmethod
    def correction(self, duration_s: float) -> tuple[int, bytes] | None:
        """Return an offset into the header and the bytes to write there when the file is complete; None for no change."""
