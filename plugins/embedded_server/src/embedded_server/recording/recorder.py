"""Recording of a stream to disk, for as long as the stream exists and `record` is on.

The files are written here, from the stream's packets, and not by FFmpeg: the name, the parts, the roll-over and the
end of a file are then exactly those of the API, nothing is probed, and no separate process can fail.
"""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agent_core.plugin import WorkerPool
from agent_core.plugin.video import BitstreamError
from embedded_server.config.gotext import Json, parse_duration, parse_size
from embedded_server.faults import Faults
from embedded_server.media import rtp
from embedded_server.media.codecs import Codec
from embedded_server.media.depacketize import AccessUnit
from embedded_server.media.fmp4 import Fmp4
from embedded_server.media.frames import frame_reader
from embedded_server.media.mpegts import MpegTs
from embedded_server.media.samples import Sample
from embedded_server.media.stream import Stream, Track
from embedded_server.recording.intakes import FrameIntake, Intake, LeadingTime, VideoIntake
from embedded_server.recording.mixer import Mixer
from embedded_server.recording.record_path import RecordPath
from embedded_server.recording.roots import RecordingRoots

if TYPE_CHECKING:
    from embedded_server.media.container import Container

__all__ = ("RecordSettings", "Recorder")

_log = logging.getLogger("camera_agent.embedded_server")

_RETRY_S = 2.0
_MAX_DRIFT_S = 5.0
_MAX_REORDER_S = 10.0
#: Packets that may wait for the disk; MediaMTX allows 512 per reader, too few for a 4K key frame.
_QUEUE_PACKETS = 4096
_CLOSE_S = 3.0
#: Packets come, but no file: most cameras send a key picture every one to four seconds.
_NOTHING_YET_S = 10.0
#: Track, and a packet with its arrival, or the time of a sender report.
_Received = tuple[int, bytes, datetime] | tuple[int, rtp.ReportedTime]


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """Parsed `record*` options of a path."""

    path: RecordPath
    roots: RecordingRoots
    part_s: float
    max_part_bytes: int
    segment_s: float

    @classmethod
    def of(cls, name: str, options: Mapping[str, Json], roots: RecordingRoots) -> "RecordSettings":
        return cls(
            RecordPath(str(options["recordPath"]), str(options["recordFormat"]), name),
            roots,
            parse_duration(str(options["recordPartDuration"])) / 1e9,
            parse_size(str(options["recordMaxPartSize"])),
            parse_duration(str(options["recordSegmentDuration"])) / 1e9,
        )


class _RecordingFailed(Exception):
    """Failure of the recording; the message is for the log and names no file."""


@dataclass(slots=True)
class _Search:
    """Search for the picture with which a recording can begin; `overdue` says once why there is none."""

    since: datetime | None = None
    pictures: int = 0
    keys: int = 0
    said: bool = field(default=False, init=False)

    def saw(self, unit: AccessUnit) -> None:
        self.pictures += 1
        self.keys += unit.key

    def overdue(self, now: datetime) -> str | None:
        self.since = self.since or now
        if self.said or (now - self.since).total_seconds() < _NOTHING_YET_S:
            return None
        self.said = True
        if not self.pictures:
            return "packets arrive, but no complete picture"
        return (
            "pictures arrive, but no parameter sets" if self.keys else "pictures arrive, but no key picture"
        )


class _Segment:
    """Segment, one file of a recording; the file is created with its first part."""

    def __init__(
        self, first: Sample, codecs: Mapping[int, Codec], settings: RecordSettings, faults: Faults
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._clock_rates_hz = {index: codec.clock_rate_hz for index, codec in codecs.items()}
        self._container: Container = container_of(settings)(codecs)
        self._header = self._container.header(first)
        self._file = settings.path.file(first.arrived)
        self._descriptor: int | None = None
        self._threads = WorkerPool(1)
        self._part: list[Sample] = []
        self._part_bytes = 0
        self.first = first
        self._end = self._written_end = first.dts

    def age_s(self, sample: Sample) -> float:
        """Return the time of a sample from the start of the segment; negative if it belongs before it."""
        return self._seconds(sample) - self._seconds(self.first)

    def _seconds(self, sample: Sample) -> float:
        return sample.dts / self._clock_rates_hz[sample.track]

    def drift_s(self, sample: Sample) -> float:
        """Return by how much the time of the media lags behind the clock."""
        return (sample.arrived - self.first.arrived).total_seconds() - self.age_s(sample)

    async def add(self, sample: Sample) -> None:
        if self._part and self._seconds(sample) - self._seconds(self._part[0]) >= self._settings.part_s:
            await self.flush()
        self._part.append(sample)
        self._part_bytes += sum(map(len, sample.units))
        if self._part_bytes > self._settings.max_part_bytes:
            raise _RecordingFailed("reached maximum part size")
        if sample.track == self.first.track:
            self._end = sample.dts + sample.duration

    async def flush(self) -> None:
        if not self._part:
            return
        data = self._container.part(self._part)
        self._part, self._part_bytes = [], 0
        end = self._end
        await self._threads.run(self._write, data)
        self._written_end = end

    async def close(self) -> None:
        """Write the last part and the duration of what is written, also if the part no longer fits on the disk."""
        try:
            try:
                await self.flush()
            finally:
                await self._threads.run(self._complete)
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _write(self, data: bytes) -> None:
        if self._faults.write_nothing:
            raise _RecordingFailed("no space left on device")
        if self._descriptor is None:
            self._descriptor = self._settings.roots.create(self._file)
            data = self._header + data
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _complete(self) -> None:
        ticks = self._written_end - self.first.dts
        correction = self._container.correction(ticks / self._clock_rates_hz[self.first.track])
        if correction is not None and self._descriptor is not None:
            os.pwrite(self._descriptor, correction[1], correction[0])


def container_of(settings: RecordSettings) -> type[Fmp4 | MpegTs]:
    """Return the container of the files."""
    return Fmp4 if settings.path.format == "fmp4" else MpegTs


class Recorder:
    """Recorder of one stream of one path; a change of the `record*` options requires a new recorder.

    It records the first video track, or the first sound track of a stream without video, and all others that the
    container can hold besides it.

    Call `run` in the server's task group. After `stop` it writes the packets it has and returns.
    """

    def __init__(self, name: str, stream: Stream, settings: RecordSettings, faults: Faults) -> None:
        self._name = name
        self._stream = stream
        self._settings = settings
        self._faults = faults
        self._send, self._receive = anyio.create_memory_object_stream[_Received](_QUEUE_PACKETS)
        #: By index in the stream; the first one is the track that the others follow.
        self._tracks = _recorded(stream.tracks, container_of(settings).holds)
        self._segment: _Segment | None = None
        self._discarded = 0

    def rtp(self, track: int, packet: bytes, arrived: datetime) -> None:
        if track in self._tracks:
            self._queue((track, packet, arrived))

    def rtcp(self, track: int, packet: bytes) -> None:
        """Queue the time of a sender report, which belongs to the packets around it."""
        if track in self._tracks and (reported := rtp.reported_time(packet)):
            self._queue((track, reported))

    def _queue(self, received: _Received) -> None:
        try:
            self._send.send_nowait(received)
        except anyio.WouldBlock:
            self._discarded += 1
            if self._discarded % 1000 == 1:
                self._warn("the disk is too slow, discarding packets")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass

    def stop(self) -> None:
        self._stream.leave(self)
        self._send.close()

    async def run(self) -> None:
        """Record until `stop`, and restart two seconds after a failure; cancelling also completes the file."""
        for track in self._stream.tracks:
            if track.index not in self._tracks:
                self._warn("skipping track %d (%s)", track.index + 1, track.codec.name)
        if not self._tracks:
            self._warn("no supported tracks found, skipping recording")
            return
        leading = next(iter(self._tracks.values()))
        midway = not leading.between_pictures
        self._stream.join(self)
        try:
            with self._receive:
                while await self._until_failure(leading, midway=midway):
                    await self._pause()
                    midway = True
        finally:
            self._stream.leave(self)

    def _mixer(self, time: LeadingTime, *, midway: bool, search: _Search) -> Mixer:
        warn = partial(self._warn, "%s")
        intakes: dict[int, Intake] = {}
        for index, track in self._tracks.items():
            if track.codec.is_video:
                intakes[index] = VideoIntake(time, midway=midway, saw=search.saw, warn=warn)
            elif intake := FrameIntake.of(track, time, warn):
                intakes[index] = intake
        return Mixer(intakes, {index: track.codec.clock_rate_hz for index, track in self._tracks.items()})

    async def _until_failure(self, leading: Track, *, midway: bool) -> bool:
        """Record until `stop` or a failure; return whether it was a failure."""
        search = _Search()
        known = {index: track.reported for index, track in self._tracks.items() if track.reported}
        time = LeadingTime(leading, known)
        mixer = self._mixer(time, midway=midway, search=search)
        rest: Iterable[Sample] = mixer.flush()
        try:
            async for received in self._receive:
                if len(received) == 2:
                    time.reported[received[0]] = received[1]
                    continue
                track, packet, arrived = received
                for sample in mixer.push(track, packet, arrived):
                    await self._take(sample, leading)
                if self._segment is None and (why := search.overdue(arrived)):
                    self._warn("nothing is recorded yet: %s", why)
        except (OSError, BitstreamError, _RecordingFailed) as error:
            rest = ()
            await self._fail(error)
            return True
        finally:
            with anyio.CancelScope(shield=True):
                await self._finish(rest, leading)
        return False

    async def _take(self, sample: Sample, leading: Track) -> None:
        """Write a sample; those of other tracks never begin a segment."""
        if sample.track == leading.index:
            await self._lead(sample, leading)
        elif self._segment is not None and self._segment.age_s(sample) >= 0:
            await self._segment.add(sample)

    async def _lead(self, sample: Sample, track: Track) -> None:
        if abs(sample.pts - sample.dts) > _MAX_REORDER_S * track.codec.clock_rate_hz:
            raise _RecordingFailed("unable to extract DTS: the stream's times jump")
        segment = self._segment
        if segment is not None:
            if abs(segment.drift_s(sample)) > _MAX_DRIFT_S:
                raise _RecordingFailed(
                    "detected drift between recording duration and absolute time, resetting"
                )
            rolls_over = (
                segment.age_s(sample) >= self._settings.segment_s or sample.sets != segment.first.sets
            )
            if sample.key and rolls_over:
                self._segment = None
                await segment.close()
        if self._segment is None:
            if not sample.key or not all(sample.sets):
                return
            codecs = {index: each.codec for index, each in self._tracks.items()}
            self._segment = _Segment(sample, codecs, self._settings, self._faults)
        await self._segment.add(sample)

    async def _finish(self, rest: Iterable[Sample], leading: Track) -> None:
        """Write the pictures that still wait and complete the file, with a time-out for a hanging disk."""
        with suppress(OSError, BitstreamError, _RecordingFailed), anyio.move_on_after(_CLOSE_S):
            try:
                for sample in rest:
                    await self._take(sample, leading)
            finally:
                segment, self._segment = self._segment, None
                if segment is not None:
                    await segment.close()

    async def _fail(self, error: Exception) -> None:
        detail = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        self._warn("%s", detail)
        segment, self._segment = self._segment, None
        if segment is not None:
            with suppress(OSError, _RecordingFailed):
                await segment.close()

    async def _pause(self) -> None:
        """Drop the packets of two seconds; `stop` ends the pause."""
        with anyio.move_on_after(_RETRY_S):
            async for _ in self._receive:
                pass

    def _warn(self, message: str, *values: object) -> None:
        _log.warning(f"[path %s] [recorder] {message}", self._name, *values)


def _recorded(tracks: Sequence[Track], holds: frozenset[str]) -> dict[int, Track]:
    """Return the tracks that are recorded, by index: the one that the others follow first."""
    held = [track for track in tracks if track.codec.name in holds and _is_read(track)]
    videos = [track for track in held if track.codec.is_video]
    sounds = [track for track in held if not track.codec.is_video and track.codec.name != "KLV"]
    leading = (videos or sounds)[:1]
    others = [track for track in held if not track.codec.is_video and track not in leading]
    return {track.index: track for track in (*leading, *others)} if leading else {}


def _is_read(track: Track) -> bool:
    if track.codec.is_video:
        return track.codec.is_plausible
    return frame_reader(track.codec, track.payload_type) is not None
