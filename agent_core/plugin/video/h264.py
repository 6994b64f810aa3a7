"""Parser of H.264 sequence parameter sets (ITU-T H.264, 7.3.2.1.1), for the API and the containers."""

from dataclasses import dataclass

from agent_core.plugin.video.bits import MAX_SET_BYTES, MAX_SIDE, BitReader, BitstreamError, without_emulation

__all__ = ("Sps", "is_b_slice", "is_intra_slice", "parse_sps")

#: Profiles whose sets have the chroma and scaling fields (7.3.2.1.1).
_HIGH = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_PROFILES = {66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High 10", 122: "High 4:2:2"}
_PROFILES |= {244: "High 4:4:4 Predictive"}
_EXTENDED_ASPECT = 255
#: `slice_type` of slices that predict from two lists (table 7-6), the second value if all slices of the picture do.
_B_SLICES = (1, 6)
#: `slice_type` of slices that predict from no other picture: I and SI.
_INTRA_SLICES = (2, 4, 7, 9)
#: First bytes of a slice, with its first two numbers.
_SLICE_HEAD_BYTES = 12


@dataclass(frozen=True, slots=True)
class Sps:
    """Sequence parameter set.

    Attributes:
        reorder_frames: the most pictures that may precede a picture in decoding order and follow it in output order;
            None if the set does not specify it.
        luma_depth: bit depth minus 8, as `chroma_depth`.
        number: `seq_parameter_set_id`.
    """

    width: int
    height: int
    profile_idc: int
    level_idc: int
    reorder_frames: int | None
    chroma: int = 1
    luma_depth: int = 0
    chroma_depth: int = 0
    number: int = 0

    @property
    def profile(self) -> str:
        return _PROFILES.get(self.profile_idc, str(self.profile_idc))

    @property
    def level(self) -> str:
        whole, tenth = divmod(self.level_idc, 10)
        return f"{whole}.{tenth}" if tenth else str(whole)


def is_b_slice(nalu: bytes) -> bool:
    """Return True if a slice (7.3.3) may belong to a picture that is shown before pictures decoded earlier."""
    return _slice_type(nalu) in _B_SLICES


def is_intra_slice(nalu: bytes) -> bool:
    """Return True if a slice predicts from no other picture."""
    return _slice_type(nalu) in _INTRA_SLICES


def _slice_type(nalu: bytes) -> int | None:
    reader = BitReader(nalu[1:_SLICE_HEAD_BYTES])
    try:
        reader.unsigned()
        return reader.unsigned()
    except BitstreamError:
        return None


def parse_sps(nalu: bytes) -> Sps:
    """Parse the set in `nalu`, which includes the header byte.

    Raises:
        BitstreamError: the set is truncated or has impossible values.
    """
    reader = BitReader(without_emulation(nalu[1:MAX_SET_BYTES]))
    profile_idc, _, level_idc = reader.bits(8), reader.bits(8), reader.bits(8)
    number = reader.unsigned()
    chroma, luma_depth, chroma_depth = _chroma(reader) if profile_idc in _HIGH else (1, 0, 0)
    reader.unsigned()
    order_type = _picture_order(reader)
    reader.unsigned()
    reader.flag()
    width, height = _size(reader, chroma)
    if chroma > 3 or max(luma_depth, chroma_depth) > 7:
        raise BitstreamError("A parameter set has impossible values.")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise BitstreamError("A parameter set has an impossible picture size.")
    reorder = 0 if order_type == 2 or profile_idc == 66 else _reorder(reader)
    return Sps(width, height, profile_idc, level_idc, reorder, chroma, luma_depth, chroma_depth, number)


def _chroma(reader: BitReader) -> tuple[int, int, int]:
    """Return the chroma format and both bit depths, and skip the scaling lists."""
    chroma = reader.unsigned()
    if chroma == 3:
        reader.flag()
    luma_depth, chroma_depth = reader.unsigned(), reader.unsigned()
    reader.flag()
    if reader.flag():
        for index in range(12 if chroma == 3 else 8):
            if reader.flag():
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma, luma_depth, chroma_depth


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed()) % 256
        last = following or last


def _picture_order(reader: BitReader) -> int:
    kind = reader.unsigned()
    if kind == 0:
        reader.unsigned()
    elif kind == 1:
        reader.flag()
        reader.signed()
        reader.signed()
        for _ in range(min(reader.unsigned(), 255)):
            reader.signed()
    return kind


def _size(reader: BitReader, chroma: int) -> tuple[int, int]:
    width, height = (reader.unsigned() + 1) * 16, (reader.unsigned() + 1) * 16
    frames_only = reader.flag()
    if not frames_only:
        reader.flag()
        height *= 2
    reader.flag()
    if reader.flag():
        left, right, top, bottom = (reader.unsigned() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1) * (1 if frames_only else 2)
    return width, height


def _reorder(reader: BitReader) -> int | None:
    """Return `max_num_reorder_frames` from the usability information (annex E); None if it is not specified."""
    try:
        if not reader.flag():
            return None
        _skip_display(reader)
        has_hrd = [_skip_hrd(reader) if reader.flag() else False for _ in range(2)]
        if any(has_hrd):
            reader.flag()
        reader.flag()
        if not reader.flag():
            return None
        reader.flag()
        for _ in range(4):
            reader.unsigned()
        return min(reader.unsigned(), 16)
    except BitstreamError:
        return None


def _skip_display(reader: BitReader) -> None:
    if reader.flag() and reader.bits(8) == _EXTENDED_ASPECT:
        reader.bits(32)
    if reader.flag():
        reader.flag()
    if reader.flag():
        reader.bits(4)
        if reader.flag():
            reader.bits(24)
    if reader.flag():
        reader.unsigned()
        reader.unsigned()
    if reader.flag():
        reader.bits(65)


def _skip_hrd(reader: BitReader) -> bool:
    count = reader.unsigned() + 1
    reader.bits(8)
    for _ in range(min(count, 32)):
        reader.unsigned()
        reader.unsigned()
        reader.flag()
    reader.bits(20)
    return True
