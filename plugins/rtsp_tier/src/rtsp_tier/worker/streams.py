"""RTSP streams, opened fast and read with limits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import av
import av.logging

from rtsp_tier.messages import Configure, Reason
from rtsp_tier.worker.faults import StreamFailure, failure_at_open, failure_at_read
from rtsp_tier.worker.group import Entry, VideoPacket

__all__ = ("Address", "Stream", "opened")

#: Options that make libav ask for the video only, over TCP, and look at no more than the first packet: a default open
#: takes 2.3 s, this one 0.02 s (measured). What libav would look for, decoders find in the stream or its description.
_OPTIONS = {
    "rtsp_transport": "tcp",
    "allowed_media_types": "video",
    "analyzeduration": "0",
    "probesize": "32",
    "fpsprobesize": "0",
    # Over TCP nothing has to be reordered, and libav then says nothing of gaps. With a queue it does.
    "reorder_queue_size": "2",
}
#: Start of what libav logs about a gap.
_GAP = "RTP: missed"
#: Part of the time limit after which any error means that the time was over.
_LATE = 0.9
#: Protocols that libav may use for a scheme. None reaches the disk.
_PROTOCOLS = {"rtsp": "tcp", "rtsps": "tcp,tls"}
#: Codecs that are decoded. For all but MJPEG, libav knows a picture's end by the start of the next.
_CODECS = frozenset({"h264", "hevc", "mjpeg"})
#: Longest `user:password` in libav's buffer, quoted; a longer one would be cut silently.
_LOGIN_LIMIT_BYTES = 127
#: Characters that libav takes literally before the `@` of a URL.
_PLAIN = "!$&'()*+,;="


@dataclass(frozen=True, slots=True)
class Address:
    """Stream to read. `url` has no credentials."""

    url: str = field(repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0].lower()

    def with_credentials(self) -> str:
        """Return the URL for libav, which has no other place for credentials.

        Raises:
            StreamFailure: it is no RTSP URL, or the credentials are too long.
        """
        _, separator, rest = self.url.partition("://")
        if self.scheme not in _PROTOCOLS or not separator or not self.url.isprintable() or " " in self.url:
            raise StreamFailure(Reason.UNSUPPORTED_STREAM, "The stream's address is not an RTSP URL.")
        if self.user is None:
            return f"{self.scheme}://{rest}"
        login = quote(self.user, safe=_PLAIN) + ":" + quote(self.password or "", safe=_PLAIN + ":")
        if len(login) > _LOGIN_LIMIT_BYTES:
            raise StreamFailure(Reason.CREDENTIALS, "The user and password are too long for RTSP here.")
        return f"{self.scheme}://{login}@{rest}"


class Stream:
    """Open stream with one video track. Only the thread that opened it may use it."""

    def __init__(
        self,
        container: av.container.InputContainer,
        track: av.VideoStream,
        opened_s: float,
        *,
        has_gap: bool,
    ) -> None:
        """Read the track, opened at `opened_s`; with `has_gap` packets were lost meanwhile."""
        self._container = container
        self._track = track
        self._opened_s = opened_s
        self._has_gap = has_gap
        self.codec = track.codec_context.name
        self.parameter_sets = track.codec_context.extradata or b""

    def entries(self) -> Iterator[Entry]:
        """Yield the compressed pictures as they arrive.

        `arrival_s` is never later than the arrival of the picture's first bytes in this process: libav gives out an
        H.264 or H.265 picture when the next one begins, so the time is that at which the previous one was given out.
        For the first picture it is the time before the stream was opened. For the same reason a gap may be in the
        picture that is given out or in the next one: both are torn.

        Raises:
            StreamFailure: the stream ended or was silent.
        """
        previous_s = self._opened_s
        packets = self._container.demux(self._track)
        number, had_gap = 0, self._has_gap
        while True:
            try:
                with av.logging.Capture() as log:
                    packet = next(packets, None)
            except (av.FFmpegError, OSError, ValueError) as error:
                raise failure_at_read(error) from None
            if packet is None or packet.size == 0:
                raise failure_at_read(EOFError())
            now_s = time.monotonic()
            is_late, has_gap = number == 0 or self.codec != "mjpeg", _has_gap(log)
            yield _entry(packet, number, previous_s if is_late else now_s, is_torn=had_gap or has_gap)
            previous_s, had_gap = now_s, has_gap
            number += 1


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
    connect_s, silence_s = (
        max(0.01, min(limit_s, each_s)) for each_s in (settings.connect_timeout_s, settings.silence_timeout_s)
    )
    url = address.with_credentials()
    options = {**_OPTIONS, "protocol_whitelist": _PROTOCOLS[address.scheme]}
    # The socket's own limit ends what PyAV cannot interrupt, such as TLS.
    options["timeout"] = str(int(1e6 * max(connect_s, silence_s)))
    opened_s = time.monotonic()
    try:
        with av.logging.Capture() as log:
            container = av.open(url, "r", format="rtsp", options=options, timeout=(connect_s, silence_s))
    except (av.FFmpegError, OSError, ValueError) as error:
        is_late = time.monotonic() - opened_s >= _LATE * connect_s
        raise failure_at_open(error, is_late=is_late) from None
    with container:
        yield Stream(container, _track(container), opened_s, has_gap=_has_gap(log))


def _track(container: av.container.InputContainer) -> av.VideoStream:
    """Return the first video track.

    Raises:
        StreamFailure: there is none, or its codec is not supported.
    """
    if not container.streams.video:
        raise StreamFailure(Reason.UNSUPPORTED_STREAM, "The stream has no video.")
    track = container.streams.video[0]
    codec: av.VideoCodecContext | None = track.codec_context  # None if libav has no decoder
    if codec is None or codec.name not in _CODECS:
        raise StreamFailure(Reason.UNSUPPORTED_STREAM, "The stream's codec is not supported.")
    return track
