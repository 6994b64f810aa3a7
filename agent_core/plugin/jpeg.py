"""JPEG structure without decoding: completeness, picture size, EXIF capture time and Huffman tables.

Markers and segment layout are those of ITU-T T.81, annex B; the EXIF tags those of CIPA DC-008 (Exif 2.32).
"""

import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile

__all__ = ("JpegError", "JpegInfo", "inspect", "with_capture_time", "with_huffman_tables")

_SOI = b"\xff\xd8"
_EOI = 0xD9
_DHT = 0xC4
_SOS = 0xDA
_APP0 = 0xE0
_APP1 = 0xE1
#: Start-of-frame markers: C0 to CF without the tables DHT (C4), JPG (C8) and DAC (CC).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: TEM, the restarts, SOI, EOI. None may follow the first SOI in a header.
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
#: The next marker in compressed data: not a stuffed zero (FF00), a restart, or a fill byte.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FILL = re.compile(rb"\xff*")
#: Most segments of one picture. A progressive picture has some dozens; the limit bounds the work on a forged one.
_MAX_SEGMENTS = 1000
#: Longest tail after the end marker that is not all zeros; a longer one means a torn frame. Cameras pad with zeros to
#: the end of the USB payload or to the largest frame size.
_MAX_TAIL_BYTES = 4096
#: Typical tables of ITU-T T.81, annex K.3, as one DHT segment. Frames without tables are coded with them.
_TYPICAL_TABLES = bytes.fromhex(
    "ffc401a2"
    # Luminance DC (table K.3): number of codes of each length, then their values.
    "0000010501010101010100000000000000000102030405060708090a0b"
    # Luminance AC (K.5).
    "100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f024"
    "33627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a7374"
    "75767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9ca"
    "d2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    # Chrominance DC (K.4).
    "0100030101010101010101010000000000000102030405060708090a0b"
    # Chrominance AC (K.6).
    "1100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f015"
    "6272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a73"
    "7475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8"
    "c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)


class JpegError(ValueError):
    """Error for data that is not a whole JPEG. The message is a clause that names the fault."""


@dataclass(frozen=True, slots=True)
class JpegInfo:
    """Dimensions of a picture in pixels, and its length.

    `size_bytes` ends with the end marker and does not include padding.
    """

    width: int
    height: int
    size_bytes: int


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Return the segment at `position`, after any fill bytes, as (marker, start, end); `start` is at the 0xFF."""
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


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """Return the segments up to and including the first start of scan."""
    if data[:2] != _SOI:
        raise JpegError("it does not start like a JPEG")
    found = []
    position = 2
    for _ in range(_MAX_SEGMENTS):
        segment = _segment(data, position)
        if segment[0] in _BARE:
            raise JpegError("its header is damaged")
        found.append(segment)
        position = segment[2]
        if segment[0] == _SOS:
            return found
    raise JpegError("its header has too many segments")


def _end_of_picture(data: bytes, scan_start: int) -> int:
    """Return the position after the end marker. A progressive picture has further tables and scans before it."""
    position = scan_start
    for _ in range(_MAX_SEGMENTS):
        found = _SCAN_END.search(data, position)
        if found is None:
            raise JpegError("its end is missing")
        marker, _, position = _segment(data, found.start())
        if marker == _EOI:
            return _checked_end(data, position)
        if marker in _BARE:
            raise JpegError("its picture data is damaged")
    raise JpegError("it has too many scans")


def _checked_end(data: bytes, position: int) -> int:
    """Return `position`, the end of the picture, if only padding follows it."""
    tail_bytes = len(data) - position
    if tail_bytes > _MAX_TAIL_BYTES and data.count(0, position) != tail_bytes:
        raise JpegError("other data follows its end")
    return position


def inspect(data: bytes) -> JpegInfo:
    """Check that `data` is one whole JPEG and return its size.

    Only the markers in the compressed data are checked. An illegal marker counts as damage, because a decoder shows
    nothing after it.

    Raises:
        JpegError: the picture is damaged or cut short.
    """
    segments = _segments(data)
    size_bytes = _end_of_picture(data, segments[-1][2])
    for marker, start, end in segments:
        if marker in _SOF and end - start >= 9:
            height, width = struct.unpack_from(">HH", data, start + 5)
            if width and height:
                return JpegInfo(width, height, size_bytes)
    raise JpegError("its size is missing")


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
    segments = _segments(data)
    end = _end_of_picture(data, segments[-1][2])
    if any(marker == _APP1 and data[at + 4 : at + 10] == b"Exif\0\0" for marker, at, _ in segments):
        return data[:end]
    leading = takewhile(lambda segment: segment[0] == _APP0, segments)  # JFIF must stay first
    insert_at = max((until for _, _, until in leading), default=2)
    return data[:insert_at] + _exif_segment(captured_at) + data[insert_at:end]


def with_huffman_tables(data: bytes) -> bytes:
    """Return `data` with the typical Huffman tables added if it has none. Data that is not a JPEG is not changed.

    Many USB cameras omit the tables, as Motion JPEG in AVI files does. FFmpeg and libjpeg-turbo accept such pictures,
    stricter decoders refuse them.
    """
    try:
        segments = _segments(data)
    except JpegError:
        return data
    if any(marker == _DHT for marker, _, _ in segments):
        return data
    scan_at = segments[-1][1]
    return data[:scan_at] + _TYPICAL_TABLES + data[scan_at:]
