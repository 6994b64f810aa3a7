"""Codecs, with their names in session descriptions and in the API."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent_core.plugin import VideoCodec
from agent_core.plugin.rtsp import MediaDescription
from agent_core.plugin.video import MAX_SET_BYTES, BitstreamError, h264, h265, nal
from embedded_server.config.gotext import Json
from embedded_server.media.aac import AacFormat, aac_format

__all__ = ("Codec", "codec_of", "parameters_of")

_NAMES: Mapping[str, str] = {
    "AV1": "AV1",
    "VP9": "VP9",
    "VP8": "VP8",
    "H265": "H265",
    "H264": "H264",
    "MP4V-ES": "MPEG-4 Video",
    "MPV": "MPEG-1/2 Video",
    "JPEG": "M-JPEG",
    "OPUS": "Opus",
    "VORBIS": "Vorbis",
    "MPEG4-GENERIC": "MPEG-4 Audio",
    "MP4A-LATM": "MPEG-4 Audio LATM",
    "MPA": "MPEG-1/2 Audio",
    "AC3": "AC3",
    "SPEEX": "Speex",
    "G722": "G722",
    "PCMU": "G711",
    "PCMA": "G711",
    "L16": "LPCM",
    "MP2T": "MPEG-TS",
    "SMPTE336M": "KLV",
}
#: Attributes for the parameter sets in a description, by codec, in the order of a stream.
_SETS: Mapping[VideoCodec, tuple[str, ...]] = {
    VideoCodec.H264: ("sprop-parameter-sets",),
    VideoCodec.H265: ("sprop-vps", "sprop-sps", "sprop-pps"),
}
_VIDEO: Mapping[str, VideoCodec] = {"H264": VideoCodec.H264, "H265": VideoCodec.H265}

#: Clocks of media are far slower, and sound of cameras has fewer channels; files have no room for any number.
_FASTEST_CLOCK_HZ = 1_000_000
_MOST_CHANNELS = {"Opus": 2, "G711": 8}


@dataclass(frozen=True, slots=True)
class Codec:
    """Codec of a track.

    Attributes:
        parameter_sets: (SPS, PPS) for H.264 and (VPS, SPS, PPS) for H.265, if they are known.
        aac: format of `MPEG-4 Audio`, if it is usable.
    """

    name: str
    encoding: str
    clock_rate_hz: int
    channels: int
    parameter_sets: tuple[bytes, ...] = ()
    aac: AacFormat | None = None

    def with_sets(self, sets: tuple[bytes, ...]) -> "Codec":
        return replace(self, parameter_sets=sets)

    @property
    def is_video(self) -> bool:
        return self.name in _VIDEO

    @property
    def video(self) -> VideoCodec:
        """Coding of the pictures of a video.

        Raises:
            KeyError: the track is not video.
        """
        return _VIDEO[self.name]

    @property
    def is_plausible(self) -> bool:
        """Return True if files can hold the numbers that the description gives."""
        most = _MOST_CHANNELS.get(self.name, self.channels)
        return self.clock_rate_hz <= _FASTEST_CLOCK_HZ and (self.is_video or 0 < self.channels <= most)

    @property
    def is_mu_law(self) -> bool:
        """True for the mu-law of G.711, False for its A-law."""
        return self.encoding == "PCMU"

    def properties(self) -> Json:
        """Return the `codecProps` of the API."""
        if self.is_video:
            return self._video_properties()
        if self.name == "Opus":
            return {"channelCount": self.channels}
        if self.aac is not None:
            return {"sampleRate": self.aac.sample_rate_hz, "channelCount": self.aac.channels}
        if self.name == "G711":
            return {"muLaw": self.is_mu_law, "sampleRate": self.clock_rate_hz, "channelCount": self.channels}
        if self.name in ("MPEG-4 Audio", "AC3"):
            return {"sampleRate": self.clock_rate_hz, "channelCount": self.channels}
        return None

    def _video_properties(self) -> Json:
        try:
            parse = h264.parse_sps if self.video is VideoCodec.H264 else h265.parse_sps
            sps = parse(self.parameter_sets[-2])
        except (IndexError, BitstreamError):
            return {"width": 0, "height": 0, "profile": "", "level": ""}
        return {"width": sps.width, "height": sps.height, "profile": sps.profile, "level": sps.level}


def codec_of(media: MediaDescription) -> Codec:
    """Return the codec of a medium's first format; its name is `Generic` if it is unknown."""
    known = media.rtpmap
    if known is None:
        return Codec("Generic", "", 90_000, 1)
    encoding = known.encoding.upper()
    name = _NAMES.get(encoding, "Generic")
    clock_rate_hz = known.clock_rate_hz or 90_000
    aac, channels = None, known.channels
    if name == "Opus" and parameters_of(media).get("sprop-stereo") != "1":
        channels = 1  # the description has two in any case (RFC 7587, section 7)
    if name == "MPEG-4 Audio":
        aac = aac_format(parameters_of(media), clock_rate_hz, known.channels)
    return Codec(name, encoding, clock_rate_hz, channels, _sets(name, media), aac)


def parameters_of(media: MediaDescription) -> Mapping[str, str]:
    """Return the parameters of a medium's first format.

    Cameras (seen with Hikvision's media server) write the number of another format before the parameters of the only one.
    """
    if media.fmtp or len(media.formats) > 1:
        return media.fmtp
    lines = (
        ("a", f"fmtp:{media.formats[0]} {value.partition(' ')[2]}") for value in media.attributes("fmtp")
    )
    return replace(media, lines=tuple(lines)).fmtp


def _sets(name: str, media: MediaDescription) -> tuple[bytes, ...]:
    """Return the parameter sets of the description; empty if one is missing, unreadable or too long to store."""
    codec = _VIDEO.get(name)
    if codec is None:
        return ()
    texts = [text for key in _SETS[codec] for text in parameters_of(media).get(key, "").split(",") if text]
    found: dict[int, bytes] = {}
    try:
        for text in texts:
            # Cameras leave out the padding, and put start codes before the sets.
            data = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
            found |= {nal.nalu_type(codec, unit): unit for unit in nal.split(codec, data)}
    except ValueError:  # not Base64
        return ()
    sets = tuple(found.get(kind, b"") for kind in nal.SETS[codec])
    return sets if all(0 < len(each) <= MAX_SET_BYTES for each in sets) else ()
