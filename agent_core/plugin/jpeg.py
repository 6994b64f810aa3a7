"""JPEG structure without decoding: is a frame whole, how large is the picture, where does an EXIF segment go.

Markers and segment layout are those of ITU-T T.81, annex B; the EXIF tags those of CIPA DC-008 (Exif 2.32).
"""

import struct
from dataclasses import dataclass
from datetime import datetime

__all__ = ("JpegError", "JpegInfo", "inspect", "with_capture_time")

_SOI = b"\xff\xd8"
_EOI = b"\xff\xd9"
_SOS = 0xDA
_APP0 = 0xE0
_APP1 = 0xE1
#: Start-of-frame markers: C0 to CF without the tables DHT (C4), JPG (C8) and DAC (CC).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: UVC cameras pad a frame with zeros to the end of the USB payload; more than this is a torn frame.
_MAX_PADDING_BYTES = 4096


class JpegError(ValueError):
    """Not a whole JPEG; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class JpegInfo:
    """`size_bytes` is the length up to and including the end marker; trailing padding is not counted."""

    width: int
    height: int
    size_bytes: int


def _segments(data: bytes) -> "list[tuple[int, int, int]]":
    """The segments before the scan as (marker, start, end), `start` at the 0xFF."""
    if data[:2] != _SOI:
        raise JpegError("it does not start like a JPEG")
    found = []
    position = 2
    while True:
        if position + 4 > len(data):
            raise JpegError("it ends inside its header")
        if data[position] != 0xFF:
            raise JpegError("its header is damaged")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if length < 2:
            raise JpegError("its header is damaged")
        end = position + 2 + length
        found.append((marker, position, end))
        if marker == _SOS:
            return found
        position = end


def _end_of_picture(data: bytes, scan_start: int) -> int:
    end = data.rfind(_EOI)
    if end < scan_start or len(data) - end - 2 > _MAX_PADDING_BYTES:
        raise JpegError("its end is missing")
    return end + 2


def inspect(data: bytes) -> JpegInfo:
    """Check that `data` is one whole JPEG and return its size; the compressed picture itself is not looked at.

    Raises:
        JpegError: it is damaged or cut short.
    """
    segments = _segments(data)
    size_bytes = _end_of_picture(data, segments[-1][2])
    for marker, start, end in segments:
        if marker in _SOF and end - start >= 9:
            height, width = struct.unpack_from(">HH", data, start + 5)
            if width and height:
                return JpegInfo(width, height, size_bytes)
    raise JpegError("it does not say how large it is")


def _ascii_entry(tag: int, text: bytes, offset: int) -> bytes:
    """A TIFF directory entry of type ASCII; up to four bytes stand in the entry itself."""
    value = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(">I", offset)
    return struct.pack(">HHI", tag, 2, len(text)) + value


def _exif_segment(captured_at: datetime) -> bytes:
    """DateTimeOriginal (9003), OffsetTimeOriginal (9011) and SubSecTimeOriginal (9291) in an Exif sub-directory."""
    texts = {
        0x9003: captured_at.strftime("%Y:%m:%d %H:%M:%S").encode() + b"\0",
        0x9011: b"+00:00\0",
        0x9291: f"{captured_at.microsecond // 1000:03d}".encode() + b"\0",
    }
    sub_directory_at = 8 + 2 + 12 + 4
    offset = sub_directory_at + 2 + 12 * len(texts) + 4
    entries, values = b"", b""
    for tag, text in texts.items():
        entries += _ascii_entry(tag, text, offset + len(values))
        values += text if len(text) > 4 else b""
    pointer = struct.pack(">HHII", 0x8769, 4, 1, sub_directory_at)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + pointer + b"\0" * 4
    tiff += struct.pack(">H", len(texts)) + entries + b"\0" * 4 + values
    body = b"Exif\0\0" + tiff
    return struct.pack(">BBH", 0xFF, _APP1, len(body) + 2) + body


def with_capture_time(data: bytes, captured_at: datetime) -> bytes:
    """`data` with an EXIF segment that gives `captured_at` (aware, UTC); every other byte stays as it was.

    A picture that has EXIF data already is returned unchanged: its camera knows better. Padding behind the end marker
    is left out.

    Raises:
        JpegError: it is damaged or cut short.
    """
    segments = _segments(data)
    end = _end_of_picture(data, segments[-1][2])
    if any(marker == _APP1 and data[at + 4 : at + 10] == b"Exif\0\0" for marker, at, _ in segments):
        return data[:end]
    insert_at = next((until for marker, _, until in segments if marker == _APP0), 2)
    return data[:insert_at] + _exif_segment(captured_at) + data[insert_at:end]
