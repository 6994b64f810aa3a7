"""Parameter sets of a stream, which a camera may send once, with each key frame, or anew when its settings change."""

from collections.abc import Iterable

from agent_core.base.models import VideoCodec
from agent_core.plugin.video import h264, h265, nal
from agent_core.plugin.video.bits import MAX_SET_BYTES, BitReader, BitstreamError
from agent_core.plugin.video.configuration import Configuration, configuration

__all__ = ("ParameterSets",)

#: Numbers of sets that the standards allow, by type.
_MOST = {7: 32, 8: 256, 32: 16, 33: 16, 34: 64}
#: First bytes of a set that contain its number.
_HEAD_BYTES = 16


class ParameterSets:
    """The newest parameter set of each type and number.

    Args:
        codec: H.264 or H.265.
    """

    def __init__(self, codec: VideoCodec) -> None:
        self._codec = codec
        self._sets: dict[tuple[int, int], bytes] = {}
        self._configuration: Configuration | None = None

    def learn(self, units: Iterable[bytes]) -> None:
        """Take over the parameter sets among `units`; those that are damaged, or too long to store, are skipped."""
        for unit in units:
            if unit in self._sets.values():
                continue
            kind = nal.nalu_type(self._codec, unit)
            if kind in nal.SETS[self._codec] and len(unit) <= MAX_SET_BYTES:
                number = self._number(kind, unit)
                if number is not None and number < _MOST[kind]:
                    self._sets[kind, number] = unit
                    self._configuration = None

    @property
    def configuration(self) -> Configuration | None:
        """Configuration of a decoder for the sets, the same object until one changes; None while one is missing."""
        if self._configuration is None:
            try:
                self._configuration = configuration(
                    self._codec, [self._sets[key] for key in sorted(self._sets)]
                )
            except BitstreamError:
                return None
        return self._configuration

    def _number(self, kind: int, unit: bytes) -> int | None:
        try:
            match kind:
                case 7:
                    return h264.parse_sps(unit).number
                case 33:
                    return h265.parse_sps(unit).number
                case 32:
                    return BitReader(unit[2:3]).bits(4)
                case _:
                    return BitReader(unit[nal.HEAD_BYTES[self._codec] : _HEAD_BYTES]).unsigned()
        except BitstreamError:
            return None
