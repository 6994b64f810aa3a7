"""RTSP streams and frame sockets, opened fast and read with limits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import av
import av.logging

from rtsp_tier.messages import Configure, Reason
from rtsp_tier.worker.address import Address
from rtsp_tier.worker.captured import Captured, read_note
from rtsp_tier.worker.faults import StreamFailure, failure_at_open, failure_at_read, failure_at_socket
from rtsp_tier.worker.group import Entry, VideoPacket

__all__ = ("Stream", "opened")

#: Start of what libav logs about a gap.
_GAP = "RTP: missed"
#: Part of the time limit after which any error means that the time was over.
_LATE = 0.9
#: Codecs that are decoded.
_CODECS = frozenset({"h264", "hevc", "mjpeg"})
#: Side data of a packet with the note of a frame socket, and the bytes of its ID before it.
_NOTE: Final = "matroska_block_additional"
_NOTE_ID_BYTES = 8


class Stream:
    """Open stream with one video track. Only the thread that opened it may use it."""

    def __init__(
        self, container: av.container.InputContainer, track: av.VideoStream, opening: "_Opening"
    ) -> None:
        self._container = container
        self._track = track
        self._opening = opening
        self.codec = track.codec_context.name
        self.parameter_sets = track.codec_context.extradata or b""

    def entries(self) -> Iterator[Entry]:
        """Yield the compressed pictures as they arrive.

        `arrival_s` is never later than the arrival of the picture's first bytes in this process: of RTSP, libav gives out
        an H.264 or H.265 picture when the next one begins, so the time is that at which the previous one was given out.
        For the first picture it is the time before the stream was opened. For the same reason a gap may be in the
        picture that is given out or in the next one: both are torn. A frame socket sends whole pictures and tells when
        each was taken, so its pictures do not depend on their arrival.

        Raises:
            StreamFailure: the stream ended or was silent.
        """
        opening = self._opening
        previous_s = opening.started_s
        packets = self._container.demux(self._track)
        number, had_gap = 0, opening.has_gap
        while True:
            packet, has_gap = self._next(packets)
            now_s = time.monotonic()
            is_late = number == 0 or self.codec != "mjpeg"
            entry = _entry(packet, number, previous_s if is_late else now_s, is_torn=had_gap or has_gap)
            yield replace(entry, captured=opening.captured(packet, entry)) if opening.is_socket else entry
            previous_s, had_gap = now_s, has_gap
            number += 1

    def _next(self, packets: Iterator[VideoPacket]) -> tuple[VideoPacket, bool]:
        """Return the next packet; True with it if packets were lost."""
        try:
            with av.logging.Capture() as log:
                packet = next(packets, None)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise failure_at_read(error, is_socket=self._opening.is_socket) from None
        if packet is None or packet.size == 0:
            raise failure_at_read(EOFError(), is_socket=self._opening.is_socket)
        return packet, _has_gap(log)


@dataclass(frozen=True, slots=True)
class _Opening:
    """Start of a stream, at `started_s`; with `has_gap` packets were lost meanwhile."""

    is_socket: bool
    started_s: float
    has_gap: bool

    def captured(self, packet: VideoPacket, entry: Entry) -> Captured:
        """Return what a frame socket tells of a picture's exposure.

        Without a note, only the time of a picture that was taken after the connection is its own: those before belong to
        a backlog whose times were made later.
        """
        now_s = time.monotonic()
        note = read_note(bytes(packet.get_sidedata(_NOTE))[_NOTE_ID_BYTES:], now_s=now_s)
        if note is not None:
            return note
        is_own = entry.stream_s is not None and self.started_s <= entry.stream_s <= now_s
        return Captured(entry.stream_s if is_own and entry.stream_s is not None else float("-inf"))


def _has_gap(log: list[tuple[int, str, str]]) -> bool:
    return any(text.startswith(_GAP) for _, _, text in log)


def _entry(packet: VideoPacket, number: int, arrival_s: float, *, is_torn: bool) -> Entry:
    stream_s = None if packet.pts is None else float(packet.pts * packet.time_base)
    packet.pts = packet.dts = number
    return Entry(number, packet, packet.is_keyframe, packet.size, arrival_s, stream_s, is_torn)


@contextmanager
def opened(address: Address, settings: Configure, *, limit_s: float) -> Iterator[Stream]:
    """Open the stream and close it with the context.

    Args:
        address: the stream.
        settings: limits.
        limit_s: limit in seconds, instead of a longer one of the settings, for opening and for silence.

    Raises:
        StreamFailure: it cannot be opened.
    """
    limits = address.limits(settings).within(limit_s)
    url, options = address.with_credentials(), address.options(limits)
    started_s = time.monotonic()
    try:
        with av.logging.Capture() as log:
            timeout = limits.connect_s, limits.silence_s
            container = av.open(url, "r", format=address.form, options=options, timeout=timeout)
    except (av.FFmpegError, OSError, ValueError) as error:
        is_late = time.monotonic() - started_s >= _LATE * limits.connect_s
        raise (failure_at_socket if address.is_socket else failure_at_open)(error, is_late=is_late) from None
    with container:
        opening = _Opening(address.is_socket, started_s, _has_gap(log))
        yield Stream(container, _track(container, is_socket=address.is_socket), opening)


def _track(container: av.container.InputContainer, *, is_socket: bool) -> av.VideoStream:
    """Return the first video track.

    Raises:
        StreamFailure: there is none, or its codec is not supported.
    """
    if not container.streams.video:
        raise StreamFailure(Reason.UNSUPPORTED_STREAM, "The stream has no video.", is_socket=is_socket)
    track = container.streams.video[0]
    codec: av.VideoCodecContext | None = track.codec_context  # None if libav has no decoder
    if codec is None or codec.name not in _CODECS:
        raise StreamFailure(
            Reason.UNSUPPORTED_STREAM, "The stream's codec is not supported.", is_socket=is_socket
        )
    return track
