"""NAL units in the pictures of H.264: after start codes (RTSP), or after their lengths (Matroska).

Apart from `continuity`, so that the search for units does not depend on what is read in them. The worker imports
nothing of the agent, to start fast and to stay small, and so not `agent_core.plugin.video` either.
"""

import re
from collections.abc import Iterator

__all__ = ("NalUnits",)

_START = re.compile(rb"\x00\x00\x01")
#: First byte of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1), and the bytes before its parameter sets.
_RECORD, _RECORD_BYTES = 1, 5
#: Bits of the numbers of sequence parameter sets and of picture parameter sets, which follow each other.
_COUNT_BITS = (0x1F, 0xFF)


class NalUnits:
    """Finder of the NAL units of one stream.

    Args:
        parameter_sets: those of the stream's description: after start codes, or an AVCDecoderConfigurationRecord.
    """

    def __init__(self, parameter_sets: bytes) -> None:
        is_record = len(parameter_sets) > _RECORD_BYTES and parameter_sets[0] == _RECORD
        self._length_bytes = (parameter_sets[4] & 3) + 1 if is_record else None
        self._parameter_sets = parameter_sets

    def parameter_sets(self) -> Iterator[bytes]:
        """Yield the parameter sets of the stream's description, as far as they are whole."""
        data = self._parameter_sets
        if self._length_bytes is None:
            yield from (data[at:] for at in self.starts(data))
            return
        at = _RECORD_BYTES
        for bits in _COUNT_BITS:
            count = data[at] & bits if at < len(data) else 0
            at += 1
            for _ in range(count):
                start = at + 2
                at = start + int.from_bytes(data[at:start], "big")
                yield data[start:at]

    def starts(self, data: bytes) -> Iterator[int]:
        """Yield where each NAL unit of a picture starts."""
        size = self._length_bytes
        if size is None:
            yield from (found.end() for found in _START.finditer(data))
            return
        at = size
        while at < len(data):
            yield at
            at += int.from_bytes(data[at - size : at], "big") + size
