"""JPEG structure without decoding: segments, the end of the picture and its size.

Markers and segment layout are those of ITU-T T.81, annex B.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

__all__ = (
    "BETWEEN_SCANS",
    "DHT",
    "DQT",
    "DRI",
    "EOI",
    "MAX_SEGMENTS",
    "SOF",
    "SOI",
    "SOS",
    "STRUCTURED",
    "JpegError",
    "JpegInfo",
    "ScanStop",
    "Segment",
    "end_of_picture",
    "header_segments",
    "inspect",
    "is_consistent",
    "picture_size",
    "scan_stop",
    "segment_at",
)

SOI = b"\xff\xd8"
EOI = b"\xff\xd9"
DHT, SOS, DQT, DRI = 0xC4, 0xDA, 0xDB, 0xDD
_EOI = EOI[1]
#: Start-of-frame markers: C0 to CF without the tables DHT (C4), JPG (C8) and DAC (CC).
SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: TEM, the restarts, SOI, EOI. None may follow the first SOI in a header.
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
#: Segments whose contents tell their length.
STRUCTURED = frozenset({DHT, SOS, DQT, DRI, *SOF})
#: Segments that may follow a scan (T.81, B.2.1 to B.2.4): tables, a further scan, DNL (DC), application data, comments.
BETWEEN_SCANS = frozenset({DHT, 0xCC, SOS, DQT, 0xDC, DRI, *range(0xE0, 0xF0), 0xFE})
#: The next marker in compressed data: not a stuffed zero (FF00), a restart, or a fill byte.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FILL = re.compile(rb"\xff*")
#: Most segments of one picture. A progressive picture has some dozens; the limit bounds the work on a forged one.
MAX_SEGMENTS = 1000

#: Most bytes of tables in one segment: four Huffman tables of each class, each with 16 counts and 256 values.
_MAX_TABLES_BYTES = 8 * (17 + 256)

#: A segment as (marker, start, end); `start` is the position of its 0xFF.
Segment = tuple[int, int, int]


class JpegError(ValueError):
    """Error for data that is not a whole JPEG. The message is a clause that names the fault."""


@dataclass(frozen=True, slots=True)
class JpegInfo:
    """Dimensions of a picture in pixels, and its length.

    `size_bytes` ends with the end marker and does not include what follows it.
    """

    width: int
    height: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ScanStop:
    """Place where the compressed data of a picture stop.

    Attributes:
        position: end of the picture if there is no `fault`, else the position of the marker that does not belong
            there, or the end of the data.
        between: the segments between scans, in order.
        fault: clause that names why it is not the end of a picture; empty if it is.
    """

    position: int
    between: tuple[Segment, ...]
    fault: str = ""


def segment_at(data: bytes, position: int) -> Segment:
    """Return the segment at `position`, after any fill bytes.

    Raises:
        JpegError: there is no segment, or not its length.
    """
    fill = _FILL.match(data, position)
    position = max(position, fill.end() - 1) if fill else position
    if position + 2 > len(data):
        raise JpegError("it ends inside its header")
    marker = data[position + 1]
    if data[position] != 0xFF:
        raise JpegError("its header is damaged")
    if marker in _BARE:
        return marker, position, position + 2
    if position + 4 > len(data):
        raise JpegError("it ends inside its header")
    (length,) = struct.unpack_from(">H", data, position + 2)
    if length < 2:
        raise JpegError("its header is damaged")
    return marker, position, position + 2 + length


def is_consistent(data: bytes, segment: Segment) -> bool:
    """Check that the length of a segment suits its contents; its marker must be in `STRUCTURED`."""
    marker, start, end = segment
    body = data[start + 4 : end]
    if end > len(data):
        return False
    if marker == SOS:
        return bool(body) and 1 <= body[0] <= 4 and len(body) == 4 + 2 * body[0]
    if marker == DRI:
        return len(body) == 2
    if marker == DQT:
        return _is_filled(body, lambda at: 129 if body[at] >> 4 else 65)
    if marker == DHT:
        return _is_filled(body, lambda at: 17 + sum(body[at + 1 : at + 17]))
    return len(body) > 5 and len(body) == 6 + 3 * body[5]


def _is_filled(body: bytes, size_at: Callable[[int], int]) -> bool:
    """Check that tables, each of the size that `size_at` its start returns, fill `body` exactly."""
    at = 0
    while at < len(body) <= _MAX_TABLES_BYTES:
        at += size_at(at)
    return at == len(body) > 0


def header_segments(data: bytes, start: int = 0) -> list[Segment]:
    """Return the segments of the picture at `start`, up to and including the first start of scan.

    Raises:
        JpegError: other bytes come before the start of scan, or it is missing.
    """
    if data[start : start + 2] != SOI:
        raise JpegError("it does not start like a JPEG")
    found = []
    position = start + 2
    for _ in range(MAX_SEGMENTS):
        segment = segment_at(data, position)
        if segment[0] in _BARE:
            raise JpegError("its header is damaged")
        found.append(segment)
        position = segment[2]
        if segment[0] == SOS:
            return found
    raise JpegError("its header has too many segments")


def scan_stop(data: bytes, scan_start: int) -> ScanStop:
    """Return where the compressed data stop. A progressive picture has further tables and scans in between."""
    position = scan_start
    between: list[Segment] = []
    while len(between) < MAX_SEGMENTS:
        found = _SCAN_END.search(data, position)
        if found is None:
            return ScanStop(len(data), tuple(between), "its end is missing")
        at = found.start()
        if data[at + 1] == _EOI:
            return ScanStop(at + 2, tuple(between))
        if data[at + 1] not in BETWEEN_SCANS:
            return ScanStop(at, tuple(between), "its picture data is damaged")
        try:
            segment = segment_at(data, at)
        except JpegError:
            return ScanStop(at, tuple(between), "its end is missing")
        if segment[0] in STRUCTURED and not is_consistent(data, segment):
            return ScanStop(at, tuple(between), "its picture data is damaged")
        between.append(segment)
        position = segment[2]
    return ScanStop(position, tuple(between), "it has too many scans")


def end_of_picture(data: bytes, scan_start: int) -> int:
    """Return the position after the end marker.

    Raises:
        JpegError: there is none, or a marker that does not belong there comes before it.
    """
    stop = scan_stop(data, scan_start)
    if stop.fault:
        raise JpegError(stop.fault)
    return stop.position


def picture_size(data: bytes, segments: list[Segment]) -> tuple[int, int]:
    """Return width and height in pixels. Raises JpegError if the header does not contain them."""
    for marker, start, end in segments:
        if marker in SOF and end - start >= 9:
            height, width = struct.unpack_from(">HH", data, start + 5)
            if width and height:
                return width, height
    raise JpegError("its size is missing")


def inspect(data: bytes) -> JpegInfo:
    """Check that `data` starts with one whole JPEG and return its size. What follows its end marker does not count.

    Only the markers in the compressed data are checked. An illegal marker counts as damage, because a decoder shows
    nothing after it.

    Raises:
        JpegError: the picture is damaged or cut short.
    """
    segments = header_segments(data)
    size_bytes = end_of_picture(data, segments[-1][2])
    width, height = picture_size(data, segments)
    return JpegInfo(width, height, size_bytes)
