"""Tracks of streams: their names, and the protocols that serve them.

Apart from the service, so that names and protocols are decided without a media server.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from agent_core.base.models import DetectedCamera, FrameSocket, VideoCodec

__all__ = ("codec_name", "offered_tracks", "served_for")

#: Names of codecs in this project, by names of the media server and of session descriptions in upper case.
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "HEVC": "H265",
        "MPEG-4 AUDIO": "AAC",
        "MPEG-4 AUDIO LATM": "AAC-LATM",
        "MPEG4-GENERIC": "AAC",
        "MP4A-LATM": "AAC-LATM",
        "PCMU": "G711",
        "PCMA": "G711",
        "L16": "LPCM",
        "M-JPEG": "MJPEG",
        "JPEG": "MJPEG",
        "MPEG-4 VIDEO": "MPEG4",
        "MPEG-1/2 VIDEO": "MPEG2",
        "MPEG-1/2 AUDIO": "MP2",
        "AC-3": "AC3",
        "SMPTE336M": "KLV",
    }
)
_VIDEO = frozenset(("H264", "H265", "AV1", "VP8", "VP9", "MJPEG", "MPEG2", "MPEG4"))
#: Codecs that MediaMTX serves by other protocols than RTSP.
_SERVED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "hls": frozenset(("AV1", "VP9", "H265", "H264", "OPUS", "AAC")),
        "webrtc": frozenset(("AV1", "VP9", "VP8", "H265", "H264", "OPUS", "G722", "G711", "LPCM")),
    }
)


def codec_name(name: str) -> str:
    """Return this project's name of a codec, in upper case."""
    known = name.strip().upper()
    return _NAMES.get(known, known)


def offered_tracks(camera: DetectedCamera) -> tuple[str, ...]:
    """Return the codecs that a camera's source reports. Coded video of a frame socket is published as it comes."""
    if camera.tracks:
        return tuple(map(codec_name, camera.tracks))
    match camera.media_input:
        case FrameSocket(codec=VideoCodec.H264 | VideoCodec.H265 as codec):
            return (codec_name(codec),)
        case _:
            return ()


def served_for(protocols: Iterable[str], tracks: Sequence[str]) -> tuple[str, ...]:
    """Return the protocols that serve a stream with these tracks; all of them while the tracks are unknown.

    A stream with video counts as served if its video is.
    """
    wanted = {track for track in tracks if track in _VIDEO} or set(tracks)
    return tuple(each for each in protocols if each not in _SERVED or not wanted or wanted & _SERVED[each])
