"""Parser of H.265 sequence parameter sets (ITU-T H.265, 7.3.2.2), for the API and the containers."""

from dataclasses import dataclass

from agent_core.plugin.video.bits import MAX_SET_BYTES, MAX_SIDE, BitReader, BitstreamError, without_emulation

__all__ = ("Sps", "parse_sps")

_PROFILES = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Rext"}


@dataclass(frozen=True, slots=True)
class Sps:
    """Sequence parameter set.

    Attributes:
        profile_tier_level: the 12 bytes that a container copies.
        luma_depth: bit depth minus 8, as `chroma_depth`.
        reorder_frames: the most pictures that may precede a picture in decoding order and follow it in output order;
            None if the set is truncated before this number.
        number: `sps_seq_parameter_set_id`.
    """

    width: int
    height: int
    profile_tier_level: bytes
    chroma: int
    luma_depth: int
    chroma_depth: int
    sub_layers: int
    nested: bool
    reorder_frames: int | None = None
    number: int = 0

    @property
    def profile(self) -> str:
        number = self.profile_tier_level[0] & 0x1F
        return _PROFILES.get(number, str(number))

    @property
    def level(self) -> str:
        whole, rest = divmod(self.profile_tier_level[11], 30)
        return f"{whole}.{rest // 3}" if rest else str(whole)


def parse_sps(nalu: bytes) -> Sps:
    """Parse the set in `nalu`, which includes both header bytes.

    Raises:
        BitstreamError: the set is truncated or has impossible values.
    """
    reader = BitReader(without_emulation(nalu[2:MAX_SET_BYTES]))
    reader.bits(4)
    sub_layers = reader.bits(3)
    nested = reader.flag()
    profile = reader.bits(96).to_bytes(12, "big")
    _skip_sub_layers(reader, sub_layers)
    number = reader.unsigned()
    chroma = reader.unsigned()
    if chroma == 3:
        reader.flag()
    width, height = reader.unsigned(), reader.unsigned()
    if reader.flag():
        left, right, top, bottom = (reader.unsigned() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1)
    depths = reader.unsigned(), reader.unsigned()
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE) or chroma > 3 or max(depths) > 7:
        raise BitstreamError("A parameter set has impossible values.")
    reorder = _reorder(reader, sub_layers)
    return Sps(width, height, profile, chroma, *depths, sub_layers + 1, nested, reorder, number)


def _reorder(reader: BitReader, sub_layers: int) -> int | None:
    """Return `sps_max_num_reorder_pics` of the highest sub-layer."""
    try:
        reader.unsigned()
        reorder = 0
        for _ in range(sub_layers + 1 if reader.flag() else 1):
            reader.unsigned()
            reorder = reader.unsigned()
            reader.unsigned()
    except BitstreamError:
        return None
    return min(reorder, 16)


def _skip_sub_layers(reader: BitReader, count: int) -> None:
    present = [(reader.flag(), reader.flag()) for _ in range(count)]
    if count:
        reader.bits(2 * (8 - count))
    for profile, level in present:
        reader.bits(88 * profile + 8 * level)
