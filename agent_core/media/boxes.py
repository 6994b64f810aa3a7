"""Parser of the ISO base media boxes that durations need (ISO/IEC 14496-12, sections 4.2 and 8)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import Struct, error, unpack_from

__all__ = (
    "CONTAINERS",
    "Damaged",
    "Header",
    "Movie",
    "Run",
    "Track",
    "children",
    "descend",
    "fragment",
    "header",
    "movie",
    "sequence_number",
)

_U32 = Struct(">I")
_U64 = Struct(">Q")
_HEADER = Struct(">I4s")
#: Limit of nested containers; a movie has three. Each level costs a step for every box below it.
_MAX_DEPTH = 8
#: Boxes that `descend` opens: those of a fragment, and those of a movie that say how long its tracks are.
CONTAINERS = frozenset((b"trak", b"mdia", b"mvex", b"traf", b"udta"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a box. `size` includes the header of `header_size` bytes; 0 means "to the end of the file"."""

    size: int
    kind: bytes
    header_size: int


@dataclass(frozen=True, slots=True)
class Track:
    """Track of a movie: `timescale` in ticks per second; `sample_ticks`, the default duration of a sample."""

    timescale: int
    is_video: bool
    sample_ticks: int


@dataclass(frozen=True, slots=True)
class Movie:
    """Content of `moov`. `started_at`, the first sample's time, is from MediaMTX's box `mtxi` (since v1.15.2)."""

    tracks: dict[int, Track]
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Run:
    """Part of one track in a fragment, in that track's ticks."""

    track: int
    start: int
    end: int


class Damaged(Exception):
    """Bytes that do not match their box type."""


def header(data: bytes, at: int = 0) -> Header | None:
    """Return the box header at `at`; None if it is incomplete."""
    if len(data) - at < 8:
        return None
    size, kind = _HEADER.unpack_from(data, at)
    if size == 1:
        return Header(_U64.unpack_from(data, at + 8)[0], kind, 16) if len(data) - at >= 16 else None
    return Header(size, kind, 8)


def children(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, payload start, payload end) of the boxes in `data[start:end]`.

    Raises:
        Damaged: a box does not fit.
    """
    while start < end:
        box = header(data, start)
        if box is None or box.size < box.header_size or start + box.size > end:
            raise Damaged
        yield box.kind, start + box.header_size, start + box.size
        start += box.size


def descend(
    data: bytes, start: int, end: int, *, containers: frozenset[bytes] = CONTAINERS, depth: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    """Yield all boxes in `data[start:end]` at any depth as `children` does, containers before their content.

    Raises:
        Damaged: a box does not fit its container.
    """
    if depth > _MAX_DEPTH:
        raise Damaged
    for kind, inner, outer in children(data, start, end):
        yield kind, inner, outer
        if kind in containers:
            yield from descend(data, inner, outer, containers=containers, depth=depth + 1)


def movie(payload: bytes) -> Movie:
    """Read the payload of a moov box.

    Raises:
        Damaged: it cannot be parsed, or has no usable track.
    """
    try:
        return _movie(payload)
    except (error, IndexError, OverflowError) as cause:
        raise Damaged from cause


def _movie(payload: bytes) -> Movie:
    tracks: dict[int, Track] = {}
    defaults: dict[int, int] = {}
    started_at: datetime | None = None
    number = timescale = 0
    for kind, at, end in descend(payload, 0, len(payload)):
        if kind == b"tkhd":
            number = _U32.unpack_from(payload, at + (20 if payload[at] else 12))[0]
        elif kind == b"mdhd":
            timescale = _U32.unpack_from(payload, at + (20 if payload[at] else 12))[0]
        elif kind == b"hdlr":
            tracks[number] = Track(timescale, payload[at + 8 : at + 12] == b"vide", 0)
        elif kind == b"trex":
            defaults[_U32.unpack_from(payload, at + 4)[0]] = _U32.unpack_from(payload, at + 12)[0]
        elif kind == b"mtxi" and end - at >= 44:
            started_at = _EPOCH + timedelta(microseconds=unpack_from(">q", payload, at + 36)[0] // 1000)
    known = {n: Track(t.timescale, t.is_video, defaults.get(n, 0)) for n, t in tracks.items() if t.timescale}
    if not known:
        raise Damaged
    return Movie(known, started_at)


def fragment(payload: bytes, tracks: dict[int, Track]) -> tuple[Run, ...]:
    """Return the runs in the payload of a moof box, without tracks that moov does not name.

    Raises:
        Damaged: it cannot be parsed.
    """
    try:
        return tuple(
            run
            for kind, at, end in children(payload, 0, len(payload))
            if kind == b"traf" and (run := _run(payload, at, end, tracks)) is not None
        )
    except (error, IndexError) as cause:
        raise Damaged from cause


def sequence_number(payload: bytes) -> int:
    """Return the sequence number in the payload of a moof box; 0 without one.

    Raises:
        Damaged: it cannot be parsed.
    """
    try:
        for kind, at, _ in children(payload, 0, len(payload)):
            if kind == b"mfhd":
                return int(_U32.unpack_from(payload, at + 4)[0])
    except error as cause:
        raise Damaged from cause
    return 0


def _run(payload: bytes, start: int, end: int, tracks: dict[int, Track]) -> Run | None:
    number = ticks = length = 0
    decode_time: int | None = None
    for kind, at, box_end in children(payload, start, end):
        if kind == b"tfhd":
            number, ticks = _fragment_header(payload, at, tracks)
        elif kind == b"tfdt":
            decode_time = (_U64 if payload[at] else _U32).unpack_from(payload, at + 4)[0]
        elif kind == b"trun":
            length += _run_ticks(payload, at, box_end, ticks)
    if number not in tracks or decode_time is None:
        return None
    return Run(number, decode_time, decode_time + length)


def _fragment_header(payload: bytes, at: int, tracks: dict[int, Track]) -> tuple[int, int]:
    """Return the track's number and the default duration of its samples (ticks)."""
    flags = _U32.unpack_from(payload, at)[0]
    number = _U32.unpack_from(payload, at + 4)[0]
    if flags & 0x08:
        before = (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0)
        return number, _U32.unpack_from(payload, at + 8 + before)[0]
    return number, tracks[number].sample_ticks if number in tracks else 0


def _run_ticks(payload: bytes, at: int, end: int, default_ticks: int) -> int:
    """Return the sum of a trun's sample durations (ticks). Raises Damaged if they exceed its `end`."""
    flags = _U32.unpack_from(payload, at)[0]
    count = _U32.unpack_from(payload, at + 4)[0]
    if not flags & 0x100:
        return int(count * default_ticks)
    first = at + 8 + (4 if flags & 0x01 else 0) + (4 if flags & 0x04 else 0)
    stride = 4 * sum(1 for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit)
    if first + count * stride > end:
        raise Damaged
    return sum(_U32.unpack_from(payload, first + stride * n)[0] for n in range(count))
