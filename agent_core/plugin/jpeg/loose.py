"""Header of a picture with stray bytes between its segments, read as decoders read it."""

import re
from itertools import islice

from agent_core.plugin.jpeg.structure import (
    DHT,
    DQT,
    DRI,
    MAX_SEGMENTS,
    SOF,
    SOI,
    SOS,
    STRUCTURED,
    JpegError,
    Segment,
    is_consistent,
    segment_at,
)

__all__ = ("Unusable", "loose_header")

#: Markers of header segments: frames, tables, start of scan, restart interval, application data, comments.
_HEADER_MARKERS = frozenset({*SOF, DHT, 0xCC, SOS, DQT, DRI, *range(0xE0, 0xF0), 0xFE})
_HEADER_MARKER = re.compile(rb"\xff[\xc0-\xc7\xc9-\xcf\xda\xdb\xdd\xe0-\xef\xfe]")
_ZEROS = re.compile(rb"\0*")


class Unusable(JpegError):
    """Error for a start marker without a whole picture; `resume_at` is where another may be looked for, or None.

    Another one inside the header is no picture of its own: application data may contain a small copy of the picture.
    """

    def __init__(self, fault: str, resume_at: int | None) -> None:
        super().__init__(fault)
        self.resume_at = resume_at


def loose_header(data: bytes, start: int) -> list[Segment]:
    """Return the segments of the picture at `start`, up to and including the first start of scan, without strays.

    Raises:
        Unusable: there is no start of scan, or another picture starts before the first segment.
    """
    found: list[Segment] = []
    position = start + len(SOI)
    while len(found) < MAX_SEGMENTS:
        segment = _next_segment(data, position, is_first=not found)
        found.append(segment)
        position = segment[2]
        if segment[0] == SOS:
            return found
    raise Unusable("its header has too many segments", None)


def _next_segment(data: bytes, position: int, *, is_first: bool) -> Segment:
    try:
        segment = segment_at(data, position)
    except JpegError:
        return _after_strays(data, position, is_first=is_first)
    if segment[0] in _HEADER_MARKERS:
        return segment
    return _after_strays(data, position, is_first=is_first)


def _after_strays(data: bytes, position: int, *, is_first: bool) -> Segment:
    """Return the next segment after bytes that belong to none; their contents may look like markers."""
    restart = data.find(SOI, position) if is_first else -1
    limit = restart if restart >= 0 else len(data)
    zeros = _ZEROS.match(data, position, limit)
    for candidate in islice(_HEADER_MARKER.finditer(data, position, limit), MAX_SEGMENTS):
        at = candidate.start()
        try:
            segment = segment_at(data, at)
        except JpegError:
            break
        only_zeros = zeros is not None and at == zeros.end()
        if segment[2] <= len(data) and (only_zeros or _is_plausible(data, segment)):
            return segment
    if restart >= 0:
        raise Unusable("its header is damaged", restart)
    raise Unusable("its header is damaged" if position < len(data) else "it ends inside its header", None)


def _is_plausible(data: bytes, segment: Segment) -> bool:
    """Check that the length of a segment suits its contents or, if these may be anything, that another one follows."""
    marker, _, end = segment
    if marker in STRUCTURED:
        return is_consistent(data, segment)
    return data[end : end + 1] == b"\xff"
