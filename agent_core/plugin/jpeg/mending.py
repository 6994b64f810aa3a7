"""Repair of pictures that are whole for a decoder but not well-formed, as many cameras send them.

Decoders skip what comes before the start marker and between segments, ignore what follows the end marker, and need no
end marker if the picture data are whole. The repaired picture is well-formed, so that strict readers accept it as well.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from agent_core.plugin.jpeg.loose import Unusable, loose_header
from agent_core.plugin.jpeg.scans import has_all_scans
from agent_core.plugin.jpeg.structure import (
    EOI,
    SOI,
    JpegError,
    ScanStop,
    Segment,
    header_segments,
    picture_size,
    scan_stop,
)
from agent_core.plugin.jpeg.tables import with_tables_before_scan

__all__ = ("IsComplete", "Repair", "WholeJpeg", "mend")

#: Judge of a well-formed JPEG whose end marker was added: returns True if a decoder finds data for all of the picture.
IsComplete = Callable[[bytes], bool]

#: Most start markers to try. Damaged data may contain many; each costs a look at all of the data.
_MAX_STARTS = 8


class Repair(StrEnum):
    """Differences between a picture and the data that it came in."""

    LEADING = "leading_bytes"
    STRAYS = "stray_bytes"
    TABLES = "huffman_tables"
    END = "end_marker"
    TAIL = "tail"


@dataclass(frozen=True, slots=True)
class WholeJpeg:
    """Well-formed JPEG, its size in pixels, and how it was repaired. Padding with zeros counts as no damage."""

    data: bytes
    width: int
    height: int
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class _Header:
    """Well-formed header, from the start marker to the start of scan, of a picture at `start` in the data."""

    data: bytes
    start: int
    scan_start: int
    width: int
    height: int
    repairs: tuple[Repair, ...]


def mend(data: bytes, is_complete: IsComplete | None = None) -> WholeJpeg:
    """Return the first whole picture in `data`, repaired if necessary. A well-formed picture is returned unchanged.

    Skip bytes before the picture and between its header segments, add Huffman tables if it has none, and cut off what
    follows its end. If its end marker is missing, add one if `is_complete` accepts the result; without `is_complete`,
    such a picture counts as damaged.

    Args:
        data: one buffer of a camera.
        is_complete: judge of pictures without an end marker, called up to a few times and only for them.

    Raises:
        JpegError: there is no whole picture.
    """
    position = 0
    fault: JpegError | None = None
    for _ in range(_MAX_STARTS):
        start = data.find(SOI, position)
        if start < 0:
            break
        try:
            return _picture_at(data, start, is_complete)
        except Unusable as error:
            fault = fault or error
            if error.resume_at is None:
                break
            position = error.resume_at
    raise JpegError(str(fault or "it does not start like a JPEG"))


def _picture_at(data: bytes, start: int, is_complete: IsComplete | None) -> WholeJpeg:
    header = _header_at(data, start)
    stop = scan_stop(data, header.scan_start)
    if not stop.fault:
        return _ended(data, header, stop.position)
    for closed in _closed(data, header, stop) if is_complete is not None else ():
        if has_all_scans(closed) and is_complete is not None and is_complete(closed):
            return WholeJpeg(closed, header.width, header.height, (*header.repairs, Repair.END))
    raise Unusable(stop.fault, header.scan_start)


def _header_at(data: bytes, start: int) -> _Header:
    repairs = [Repair.LEADING] if start else []
    try:
        segments = header_segments(data, start)
        header = data[start : segments[-1][2]]
    except JpegError:
        segments = loose_header(data, start)
        header = SOI + b"".join(data[begin:end] for _, begin, end in segments)
        repairs.append(Repair.STRAYS)
    completed = with_tables_before_scan(header, segments)
    if completed is not header:
        repairs.append(Repair.TABLES)
    width, height = _size(data, segments)
    return _Header(completed, start, segments[-1][2], width, height, tuple(repairs))


def _size(data: bytes, segments: list[Segment]) -> tuple[int, int]:
    try:
        return picture_size(data, segments)
    except JpegError as error:
        raise Unusable(str(error), segments[-1][2]) from error


def _ended(data: bytes, header: _Header, end: int) -> WholeJpeg:
    """Return the picture that ends at `end`; keep the data as they are if the header is as it was."""
    repairs = header.repairs
    if data.count(0, end) != len(data) - end:
        repairs = (*repairs, Repair.TAIL)
    changed = {Repair.STRAYS, Repair.TABLES} & set(header.repairs)
    whole = header.data + data[header.scan_start : end] if changed else data[header.start : end]
    return WholeJpeg(whole, header.width, header.height, repairs)


def _closed(data: bytes, header: _Header, stop: ScanStop) -> Iterator[bytes]:
    """Yield the picture with an end marker at the places where its data may end, the likeliest first."""
    first_marker = stop.between[0][1] if stop.between else stop.position
    for position in dict.fromkeys((stop.position, first_marker)):
        for scan in _unpadded(data[header.scan_start : position]):
            yield header.data + scan + EOI


def _unpadded(scan: bytes) -> Iterator[bytes]:
    """Yield the compressed data without the padding behind them.

    A zero belongs to the data if it follows 0xFF, and may if it is the last byte. A decoder ignores one that does not.
    """
    bare = scan.rstrip(b"\0")
    if len(bare) == len(scan):
        yield scan.rstrip(b"\xff")
    elif bare.endswith(b"\xff"):
        yield bare.rstrip(b"\xff") + b"\xff\0"
    else:
        yield bare
        yield bare + b"\0"
