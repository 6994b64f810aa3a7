"""Pictures with which a decoder can begin: key frames, and points from which it recovers."""

from collections.abc import Iterator, Sequence

from agent_core.base.models import VideoCodec
from agent_core.plugin.video import h264, nal
from agent_core.plugin.video.bits import BitReader, BitstreamError, without_emulation

__all__ = ("is_entry",)

#: Type of the message `recovery_point` (H.264 and H.265, annex D), and the bytes that its first number may need.
_RECOVERY_POINT, _NUMBER_BYTES = 6, 9
_SPS = {VideoCodec.H264: 7, VideoCodec.H265: 33}


def is_entry(codec: VideoCodec, units: Sequence[bytes]) -> bool:
    """Return True if a decoder that knows the parameter sets can begin with the picture of `units`.

    That is a key frame: an IDR picture of H.264, an IRAP picture of H.265. Cameras that send none mark a recovery point,
    or repeat their parameter sets before a picture that predicts from no other. A recovery that takes several pictures
    counts only with parameter sets, by which the camera says that streams are to be entered there.
    """
    slices = [unit for unit in units if nal.is_slice(codec, unit)]
    if any(nal.is_key(codec, unit) for unit in slices):
        return True
    has_sets = any(nal.nalu_type(codec, unit) == _SPS[codec] for unit in units)
    recovery = min(_recoveries(codec, units), default=None)
    if recovery is not None and (recovery == 0 or has_sets):
        return bool(slices)
    is_intra = codec is VideoCodec.H264 and bool(slices) and all(map(h264.is_intra_slice, slices))
    return has_sets and is_intra


def _recoveries(codec: VideoCodec, units: Sequence[bytes]) -> Iterator[int]:
    """Return the number of pictures that a recovery takes, for each recovery point."""
    for unit in units:
        if nal.nalu_type(codec, unit) == nal.SUPPLEMENT[codec]:
            yield from _messages(codec, without_emulation(unit[nal.HEAD_BYTES[codec] :]))


def _messages(codec: VideoCodec, payload: bytes) -> Iterator[int]:
    """Return the recoveries of one unit of supplemental enhancement information (7.3.2.3)."""
    at = 0
    while at < len(payload) - 1:
        kind, at = _summed(payload, at)
        size, at = _summed(payload, at)
        if kind == _RECOVERY_POINT:
            reader = BitReader(payload[at : at + min(size, _NUMBER_BYTES)])
            try:
                yield reader.unsigned() if codec is VideoCodec.H264 else abs(reader.signed())
            except BitstreamError:
                return
        at += size


def _summed(payload: bytes, at: int) -> tuple[int, int]:
    """Return a number, to which each byte of 255 adds and which another byte ends, and where the next one begins."""
    number = 0
    while at < len(payload) and payload[at] == 255:
        number, at = number + 255, at + 1
    return (number + payload[at], at + 1) if at < len(payload) else (number, at)
