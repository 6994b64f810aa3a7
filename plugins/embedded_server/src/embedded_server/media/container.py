"""File format of a recorder."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from embedded_server.media.codecs import Codec
from embedded_server.media.samples import Sample

__all__ = ("Container",)


class Container(ABC):
    """File under construction: a header, then parts. Times of samples count from the start of the recording.

    Args:
        tracks: the codecs by the index of the track in the stream; the first one is the track that the others follow.
    """

    #: Names of the codecs that the format can hold.
    holds: ClassVar[frozenset[str]]

    def __init__(self, tracks: Mapping[int, Codec]) -> None:
        self._tracks = tracks
        self._leading = next(iter(tracks))
        self._zero_s = 0.0

    def _start(self, sample: Sample) -> None:
        """Make the decoding time of the sample the zero of the file."""
        self._zero_s = sample.dts / self._tracks[sample.track].clock_rate_hz

    def _ticks(self, sample: Sample) -> int:
        """Return the decoding time in the file, in units of the track's clock."""
        return max(0, sample.dts - round(self._zero_s * self._tracks[sample.track].clock_rate_hz))

    @abstractmethod
    def header(self, sample: Sample) -> bytes:
        """Return the header; `sample` is the first one of the leading track, and its time becomes the zero of the file.

        Raises:
            BitstreamError: the parameter sets of `sample` are invalid.
        """

    @abstractmethod
    def part(self, samples: Sequence[Sample]) -> bytes:
        """Return samples as a part; the file is playable after each part."""

    @abstractmethod
    def correction(self, duration_s: float) -> tuple[int, bytes] | None:
        """Return an offset into the header and the bytes to write there when the file is complete; None for no change."""
