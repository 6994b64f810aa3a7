"""Detection of lost H.264 pictures by their frame numbers (ITU-T H.264, 7.3 and 7.4.3).

libav conceals a lost picture and does not flag the pictures that are predicted from it. Its H.265 decoder reports a
missing reference by itself, and a Motion JPEG picture depends on no other.
"""

from contextlib import suppress
from dataclasses import dataclass

from rtsp_tier.worker.nal import NalUnits

__all__ = ("FrameNumbers",)

_SLICE, _IDR, _SEQUENCE, _PICTURE = 1, 5, 7, 8
#: Bytes of a slice that contain the fields read here, and bytes of a parameter set.
_SLICE_BYTES, _SET_BYTES = 32, 512
#: Profiles whose sequence parameter sets describe the chroma format.
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


class _Bits:
    """Reader of bit fields. Reading past the end raises IndexError."""

    def __init__(self, data: bytes) -> None:
        clean = data.replace(b"\x00\x00\x03", b"\x00\x00")
        self._text = "".join(f"{byte:08b}" for byte in clean)
        self._at = 0

    def fixed(self, count: int) -> int:
        if self._at + count > len(self._text):
            raise IndexError
        value = int(self._text[self._at : self._at + count], 2) if count else 0
        self._at += count
        return value

    def exponential(self) -> int:
        """Read an unsigned Exp-Golomb number (9.1)."""
        one_at = self._text.find("1", self._at)
        if not 0 <= one_at - self._at <= 32:
            raise IndexError
        zeros = one_at - self._at
        self._at = one_at
        return self.fixed(zeros + 1) - 1

    def signed(self) -> int:
        value = self.exponential()
        return (value + 1) // 2 if value % 2 else -(value // 2)


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Fields of a sequence parameter set. `may_skip`: the encoder may leave out frame numbers."""

    number_bits: int
    separate_planes: bool
    may_skip: bool


class FrameNumbers:
    """Frame numbers of an H.264 stream, in decoding order.

    A stream whose parameter sets cannot be read has no gaps.

    Args:
        parameter_sets: those of the stream's description, as for `NalUnits`.
    """

    def __init__(self, parameter_sets: bytes) -> None:
        self._units = NalUnits(parameter_sets)
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, int] = {}
        self._previous: int | None = None
        for each in self._units.parameter_sets():
            self._note(each[:_SET_BYTES])

    def restart(self) -> None:
        """Take any number as the next, as at a key frame after others were skipped."""
        self._previous = None

    def is_gap(self, data: bytes) -> bool:
        """Return True if pictures that others refer to are missing before the picture `data`."""
        for at in self._units.starts(data):
            if at >= len(data):
                break
            kind = data[at] & 0x1F
            try:
                if kind in {_SLICE, _IDR}:
                    return self._is_gap_at(kind, data[at : at + _SLICE_BYTES])
            except (IndexError, KeyError):
                continue
            self._note(data[at : at + _SET_BYTES])
        return False

    def _note(self, unit: bytes) -> None:
        """Learn from a NAL unit, if it is a parameter set that can be read."""
        with suppress(IndexError, KeyError):
            self._learn(unit[0] & 0x1F, unit[1:])

    def _learn(self, kind: int, data: bytes) -> None:
        bits = _Bits(data) if kind in {_SEQUENCE, _PICTURE} else None
        if bits is not None and kind == _SEQUENCE:
            identity, sequence = _read_sequence(bits)
            self._sequences[identity] = sequence
        elif bits is not None:
            picture = bits.exponential()
            self._pictures[picture] = bits.exponential()

    def _is_gap_at(self, kind: int, data: bytes) -> bool:
        bits = _Bits(data[1:])
        bits.exponential()  # first_mb_in_slice
        bits.exponential()  # slice_type
        sequence = self._sequences[self._pictures[bits.exponential()]]
        bits.fixed(2 if sequence.separate_planes else 0)
        number = bits.fixed(sequence.number_bits)
        previous = self._previous
        is_reference = bool(data[0] & 0x60)
        if is_reference or kind == _IDR:
            self._previous = number
        if kind == _IDR or previous is None or sequence.may_skip:
            return False
        return number not in {previous, (previous + 1) % (1 << sequence.number_bits)}


def _read_sequence(bits: _Bits) -> tuple[int, _Sequence]:
    profile = bits.fixed(8)
    bits.fixed(16)  # constraints and level
    identity = bits.exponential()
    separate_planes = profile in _HIGH_PROFILES and _skip_chroma(bits)
    number_bits = bits.exponential() + 4
    _skip_order(bits)
    bits.exponential()  # max_num_ref_frames
    return identity, _Sequence(number_bits, separate_planes, bool(bits.fixed(1)))


def _skip_chroma(bits: _Bits) -> bool:
    """Read up to the scaling lists; return separate_colour_plane_flag."""
    chroma = bits.exponential()
    separate_planes = chroma == 3 and bool(bits.fixed(1))
    bits.exponential()  # bit_depth_luma_minus8
    bits.exponential()  # bit_depth_chroma_minus8
    bits.fixed(1)  # qpprime_y_zero_transform_bypass_flag
    if bits.fixed(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.fixed(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return separate_planes


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_order(bits: _Bits) -> None:
    """Read the fields of the picture order count."""
    kind = bits.exponential()
    if kind == 0:
        bits.exponential()  # log2_max_pic_order_cnt_lsb_minus4
    elif kind == 1:
        bits.fixed(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.exponential()):
            bits.signed()
