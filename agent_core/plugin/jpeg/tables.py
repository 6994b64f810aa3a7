"""Huffman tables for pictures that lack them.

Apart from `structure`, so that the long table of constants stands alone.
"""

from agent_core.plugin.jpeg.structure import DHT, JpegError, Segment, header_segments

__all__ = ("with_huffman_tables", "with_tables_before_scan")

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


def with_tables_before_scan(header: bytes, segments: list[Segment]) -> bytes:
    """Return `header`, which ends with its start of scan, with the typical tables if `segments` contain none."""
    if any(marker == DHT for marker, _, _ in segments):
        return header
    _, scan_at, scan_end = segments[-1]
    split = len(header) - (scan_end - scan_at)
    return header[:split] + _TYPICAL_TABLES + header[split:]


def with_huffman_tables(data: bytes) -> bytes:
    """Return `data` with the typical Huffman tables added if it has none. Data that is not a JPEG is not changed.

    Many USB cameras omit the tables, as Motion JPEG in AVI files does. FFmpeg and libjpeg-turbo accept such pictures,
    stricter decoders refuse them.
    """
    try:
        segments = header_segments(data)
    except JpegError:
        return data
    if any(marker == DHT for marker, _, _ in segments):
        return data
    scan_at = segments[-1][1]
    return data[:scan_at] + _TYPICAL_TABLES + data[scan_at:]
