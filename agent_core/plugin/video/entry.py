"""Pictures with which a decoder can begin: key frames, and points from which it recovers."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from agent_core.base.models import VideoCodec
from agent_core.plugin.video import h264, nal
from agent_core.plugin.video.bits import BitReader, BitstreamError, without_emulation

__all__ = ("is_entry",)

#: Type of the message `recovery_point` (H.264 and H.265, annex D), and the bytes that its first number may need.
_RECOVERY_POINT, _NUMBER_BYTES = 6, 9
#: Bytes of a unit, and messages of a picture, that are read. Cameras send some ten messages, the recovery point among the
#: first; a unit may have millions.
_READ_BYTES, _READ_MESSAGES = 4096, 64
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
    """Return the number of pictures that a recovery takes, for each recovery point near the beginning."""
    supplements = (unit for unit in units if nal.nalu_type(codec, unit) == nal.SUPPLEMENT[codec])
    bodies = (without_emulation(unit[nal.HEAD_BYTES[codec] : _READ_BYTES]) for unit in supplements)
    for kind, content in islice(chain.from_iterable(map(_messages, bodies)), _READ_MESSAGES):
        if kind == _RECOVERY_POINT:
            reader = BitReader(content)
            try:
                yield reader.unsigned() if codec is VideoCodec.H264 else abs(reader.signed())
            except BitstreamError:
                continue


def _messages(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the type and the first bytes of each message of supplemental enhancement information (7.3.2.3)."""
    at = 0
    while at < len(payload) - 1:
        kind, at = _summed(payload, at)
        size, at = _summed(payload, at)
        yield kind, payload[at : at + min(size, _NUMBER_BYTES)]
        at += size


def _summed(payload: bytes, at: int) -> tuple[int, int]:
    """Return a number, to which each byte of 255 adds and which another byte ends, and where the next one begins."""
    number = 0
    while at < len(payload) and payload[at] == 255:
        number, at = number + 255, at + 1
    return (number + payload[at], at + 1) if at < len(payload) else (number, at)
