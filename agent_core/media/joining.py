"""Joining of the fragmented MP4 files of a recording into one, decided without I/O.

The joined file has the header of the first file, then the parts of each. Nothing is encoded again and no box changes its
size; so a place in the joined file is found without reading what is before it. In the parts, only times, sequence
numbers and absolute offsets change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from struct import Struct, error, unpack_from

from agent_core.base.errors import Unsupported
from agent_core.media.boxes import CONTAINERS, Damaged, children, descend, header
from agent_core.media.packets import PacketLayout, PacketShift, shifts

__all__ = (
    "Layout",
    "Piece",
    "Plan",
    "Shift",
    "description",
    "edited",
    "has_short_times",
    "plan",
    "plan_packets",
)

_U32 = Struct(">I")
_U64 = Struct(">Q")
_U32_END = 1 << 32
#: Boxes with offsets of their own file: an index that a player may ignore. They become free space.
_INDEXES = frozenset((b"mfra", b"sidx", b"ssix"))
#: Containers on the way to the descriptions of samples.
_DESCRIBING = CONTAINERS | {b"minf", b"stbl"}
#: Place of the duration in the payload of a box, by its version 0 or 1.
_DURATIONS = {b"mvhd": (16, 24), b"mehd": (4, 4), b"tkhd": (20, 28), b"mdhd": (16, 24)}


@dataclass(frozen=True, slots=True)
class Layout:
    """Content of one file, as far as joining needs it.

    Attributes:
        head: the bytes up to and including `moov`.
        description: must be equal in files that are joined; from `description`.
        timescales: ticks per second, by track.
        spans: start and end of the samples in ticks, by track.
        end_offset: end of the last complete part.
        sequences: first and last sequence number.
        has_short_times: True if decode times have 32 bits.
    """

    head: bytes
    description: bytes
    timescales: dict[int, int]
    spans: dict[int, tuple[int, int]]
    end_offset: int
    sequences: tuple[int, int]
    has_short_times: bool

    @property
    def starts_s(self) -> Fraction:
        return min(Fraction(start, self.timescales[track]) for track, (start, _) in self.spans.items())

    def ends_s(self, ticks: dict[int, int]) -> Fraction:
        """Return the end of the longest track, with `ticks` added to the times of each track."""
        return max(
            Fraction(end + ticks[track], self.timescales[track]) for track, (_, end) in self.spans.items()
        )


@dataclass(frozen=True, slots=True)
class Shift:
    """Change of a part: summands for decode times, by track, for sequence numbers and for offsets in the file."""

    ticks: dict[int, int]
    sequence: int
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Parts of file number `file`: its bytes from `start` to `end`, which are at `at` in the joined file."""

    file: int
    at: int
    start: int
    end: int
    shift: Shift | PacketShift


@dataclass(frozen=True, slots=True)
class Plan:
    """Joined file: `head`, then `pieces`."""

    head: bytes
    pieces: tuple[Piece, ...]
    size_bytes: int


def plan_packets(layouts: Sequence[PacketLayout]) -> Plan:
    """Return the joined file of these transport streams; codecs may differ, as each file names its own."""
    pieces: list[Piece] = []
    at = 0
    for number, (each, shift) in enumerate(zip(layouts, shifts(layouts), strict=True)):
        pieces.append(Piece(number, at, 0, each.end_offset, shift))
        at += each.end_offset
    return Plan(b"", tuple(pieces), at)


def plan(layouts: Sequence[Layout]) -> Plan:
    """Return the joined file of these files, of which there is at least one.

    Each file starts where the longest track of the one before ends, so that no track's times overlap and the tracks of a
    file stay aligned.

    Raises:
        Unsupported: `segments_differ`: their codecs or pictures differ. `recording_too_long`: for their 32-bit times.
    """
    if len({each.description for each in layouts}) > 1:
        raise _cannot_join("The segments differ in codec or picture size.", "segments_differ")
    pieces: list[Piece] = []
    at, sequence, end_s = len(layouts[0].head), 0, Fraction(0)
    for number, each in enumerate(layouts):
        moved_s = end_s - each.starts_s if number else Fraction(0)
        ticks = {track: ceil(moved_s * timescale) for track, timescale in each.timescales.items()}
        first, last = each.sequences
        moved = sequence + 1 - first if number else 0
        start = len(each.head)
        pieces.append(Piece(number, at, start, each.end_offset, Shift(ticks, moved, at - start)))
        at, sequence, end_s = at + each.end_offset - start, last + moved, each.ends_s(ticks)
        if each.has_short_times and any(end + ticks[n] >= _U32_END for n, (_, end) in each.spans.items()):
            raise _cannot_join("The recording is too long for the times in its files.", "recording_too_long")
    return Plan(_with_duration(layouts[0].head, end_s), tuple(pieces), at)


def _cannot_join(details: str, reason: str) -> Unsupported:
    return Unsupported(
        details,
        feature="joined_recording",
        reason=reason,
        suggestion="Download the segments: get_recording_info has a download_url for each.",
    )


def description(moov: bytes) -> bytes:
    """Return what the payload of `moov` says about samples: tracks, their clock and codec, and sample defaults.

    Raises:
        Damaged: it cannot be parsed.
    """
    return b"".join(_described(moov))


def _described(moov: bytes) -> Iterator[bytes]:
    for kind, at, end in descend(moov, 0, len(moov), containers=_DESCRIBING):
        is_wide = moov[at : at + 1] == b"\1"
        if kind in _DURATIONS and end - at < _DURATIONS[kind][is_wide] + (8 if is_wide else 4):
            raise Damaged
        if kind in {b"tkhd", b"mdhd"}:
            place = at + (20 if is_wide else 12)
            yield kind + moov[place : place + 4]
        elif kind in {b"hdlr", b"stsd", b"trex"}:
            yield kind + _U32.pack(end - at) + moov[at:end]


def _with_duration(head: bytes, duration_s: Fraction) -> bytes:
    """Return `head` with the duration of the joined file in place of the first file's.

    A duration of 0 in a box other than `mvhd` stays: it means that the fragments have the durations.
    """
    data = bytearray(head)
    timescale = 0
    for kind, at, _ in _movie_boxes(head):
        if kind not in _DURATIONS:
            continue
        is_wide = head[at] == 1
        if kind in {b"mvhd", b"mdhd"}:
            own = _U32.unpack_from(head, at + (20 if is_wide else 12))[0]
            timescale = own if kind == b"mvhd" else timescale
        number, place = _U64 if is_wide else _U32, at + _DURATIONS[kind][is_wide]
        if kind == b"mvhd" or number.unpack_from(head, place)[0]:
            ticks = round(duration_s * (own if kind == b"mdhd" else timescale))
            number.pack_into(data, place, min(ticks, (1 << 8 * number.size) - 1))
    return bytes(data)


def _movie_boxes(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    for kind, at, end in children(head, 0, len(head)):
        if kind == b"moov":
            yield from descend(head, at, end)


def has_short_times(moof: bytes) -> bool:
    """Return True if the payload of a moof box has decode times of 32 bits. Raises Damaged."""
    boxes = descend(moof, 0, len(moof))
    return any(kind == b"tfdt" and moof[at : at + 1] == b"\0" for kind, at, _ in boxes)


def edited(kind: bytes, box: bytes, shift: Shift) -> bytes:
    """Return a box of a part as the joined file has it, of the same size. Only moof boxes need be complete.

    Raises:
        Damaged: it cannot be parsed.
    """
    if kind in _INDEXES:
        return box[:4] + b"free" + box[8:]
    if kind != b"moof":
        return box
    data = bytearray(box)
    try:
        _move(box, data, shift)
    except (error, IndexError) as cause:
        raise Damaged from cause
    return bytes(data)


def _move(box: bytes, data: bytearray, shift: Shift) -> None:
    found = header(box)
    if found is None:
        raise Damaged
    track = 0
    for kind, at, _ in descend(box, found.header_size, len(box)):
        if kind == b"mfhd":
            _U32.pack_into(data, at + 4, (_U32.unpack_from(box, at + 4)[0] + shift.sequence) % _U32_END)
        elif kind == b"tfhd":
            flags, track = unpack_from(">II", box, at)
            if flags & 0x01:
                _add(_U64, data, at + 8, shift.offset_bytes)
        elif kind == b"tfdt":
            _add(_U64 if box[at] else _U32, data, at + 4, shift.ticks.get(track, 0))


def _add(number: Struct, data: bytearray, at: int, value: int) -> None:
    number.pack_into(data, at, number.unpack_from(data, at)[0] + value)
