"""Conversion of access units to samples with decoding times, durations and parameter sets."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from agent_core.plugin import VideoCodec
from agent_core.plugin.video import MAX_SET_BYTES, BitstreamError, h264, h265, nal
from embedded_server.media.depacketize import AccessUnit
from embedded_server.media.timeline import Timeline

__all__ = ("Placed", "Sample", "Sampler")

#: Types of units that no container stores (delimiters, filler), by codec.
_NOISE = {VideoCodec.H264: (9, 12), VideoCodec.H265: (35, 38)}
#: `max_num_reorder_frames` is at most the size of the picture buffer (ITU-T H.264, E.2.1).
_MOST_REORDERED = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """Picture or frame for a container.

    Times are in units of the track's clock. They count from the same moment in all tracks of a recording. `units` are
    the NAL units of a picture, or one frame; `sets` are the parameter sets in force.
    """

    dts: int
    pts: int
    duration: int
    units: tuple[bytes, ...]
    key: bool
    arrived: datetime
    sets: tuple[bytes, ...] = ()
    track: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """Unwrapped RTP time stamp, the time that it got, and the arrival of its packet."""

    timestamp: int
    time: int
    arrived: datetime


@dataclass(frozen=True, slots=True)
class _Picture:
    """Picture without the units that a container stores elsewhere or not at all; `time` is that of presentation."""

    time: int
    nalus: tuple[bytes, ...]
    key: bool
    arrived: datetime
    sets: tuple[bytes, ...]


class Sampler:
    """Converter of access units to samples.

    RTP carries presentation times only. If n pictures may be reordered, a picture is decoded at the presentation time
    that is n places before its own in ascending order: never later than it is shown, and known without waiting. The
    first n pictures have no such time; they are decoded one tick after another. A picture is returned when the next one
    is known, because that determines its duration.

    Parameter sets that do not tell n mean 0, because cameras do not reorder; each picture that shows the contrary adds one.

    Args:
        sets: the parameter sets known so far; each may be empty.
        track: index of the track in the stream.
        warn: is called with a sentence about times that had to be corrected.
    """

    def __init__(
        self,
        codec: VideoCodec,
        sets: tuple[bytes, ...],
        clock_rate_hz: int,
        warn: Callable[[str], None],
        *,
        track: int = 0,
    ) -> None:
        self._codec = codec
        self._track = track
        self._sets = sets or (b"",) * len(nal.SETS[codec])
        self._reorder_frames = _reorder_frames(codec, self._sets)
        self._seen_reordering = 0
        self._timeline = Timeline(clock_rate_hz, warn)
        #: The last picture; None before the first one.
        self.placed: Placed | None = None
        #: Presentation times that no picture has been decoded at.
        self._times: list[int] = []
        self._held: tuple[_Picture, int] | None = None
        self._last_duration = clock_rate_hz // 30
        self._newest = 0

    def push(self, unit: AccessUnit) -> Iterator[Sample]:
        self._learn(unit)
        if self._held is None and not unit.key:
            return
        time = self._timeline.place(unit.timestamp, unit.arrived, may_go_back=self._may_go_back(unit))
        self.placed = Placed(unit.timestamp, time, unit.arrived)
        unwanted = nal.SETS[self._codec] + _NOISE[self._codec]
        nalus = tuple(nalu for nalu in unit.nalus if nal.nalu_type(self._codec, nalu) not in unwanted)
        picture = _Picture(time, nalus, unit.key, unit.arrived, self._sets)
        dts = self._decoded_at(time)
        if self._held is not None:
            self._last_duration = dts - self._held[1]
            yield self._sample(*self._held, self._last_duration)
            self._newest = max(self._newest, time)
        else:
            self._newest = time
        self._held = (picture, dts)

    def _decoded_at(self, time: int) -> int:
        """Return the decoding time of the next picture, which is shown at `time`."""
        earliest = time if self._held is None else self._held[1] + 1
        if self._reorder_frames is None and time < earliest:
            self._seen_reordering = min(self._seen_reordering + 1, _MOST_REORDERED)
        reordered = self._seen_reordering if self._reorder_frames is None else self._reorder_frames
        heapq.heappush(self._times, time)
        found = earliest
        while len(self._times) > reordered:
            found = heapq.heappop(self._times)
        return max(found, earliest)

    def flush(self) -> Iterator[Sample]:
        """Return the last picture; it lasts until the one that is shown last has the duration of the one before."""
        if self._held is not None:
            duration = max(0, self._newest - self._held[1]) + self._last_duration
            yield self._sample(*self._held, duration)
            self._held = None

    def _sample(self, picture: _Picture, dts: int, duration: int) -> Sample:
        units, key, arrived = picture.nalus, picture.key, picture.arrived
        return Sample(dts, picture.time, duration, units, key, arrived, picture.sets, self._track)

    def _may_go_back(self, unit: AccessUnit) -> bool:
        if self._reorder_frames is None and self._codec is VideoCodec.H264:
            return any(nal.is_slice(self._codec, nalu) and h264.is_b_slice(nalu) for nalu in unit.nalus)
        return self._reorder_frames != 0

    def _learn(self, unit: AccessUnit) -> None:
        kinds = nal.SETS[self._codec]
        sets = list(self._sets)
        for nalu in unit.nalus:
            if (kind := nal.nalu_type(self._codec, nalu)) in kinds and len(nalu) <= MAX_SET_BYTES:
                sets[kinds.index(kind)] = nalu
        if tuple(sets) != self._sets:
            self._sets = tuple(sets)
            self._reorder_frames = _reorder_frames(self._codec, self._sets)


def _reorder_frames(codec: VideoCodec, sets: tuple[bytes, ...]) -> int | None:
    """Return the number of reordered pictures; None if unknown."""
    try:
        return (
            h264.parse_sps(sets[0]) if codec is VideoCodec.H264 else h265.parse_sps(sets[1])
        ).reorder_frames
    except BitstreamError:
        return None
