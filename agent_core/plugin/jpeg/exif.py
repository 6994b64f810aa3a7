"""Capture time of a picture, as EXIF data. The tags are those of CIPA DC-008 (Exif 2.32)."""

import struct
from datetime import UTC, datetime
from itertools import takewhile

from agent_core.plugin.jpeg.structure import end_of_picture, header_segments

__all__ = ("with_capture_time",)

_APP0 = 0xE0
_APP1 = 0xE1


def _ascii_entry(tag: int, text: bytes, offset: int) -> bytes:
    """Return a TIFF directory entry of type ASCII. Up to four bytes are stored in the entry itself."""
    value = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(">I", offset)
    return struct.pack(">HHI", tag, 2, len(text)) + value


def _exif_segment(captured_at: datetime) -> bytes:
    """Return EXIF data: ExifVersion (9000), DateTimeOriginal (9003), its offset (9011) and sub-second (9291)."""
    utc = captured_at.astimezone(UTC)
    texts = {
        0x9003: utc.strftime("%Y:%m:%d %H:%M:%S").encode() + b"\0",
        0x9011: b"+00:00\0",
        0x9291: f"{utc.microsecond // 1000:03d}".encode() + b"\0",
    }
    count = 1 + len(texts)
    sub_directory_at = 8 + 2 + 12 + 4
    offset = sub_directory_at + 2 + 12 * count + 4
    entries = struct.pack(">HHI4s", 0x9000, 7, 4, b"0232")
    values = b""
    for tag, text in texts.items():
        entries += _ascii_entry(tag, text, offset + len(values))
        values += text if len(text) > 4 else b""
    pointer = struct.pack(">HHII", 0x8769, 4, 1, sub_directory_at)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + pointer + b"\0" * 4
    tiff += struct.pack(">H", count) + entries + b"\0" * 4 + values
    body = b"Exif\0\0" + tiff
    return struct.pack(">BBH", 0xFF, _APP1, len(body) + 2) + body


def with_capture_time(data: bytes, captured_at: datetime) -> bytes:
    """Return `data` with an EXIF segment that contains `captured_at`; no other byte of the picture changes.

    EXIF data of the camera takes precedence: a picture that has some is not changed. Padding after the end marker is
    removed.

    Args:
        data: a whole JPEG.
        captured_at: time of exposure, with a time zone.

    Raises:
        JpegError: the picture is damaged or cut short.
    """
    segments = header_segments(data)
    end = end_of_picture(data, segments[-1][2])
    if any(marker == _APP1 and data[at + 4 : at + 10] == b"Exif\0\0" for marker, at, _ in segments):
        return data[:end]
    leading = takewhile(lambda segment: segment[0] == _APP0, segments)  # JFIF must stay first
    insert_at = max((until for _, _, until in leading), default=2)
    return data[:insert_at] + _exif_segment(captured_at) + data[insert_at:end]
