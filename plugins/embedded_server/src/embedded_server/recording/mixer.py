"""Order of the samples of several tracks in a file.

Apart from `recorder`, so that the order is decided without files and tasks.
"""

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime

from embedded_server.media.samples import Sample
from embedded_server.recording.intakes import Intake

__all__ = ("Mixer",)

#: Sound is written without a picture when it is this much newer: the video may have stopped.
_MAX_AHEAD_S = 5.0
#: Samples that wait: over ten seconds of usual sound. A sender's clock that stands still must not fill the memory.
_MAX_HELD, _MAX_HELD_BYTES = 1024, 8 << 20


class Mixer:
    """Merger of samples by decoding time, so that a segment that begins with a key picture begins in all tracks.

    Args:
        intakes: by track; the first one is that of the track that the others follow.
        clock_rates_hz: by track.
    """

    def __init__(self, intakes: Mapping[int, Intake], clock_rates_hz: Mapping[int, int]) -> None:
        self._intakes = intakes
        self._clock_rates_hz = clock_rates_hz
        self._leading = next(iter(intakes))
        #: Samples of the other tracks that wait for a picture, by time; the number keeps their order.
        self._held: list[tuple[float, int, Sample]] = []
        self._held_bytes = 0
        self._count = 0

    def push(self, track: int, packet: bytes, arrived: datetime) -> Iterator[Sample]:
        """Take a packet, and return the samples to write next."""
        for sample in self._intakes[track].push(packet, arrived):
            yield from self._ordered(sample)

    def flush(self) -> Iterator[Sample]:
        """Return the samples that wait."""
        for intake in self._intakes.values():
            for sample in intake.flush():
                yield from self._ordered(sample)
        yield from self._released_before(float("inf"))

    def _ordered(self, sample: Sample) -> Iterator[Sample]:
        time_s = sample.dts / self._clock_rates_hz[sample.track]
        if sample.track == self._leading:
            yield from self._released_before(time_s)
            yield sample
            return
        heapq.heappush(self._held, (time_s, self._count, sample))
        self._held_bytes += sum(map(len, sample.units))
        self._count += 1
        yield from self._released_before(time_s - _MAX_AHEAD_S)
        while len(self._held) > _MAX_HELD or self._held_bytes > _MAX_HELD_BYTES:
            yield self._oldest()

    def _released_before(self, time_s: float) -> Iterator[Sample]:
        while self._held and self._held[0][0] < time_s:
            yield self._oldest()

    def _oldest(self) -> Sample:
        sample = heapq.heappop(self._held)[2]
        self._held_bytes -= sum(map(len, sample.units))
        return sample
