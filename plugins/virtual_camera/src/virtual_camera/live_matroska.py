"""Reader of live Matroska with one track of H.264 or H.265, as FFmpeg writes it: pictures, each with a time. Without I/O.

Only what FFmpeg writes with a cluster for each picture is read; see RFC 9559 for the elements.
"""

from agent_core.plugin.video import BitstreamError, annex_b, without_lengths
from virtual_camera.timed_picture import DamagedOutput, TimedPicture

__all__ = ("MatroskaReader",)

_EBML, _SEGMENT, _CLUSTER, _TIMESTAMP, _SIMPLE_BLOCK = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xE7, 0xA3
#: Track number, time after the cluster's and flags, before the picture.
_BLOCK_HEAD_BYTES = 4
#: Longest plausible element, far above any picture of a configurable size.
_LIMIT_BYTES = 64 << 20
#: Longest identifier and longest size of an element.
_HEAD_BYTES = 12


class MatroskaReader:
    """Incremental reader. After an error, each further call raises an error."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_first = True

    def feed(self, data: bytes) -> list[TimedPicture]:
        """Take a chunk of any size and return the pictures that it completes, in order, with start codes.

        Raises:
            DamagedOutput: the data is not the Matroska that is read here.
        """
        self._buffer += data
        pictures: list[TimedPicture] = []
        at = 0
        while (found := self._element(at)) is not None:
            kind, start, end = found
            if kind == _CLUSTER:
                pictures += self._pictures(start, end)
            at = start if kind == _SEGMENT else end
        del self._buffer[:at]
        return pictures

    def _element(self, at: int) -> tuple[int, int, int] | None:
        """Return the identifier, the start and the end of the content of the element at `at`; None while it is not whole."""
        head = bytes(self._buffer[at : at + _HEAD_BYTES])
        if not head or not (id_bytes := 9 - head[0].bit_length()) <= 4:
            if head:
                raise DamagedOutput("The Matroska has an impossible element.")
            return None
        if len(head) <= id_bytes or len(head) < id_bytes + (size_bytes := 9 - head[id_bytes].bit_length()):
            return None
        kind = int.from_bytes(head[:id_bytes])
        if self._is_first and kind != _EBML:
            raise DamagedOutput("The data does not start like Matroska.")
        self._is_first = False
        start = at + id_bytes + size_bytes
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes]) & ((1 << 7 * size_bytes) - 1)
        if kind == _SEGMENT:
            return kind, start, start
        if size > _LIMIT_BYTES:
            raise DamagedOutput("An element of the Matroska is impossibly large.")
        return (kind, start, start + size) if start + size <= len(self._buffer) else None

    def _pictures(self, at: int, end: int) -> list[TimedPicture]:
        pictures, time_ms = [], 0
        while at < end:
            found = self._element(at)
            if found is None or found[2] > end:
                raise DamagedOutput("A cluster of the Matroska is damaged.")
            kind, start, at = found
            content = bytes(self._buffer[start:at])
            if kind == _TIMESTAMP:
                time_ms = int.from_bytes(content)
            elif kind == _SIMPLE_BLOCK:
                after_ms = int.from_bytes(content[1:3], signed=True)
                pictures.append(TimedPicture((time_ms + after_ms) % 2**32, _with_start_codes(content)))
        return pictures


def _with_start_codes(block: bytes) -> bytes:
    try:
        return annex_b(without_lengths(block[_BLOCK_HEAD_BYTES:]))
    except BitstreamError as error:
        raise DamagedOutput("A picture in the Matroska is damaged.") from error
