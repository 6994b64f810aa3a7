"""Reader of the Matroska that a frame socket sends, written independently of the agent's writer."""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ("SentFrame", "SentHeader", "frames_of", "header_of")

_SEGMENT, _CLUSTER, _TIMESTAMP, _SIMPLE_BLOCK = 0x18538067, 0x1F43B675, 0xE7, 0xA3
_BLOCK_GROUP, _BLOCK, _REFERENCE_BLOCK = 0xA0, 0xA1, 0xFB
_ADDITIONS, _BLOCK_MORE, _ADDITIONAL, _CODEC_PRIVATE = 0x75A1, 0xA6, 0xA5, 0x63A2
_PARENTS = frozenset({0x1A45DFA3, _SEGMENT, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0})


@dataclass(frozen=True, slots=True)
class SentHeader:
    """Header of a stream. `timestamp_ns` is the unit of the frames' times, `frame_ns` the nominal interval."""

    doc_type: str
    codec: str
    timestamp_ns: int
    frame_ns: int
    width: int
    height: int
    codec_private: bytes = b""


@dataclass(frozen=True, slots=True)
class SentFrame:
    """One frame with its time in units of `SentHeader.timestamp_ns`; `note` is that of a picture of coded video."""

    time: int
    data: bytes
    is_key: bool = True
    note: bytes = b""


def header_of(stream: bytes) -> SentHeader:
    """Return the header of `stream`, which contains at least the whole header."""
    found = dict(_leaves(stream))
    return SentHeader(
        doc_type=found[0x4282].decode(),
        codec=found[0x86].decode(),
        timestamp_ns=int.from_bytes(found[0x2AD7B1]),
        frame_ns=int.from_bytes(found[0x23E383]),
        width=int.from_bytes(found[0xB0]),
        height=int.from_bytes(found[0xBA]),
        codec_private=found.get(_CODEC_PRIVATE, b""),
    )


def frames_of(stream: bytes) -> list[SentFrame]:
    """Return the whole frames of `stream`, which begins with its header; the last one may be cut off."""
    return [_frame(cluster) for element_id, cluster in _leaves(stream) if element_id == _CLUSTER]


def _frame(cluster: bytes) -> SentFrame:
    parts = dict(_elements(cluster))
    time = int.from_bytes(parts.pop(_TIMESTAMP))
    ((kind, content),) = parts.items()
    if kind == _SIMPLE_BLOCK:
        assert content[:4] == b"\x81\0\0\x80"  # track 1, at the cluster's time, a key frame
        return SentFrame(time, content[4:])
    assert kind == _BLOCK_GROUP
    group = dict(_elements(content))
    assert group[_BLOCK][:4] == b"\x81\0\0\0"
    more = dict(_elements(dict(_elements(group[_ADDITIONS]))[_BLOCK_MORE]))
    return SentFrame(time, group[_BLOCK][4:], _REFERENCE_BLOCK not in group, more[_ADDITIONAL])


def _leaves(data: bytes) -> Iterator[tuple[int, bytes]]:
    for element_id, content in _elements(data):
        if element_id in _PARENTS:
            yield from _leaves(content)
        else:
            yield element_id, content


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        id_end = position + 9 - data[position].bit_length()
        if id_end >= len(data):
            return
        start = id_end + 9 - data[id_end].bit_length()
        size = int.from_bytes(data[id_end:start]) & ((1 << 7 * (start - id_end)) - 1)
        element_id = int.from_bytes(data[position:id_end])
        if element_id == _SEGMENT:
            assert size == (1 << 56) - 1, "a live segment has an unknown size"
            size = len(data) - start
        position = start + size
        if start > len(data) or position > len(data):
            return
        yield element_id, data[start:position]
