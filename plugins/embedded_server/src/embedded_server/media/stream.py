"""Live stream, which relays the packets of one publisher to all readers."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from agent_core.plugin import Clock, VideoCodec
from agent_core.plugin.rtsp import MediaDescription, RtpInfo, SessionDescription
from agent_core.plugin.video import MAX_SET_BYTES, nal
from embedded_server.config.gotext import Json
from embedded_server.media import rtp
from embedded_server.media.codecs import Codec, codec_of

__all__ = ("Sink", "Stream", "Track")

#: Bit that marks the last packet of a picture (RFC 6184, section 5.1).
_MARKER = 0x80
#: Types of packets with several units, and where those begin.
_AGGREGATION = {VideoCodec.H264: (24, 1), VideoCodec.H265: (48, 2)}
#: Beginnings of payloads in Annex B, of a start code of four bytes and of one of three.
_START_CODES = (b"\0\0\0", b"\0\0\1")


class Sink(Protocol):
    """Receiver of a stream's packets. Calls never wait: a sink that is too slow drops packets or leaves."""

    def rtp(self, track: int, packet: bytes, arrived: datetime) -> None: ...

    def rtcp(self, track: int, packet: bytes) -> None: ...


class Track:
    """Medium of a stream; its packets are sent with an SSRC of our own, which the answer to SETUP announces."""

    def __init__(self, index: int, media: MediaDescription) -> None:
        self.index = index
        self.media = media
        self.codec: Codec = codec_of(media)
        self.ssrc = secrets.token_bytes(4)
        self._next_sequence: int | None = None
        self._last_timestamp = 0
        self._last_s = 0.0
        self.between_pictures = True
        #: From the last report of the publisher that had one.
        self.reported: rtp.ReportedTime | None = None

    @property
    def payload_type(self) -> int | None:
        """Payload type of the format that is relayed; None if the description has no number for it."""
        return self.media.payload_type

    def seen(self, packet: bytes, now_s: float) -> None:
        self._next_sequence = (int.from_bytes(packet[2:4], "big") + 1) & 0xFFFF
        self._last_timestamp = int.from_bytes(packet[4:8], "big")
        self._last_s = now_s
        self.between_pictures = bool(packet[1] & _MARKER)
        if self.codec.is_video:
            self._learn(packet)

    def _learn(self, packet: bytes) -> None:
        """Learn parameter sets from the stream: not every publisher has them in its description."""
        offset = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10 or len(packet) <= offset:
            return
        codec, first = self.codec.video, packet[offset]
        kind = nal.nalu_type(codec, packet[offset:])
        aggregation, start = _AGGREGATION[codec]
        if kind == aggregation:
            for unit, complete in rtp.aggregated(packet[offset:], start):
                self._learn_sets(unit if complete else b"")
        elif kind in nal.SETS[codec] or (not first and packet[offset : offset + 3] in _START_CODES):
            self._learn_sets(packet[offset:])

    def _learn_sets(self, data: bytes) -> None:
        kinds = nal.SETS[self.codec.video]
        sets = list(self.codec.parameter_sets or (b"",) * len(kinds))
        for nalu in nal.split(self.codec.video, data):
            kind = nal.nalu_type(self.codec.video, nalu)
            if kind in kinds and len(nalu) <= MAX_SET_BYTES:
                sets[kinds.index(kind)] = nalu
        if any(sets) and tuple(sets) != self.codec.parameter_sets:
            self.codec = self.codec.with_sets(tuple(sets))

    def info(self, base: str, now_s: float) -> RtpInfo:
        """Return the sequence number and time stamp of the next packet, extrapolated to `now_s`."""
        url = f"{base}trackID={self.index}"
        if self._next_sequence is None:
            return RtpInfo(url)
        elapsed = round((now_s - self._last_s) * self.codec.clock_rate_hz)
        return RtpInfo(url, self._next_sequence, (self._last_timestamp + elapsed) & 0xFFFF_FFFF)

    def describe(self) -> str:
        media = self.media
        lines = [
            f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}",
            f"a=control:trackID={self.index}",
        ]
        lines += [f"a=rtpmap:{value.strip()}" for value in media.attributes("rtpmap")]
        lines += [f"a=fmtp:{_sorted_parameters(value)}" for value in media.attributes("fmtp")]
        return "".join(f"{line}\r\n" for line in lines)


def _sorted_parameters(fmtp: str) -> str:
    number, _, parameters = fmtp.strip().partition(" ")
    return f"{number} {'; '.join(sorted(part.strip() for part in parameters.split(';') if part.strip()))}"


class Stream:
    """Stream, which exists while it is published. The counters are of this stream only."""

    def __init__(self, description: SessionDescription, clock: Clock) -> None:
        self.tracks: Sequence[Track] = tuple(Track(i, media) for i, media in enumerate(description.media))
        self._name = next((value for key, value in description.lines if key == "s"), "") or "Stream"
        self._clock = clock
        self._sinks: set[Sink] = set()
        self.inbound_bytes = 0
        self.outbound_bytes = 0
        self.frames_in_error = 0

    def join(self, sink: Sink) -> None:
        self._sinks.add(sink)

    def leave(self, sink: Sink) -> None:
        self._sinks.discard(sink)

    def rtp(self, index: int, packet: bytes) -> None:
        """Relay an RTP packet of the publisher to all sinks; count and drop a packet that is not RTP."""
        if len(packet) < 12 or packet[0] >> 6 != 2:
            self.frames_in_error += 1
            return
        track = self.tracks[index]
        self.inbound_bytes += len(packet)
        track.seen(packet, self._clock.monotonic_s())
        sent = rtp.with_ssrc(packet, track.ssrc)
        now = self._clock.now()
        for sink in tuple(self._sinks):
            sink.rtp(index, sent, now)

    def rtcp(self, index: int, packet: bytes) -> None:
        self.inbound_bytes += len(packet)
        track = self.tracks[index]
        report = rtp.sender_report(packet, track.ssrc)
        if report is not None:
            track.reported = rtp.reported_time(report) or track.reported
            for sink in tuple(self._sinks):
                sink.rtcp(index, report)

    def describe(self) -> bytes:
        """Return the session description for readers, formatted as gortsplib does."""
        head = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns={self._name}\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        return (head + "".join(track.describe() for track in self.tracks)).encode()

    def rtp_info(self, base: str, tracks: Sequence[int]) -> str:
        now_s = self._clock.monotonic_s()
        return ",".join(str(self.tracks[index].info(base, now_s)) for index in tracks)

    def track_names(self) -> list[Json]:
        return [track.codec.name for track in self.tracks]

    def track_details(self) -> list[Json]:
        return [{"codec": track.codec.name, "codecProps": track.codec.properties()} for track in self.tracks]
