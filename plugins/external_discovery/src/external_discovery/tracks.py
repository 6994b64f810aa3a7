"""Tracks of a stream, from its session description."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import MediaDescription

__all__ = ("Track", "printable", "tracks_of")

#: Names of codecs in this project, by their encoding name in a session description (RFC 3551 and the codec's own RFC).
#: What is not listed keeps its encoding name.
_CODECS: Mapping[str, str] = {
    "MPEG4-GENERIC": "AAC",
    "MP4A-LATM": "AAC",
    "SMPTE336M": "KLV",
    "JPEG": "MJPEG",
    "MP2T": "MPEGTS",
    "MP4V-ES": "MPEG4",
    "MPV": "MPEG2",
    "MPA": "MP2",
    "HEVC": "H265",
}
#: Longest text of a server that is kept. Names of products are shorter.
_LONGEST_TEXT = 80


@dataclass(frozen=True, slots=True)
class Track:
    """One medium of a stream.

    Attributes:
        kind: `video`, `audio`, `application` (data, such as KLV) or what else the description says.
        codec: name of the codec in upper case, such as `H264`, `AAC`, `KLV`; `UNKNOWN` if it is not described.
        clock_rate_hz: clock rate of the time stamps; 0 if it is not described.
        channels: number of audio channels; 1 for others.
    """

    kind: str
    codec: str
    clock_rate_hz: int = 0
    channels: int = 1


def tracks_of(description: bytes) -> tuple[Track, ...]:
    """Return the media of a session description, in its order.

    Raises:
        RtspError: the description is malformed, too large or has no medium.
    """
    # RTSP is loaded after the agent listens.
    from agent_core.plugin.rtsp import SessionDescription

    return tuple(_track(media) for media in SessionDescription.parse(description).media)


def _track(media: "MediaDescription") -> Track:
    kind = printable(media.kind).lower()
    known = media.rtpmap
    if known is None:
        return Track(kind, "UNKNOWN")
    encoding = printable(known.encoding).upper()
    return Track(kind, _CODECS.get(encoding, encoding), known.clock_rate_hz, known.channels)


def printable(text: str) -> str:
    """Return a text of another host, shortened and on one line, for logs and results."""
    return "".join(one if one.isprintable() else " " for one in text[:_LONGEST_TEXT]).strip()
