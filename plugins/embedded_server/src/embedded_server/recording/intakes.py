"""Conversion of the packets of one track to samples on the time scale of the recording."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from embedded_server.media import rtp
from embedded_server.media.depacketize import AccessUnit, Depacketizer
from embedded_server.media.frames import Frame, FrameReader, frame_reader
from embedded_server.media.samples import Sample, Sampler
from embedded_server.media.stream import Track
from embedded_server.media.timeline import Timeline

__all__ = ("FrameIntake", "Intake", "LeadingTime", "VideoIntake")

#: Reports of a sender whose tracks are further apart than their packets have clocks of their own.
_MAX_APART_S = 2.0
#: Sound and picture that are less apart are in step for people (ITU-R BT.1359).
_IN_STEP_S = 0.1
#: Frames that may come before the first picture is known: over a second of AAC or Opus.
_EARLY_FRAMES = 64


@dataclass(slots=True)
class LeadingTime:
    """Latest time of the track that the others follow, in seconds of the recording, and its raw RTP time stamp."""

    track: Track
    #: The sender's last report on each track, by its index.
    reported: dict[int, rtp.ReportedTime]
    timestamp: int | None = None
    time_s: float = 0.0
    arrived: datetime | None = None

    def reached(self, timestamp: int, time_s: float, arrived: datetime) -> None:
        self.timestamp, self.time_s, self.arrived = timestamp, time_s, arrived

    def by_arrival(self, arrived: datetime) -> float | None:
        """Return the time of what arrives now; None before the track has begun."""
        if self.arrived is None:
            return None
        return self.time_s + (arrived - self.arrived).total_seconds()

    def by_reports(self, track: Track, timestamp: int, arrived: datetime) -> float | None:
        """Return the time of a raw time stamp of another track by the sender's reports; None if they do not tell it."""
        own, other = self.reported.get(self.track.index), self.reported.get(track.index)
        estimated_s = self.by_arrival(arrived)
        if estimated_s is None or self.timestamp is None or own is None or other is None:
            return None
        own_s = _ntp_s(own, self.timestamp, self.track)
        time_s = self.time_s + _ntp_s(other, timestamp, track) - own_s
        return time_s if abs(time_s - estimated_s) <= _MAX_APART_S else None


def _ntp_s(reported: rtp.ReportedTime, timestamp: int, track: Track) -> float:
    return reported.ntp_s + rtp.ticks_between(reported.timestamp, timestamp) / track.codec.clock_rate_hz


class Intake(ABC):
    """Source of the samples of one track."""

    @abstractmethod
    def push(self, packet: bytes, arrived: datetime) -> Iterator[Sample]:
        """Take a packet and return the samples that it completes."""

    @abstractmethod
    def flush(self) -> Iterator[Sample]:
        """Return the samples that wait for the next packet."""


class VideoIntake(Intake):
    """Intake of the video, which the other tracks follow.

    Args:
        midway: the first packet may be within a picture.
        saw: is called with each complete picture.
    """

    def __init__(
        self,
        leading: LeadingTime,
        *,
        midway: bool,
        saw: Callable[[AccessUnit], None],
        warn: Callable[[str], None],
    ) -> None:
        track = leading.track
        codec = track.codec
        self._leading = leading
        self._saw = saw
        self._depacketizer = Depacketizer(codec.video, midway=midway)
        self._sampler = Sampler(
            codec.video, codec.parameter_sets, codec.clock_rate_hz, warn, track=track.index
        )

    def push(self, packet: bytes, arrived: datetime) -> Iterator[Sample]:
        for unit in self._depacketizer.push(packet, arrived):
            self._saw(unit)
            yield from self._sampler.push(unit)
            self._note_time()

    def flush(self) -> Iterator[Sample]:
        for unit in self._depacketizer.flush():
            yield from self._sampler.push(unit)
        yield from self._sampler.flush()

    def _note_time(self) -> None:
        placed, first = self._sampler.placed, self._depacketizer.first_timestamp
        if placed is not None and first is not None:
            time_s = placed.time / self._leading.track.codec.clock_rate_hz
            self._leading.reached((first + placed.timestamp) & 0xFFFF_FFFF, time_s, placed.arrived)


class FrameIntake(Intake):
    """Intake of sound or data.

    The time stamps of the tracks begin anywhere. The sender's reports tell how they belong together; until there are
    some, the packets do, by their arrival. Clocks of tracks that drift apart are corrected by the reports.
    """

    def __init__(
        self, track: Track, reader: FrameReader, leading: LeadingTime, warn: Callable[[str], None]
    ) -> None:
        self._track = track
        self._reader = reader
        self._leading = leading
        self._clock_rate_hz = track.codec.clock_rate_hz
        self._timeline = Timeline(self._clock_rate_hz, warn)
        self._shift: int | None = None
        self._next: int | None = None
        self._early: deque[Frame] = deque(maxlen=_EARLY_FRAMES)

    @classmethod
    def of(cls, track: Track, leading: LeadingTime, warn: Callable[[str], None]) -> "FrameIntake | None":
        """Return the intake of a track; None if its codec is not read."""
        reader = frame_reader(track.codec, track.payload_type)
        return None if reader is None else cls(track, reader, leading, warn)

    def push(self, packet: bytes, arrived: datetime) -> Iterator[Sample]:
        for frame in self._placeable(self._reader.push(packet, arrived)):
            time = self._time(frame)
            if time is not None:
                yield Sample(
                    dts=time,
                    pts=time,
                    duration=frame.duration,
                    units=(frame.data,),
                    key=True,
                    arrived=frame.arrived,
                    track=self._track.index,
                )

    def flush(self) -> Iterator[Sample]:
        yield from ()

    def _placeable(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Hold frames back until the leading track has begun: a picture is known when the next one begins."""
        self._early.extend(frames)
        while self._early and (self._leading.track is self._track or self._leading.arrived is not None):
            yield self._early.popleft()

    def _time(self, frame: Frame) -> int | None:
        """Return the time of a frame; None if it is before that of the frame before it."""
        first, is_leading = self._reader.first_timestamp, self._leading.track is self._track
        assert first is not None  # noqa: S101 - there is a frame
        raw = (first + frame.timestamp) & 0xFFFF_FFFF
        placed = self._timeline.place(frame.timestamp, frame.arrived, may_go_back=False)
        if is_leading:
            self._leading.reached(raw, placed / self._clock_rate_hz, frame.arrived)
            return placed
        time = placed + self._aligned(raw, placed, frame.arrived)
        if self._next is not None and time < self._next:
            return None
        self._next = time + 1
        return time

    def _aligned(self, raw: int, placed: int, arrived: datetime) -> int:
        """Return what is added to the times of this track."""
        known_s = self._leading.by_reports(self._track, raw, arrived)
        if self._shift is None:
            start_s = self._leading.by_arrival(arrived) if known_s is None else known_s
            assert start_s is not None  # noqa: S101 - the leading track has begun
            self._shift = round(start_s * self._clock_rate_hz) - placed
        elif known_s is not None:
            apart = round(known_s * self._clock_rate_hz) - placed - self._shift
            if abs(apart) > _IN_STEP_S * self._clock_rate_hz:
                self._shift += apart
        return self._shift
