"""Parameter sets of a stream, which a camera may send once, with each key frame, or anew when its settings change."""

from collections.abc import Iterable

from agent_core.base.models import VideoCodec
from agent_core.plugin.video import h264, h265, nal
from agent_core.plugin.video.bits import MAX_SET_BYTES, BitReader, BitstreamError, without_emulation
from agent_core.plugin.video.configuration import Configuration, configuration

__all__ = ("ParameterSets",)

#: Numbers of sets that the standards allow, by type.
_MOST = {7: 32, 8: 256, 32: 16, 33: 16, 34: 64}
#: First bytes of a set, or of a slice, that contain its numbers.
_HEAD_BYTES = 24
#: Types of the sets for sequences and for pictures.
_SEQUENCE = {VideoCodec.H264: 7, VideoCodec.H265: 33}
_PICTURE = {VideoCodec.H264: 8, VideoCodec.H265: 34}
#: Types of slices of H.265 whose number follows one more flag (7.3.6.1).
_IRAP_H265 = range(16, 24)


class ParameterSets:
    """The newest parameter set of each type and number, and which of them is in use.

    Args:
        codec: H.264 or H.265.
    """

    def __init__(self, codec: VideoCodec) -> None:
        self._codec = codec
        self._sets: dict[tuple[int, int], bytes] = {}
        self._configuration: Configuration | None = None
        #: Key of the set for sequences that is in use, if it is known.
        self._used: tuple[int, int] | None = None

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

    def use(self, units: Iterable[bytes]) -> None:
        """Let the picture of `units` decide which set for sequences, of several, the configuration describes."""
        first = next((unit for unit in units if nal.is_slice(self._codec, unit)), None)
        if first is None:
            return
        try:
            used = _SEQUENCE[self._codec], self._sequence_number(first)
        except (BitstreamError, KeyError):
            return
        if used != self._used:
            self._used = used
            self._configuration = None

    @property
    def configuration(self) -> Configuration | None:
        """Configuration of a decoder for the sets, the same object until one changes; None while one is missing."""
        if self._configuration is None:
            try:
                keys = sorted(self._sets, key=lambda key: (key != self._used, key))
                self._configuration = configuration(self._codec, [self._sets[key] for key in keys])
            except BitstreamError:
                return None
        return self._configuration

    def _sequence_number(self, slice_unit: bytes) -> int:
        """Return the number of the set for sequences to which a slice refers, through its set for pictures.

        Raises:
            BitstreamError: the slice, or the set, is truncated.
            KeyError: the set is not known.
        """
        reader = self._reader(slice_unit)
        if self._codec is VideoCodec.H264:
            reader.unsigned()  # first_mb_in_slice
            reader.unsigned()  # slice_type
        else:
            reader.flag()  # first_slice_segment_in_pic_flag
            if nal.nalu_type(self._codec, slice_unit) in _IRAP_H265:
                reader.flag()  # no_output_of_prior_pics_flag
        reader = self._reader(self._sets[_PICTURE[self._codec], reader.unsigned()])
        reader.unsigned()
        return reader.unsigned()

    def _reader(self, unit: bytes) -> BitReader:
        return BitReader(without_emulation(unit[nal.HEAD_BYTES[self._codec] : _HEAD_BYTES]))

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
                    return self._reader(unit).unsigned()
        except BitstreamError:
            return None
