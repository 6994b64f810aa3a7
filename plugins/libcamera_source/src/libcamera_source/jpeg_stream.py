"""Division of a program's output into pictures: JPEGs that follow each other without any framing."""

import re
from collections.abc import Iterator

__all__ = ("JpegStream",)

_SOI, _EOI, _SOS = b"\xff\xd8", 0xD9, 0xDA
#: Next marker in the data of a scan that is neither stuffing (FF00), a restart (FFD0 to FFD7) nor a fill byte.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
#: Markers without a length (ITU-T T.81, table B.1): TEM, restarts and a repeated start.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
#: Largest picture: a 64-megapixel JPEG of high quality is half of it.
_LARGEST_BYTES = 64 << 20


class JpegStream:
    """Reader of JPEGs from chunks of any length. `skipped` counts pieces that belong to no picture."""

    def __init__(self, largest_bytes: int = _LARGEST_BYTES) -> None:
        self._largest_bytes = largest_bytes
        self._data = bytearray()
        self._position = 0
        self._in_scan = False
        self.skipped = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the pictures that `chunk` completes, from the start marker to the end marker."""
        self._data += chunk
        while self._at_start():
            end = self._end()
            if end is None:
                if len(self._data) > self._largest_bytes:
                    self._drop(len(_SOI))
                    continue
                return
            picture = bytes(self._data[:end])
            self._cut(end)
            yield picture

    def _at_start(self) -> bool:
        """Drop what precedes the next start marker; return whether there is one."""
        if self._position:
            return True
        start = self._data.find(_SOI)
        if start < 0:
            keeps = self._data[-1:] == b"\xff"
            if len(self._data) > keeps:
                self._drop(len(self._data) - keeps)
            return False
        if start:
            self._drop(start)
        self._position = len(_SOI)
        return True

    def _drop(self, count: int) -> None:
        self.skipped += 1
        self._cut(count)

    def _cut(self, count: int) -> None:
        del self._data[:count]
        self._position, self._in_scan = 0, False

    def _end(self) -> int | None:
        """Return the end of the picture, None if it is not there yet. A damaged header counts as the picture's end."""
        while True:
            if self._in_scan:
                found = _MARKER_IN_SCAN.search(self._data, self._position)
                if found is None:
                    self._position = max(self._position, len(self._data) - 1)
                    return None
                self._position, self._in_scan = found.start(), False
            if len(self._data) < self._position + 2:
                return None
            marker = self._data[self._position + 1]
            if self._data[self._position] != 0xFF or marker in (0x00, 0xD8):
                return self._position  # no header: the broker counts the piece as damaged
            if marker == _EOI:
                return self._position + 2
            if not self._pass(marker):
                return None

    def _pass(self, marker: int) -> bool:
        """Go past one marker and its segment; return False if its length is not there yet."""
        if marker == 0xFF or marker in _BARE:
            self._position += 1 if marker == 0xFF else 2
            return True
        if len(self._data) < self._position + 4:
            return False
        self._position += 2 + int.from_bytes(self._data[self._position + 2 : self._position + 4])
        self._in_scan = marker == _SOS
        return True
