"""Conversion of access units to samples with decoding times, durations and parameter sets."""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from embedded_server.media import h264
from embedded_server.media.depacketize import AccessUnit, nalu_type

__all__ = ("Sample", "Sampler")

#: Types of the parameter sets, and of units that no container stores (delimiters, filler), by codec.
_SETS = {"H264": (7, 8), "H265": (32, 33, 34)}
_NOISE = {"H264": (9, 12), "H265": (35, 38)}
#: A container has 16 bits for the length of a set; typical sets have about 50 bytes.
_MAX_SET_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Sample:
    """Picture for a container; times are in units of the track's clock, `sets` are the parameter sets in force."""

    dts: int
    pts: int
    duration: int
    nalus: tuple[bytes, ...]
    key: bool
    arrived: datetime
    sets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Timed:
    unit: AccessUnit
    dts: int
    sets: tuple[bytes, ...]


class Sampler:
    """Converter of access units to samples.

    RTP carries presentation times only: the n-th picture in decoding order gets the n-th smallest of them as decoding
    time. A picture is returned when the next one is known, because that determines its duration.
    """

    def __init__(self, codec: str, sets: tuple[bytes, ...], clock_rate_hz: int) -> None:
        self._codec = codec
        self._sets = sets
        self._reorder_frames = _reorder_frames(codec, sets)
        self._waiting: deque[tuple[AccessUnit, tuple[bytes, ...]]] = deque()
        self._times: list[int] = []
        self._held: _Timed | None = None
        self._last_duration = clock_rate_hz // 30

    def push(self, unit: AccessUnit) -> Iterator[Sample]:
        self._learn(unit)
        if not self._waiting and self._held is None and not unit.key:
            return
        self._waiting.append((unit, self._sets))
        heapq.heappush(self._times, unit.timestamp)
        if len(self._waiting) > self._reorder_frames:
            yield from self._release()

    def flush(self) -> Iterator[Sample]:
        """Return the pictures that still wait; the last one gets the duration of the one before."""
        while self._waiting:
            yield from self._release()
        if self._held is not None:
            yield self._sample(self._held, self._last_duration)
            self._held = None

    def _release(self) -> Iterator[Sample]:
        unit, sets = self._waiting.popleft()
        dts = heapq.heappop(self._times)
        held, self._held = self._held, None
        if held is not None:
            dts = max(dts, held.dts + 1)
            self._last_duration = dts - held.dts
            yield self._sample(held, self._last_duration)
        self._held = _Timed(unit, dts, sets)

    def _sample(self, timed: _Timed, duration: int) -> Sample:
        unit = timed.unit
        unwanted = _SETS[self._codec] + _NOISE[self._codec]
        nalus = tuple(nalu for nalu in unit.nalus if nalu_type(self._codec, nalu) not in unwanted)
        return Sample(timed.dts, unit.timestamp, duration, nalus, unit.key, unit.arrived, timed.sets)

    def _learn(self, unit: AccessUnit) -> None:
        kinds = _SETS[self._codec]
        sets = list(self._sets) or [b""] * len(kinds)
        for nalu in unit.nalus:
            if (kind := nalu_type(self._codec, nalu)) in kinds and len(nalu) <= _MAX_SET_BYTES:
                sets[kinds.index(kind)] = nalu
        if tuple(sets) != self._sets and all(sets):
            self._sets = tuple(sets)
            self._reorder_frames = _reorder_frames(self._codec, self._sets)


def _reorder_frames(codec: str, sets: tuple[bytes, ...]) -> int:
    """Return the number of reordered pictures, 0 if unknown: cameras do not reorder, and waiting would delay the file."""
    if codec != "H264" or not sets:
        return 0
    try:
        return h264.parse_sps(sets[0]).reorder_frames or 0
    except h264.BitstreamError:
        return 0
