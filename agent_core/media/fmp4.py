"""Duration of a fragmented MP4, also while it grows and after its writer was killed.

The duration in the header (`mvhd`) is ignored: it is zero until a clean end. The decode times (`tfdt`) and sample
durations (`trun`) of complete parts count; a part is a moof and the mdat after it. All functions block: call them in a
worker thread.
"""

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agent_core.base.errors import StorageFailed
from agent_core.base.files import explain_os_error
from agent_core.base.small_files import open_regular
from agent_core.media.boxes import Damaged, Header, Movie, Run, fragment, header, movie, sequence_number

__all__ = (
    "INDEX_LIMIT_BYTES",
    "Fmp4Info",
    "Fmp4Media",
    "Fmp4Reader",
    "is_finished",
    "media_of",
    "segment_duration_s",
)

#: With more unread bytes than this, the reader searches for the last parts from the end instead of walking there.
_WALK_LIMIT_BYTES = 4 << 20
#: The tail is searched in windows that grow from the first to the second size; for a larger part the reader walks.
_TAIL_WINDOW_BYTES = 1 << 20
_TAIL_LIMIT_BYTES = 64 << 20
#: The header's duration lies within these bytes; MediaMTX's moov is below 2 KiB.
_HEAD_BYTES = 8192
#: A box header has 8 bytes, or 16 with a 64-bit size.
_LONGEST_HEADER_BYTES = 16
#: moov and moof have a few KiB; a larger size is damage.
INDEX_LIMIT_BYTES = 16 << 20
_FIRST_BOXES = frozenset((b"ftyp", b"styp", b"moov", b"free", b"skip"))
_TOP_LEVEL = frozenset(
    (b"moof", b"mdat", b"mfra", b"free", b"skip", b"styp", b"sidx", b"emsg", b"prft", b"uuid")
)


@dataclass(frozen=True, slots=True)
class Fmp4Info:
    """Content of a file at the time of reading.

    `duration_s` runs from the first sample to the end of the last one in a complete part, on the longest video track,
    or without video on the longest track. `started_at` is the first sample's wall-clock time if the writer stored it
    (MediaMTX since v1.15.2). `unread_bytes` counts the bytes after the last complete part: a part under way, or a
    truncated one.
    """

    size_bytes: int = 0
    has_media: bool = False
    duration_s: float = 0.0
    started_at: datetime | None = None
    unread_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Fmp4Media:
    """Complete parts of a file: `end_offset` is where the last one ends, `last_sequence` its sequence number.

    `spans` has the start and end of each track's samples, in the ticks of that track of `movie`.
    """

    movie: Movie
    spans: dict[int, tuple[int, int]]
    end_offset: int
    last_sequence: int


@dataclass
class _Extent:
    """Range of a track's samples so far, in ticks."""

    start: int
    end: int


@dataclass
class _Progress:
    """State of reading up to `offset`, which is always the start of a box."""

    offset: int = 0
    movie: Movie | None = None
    extents: dict[int, _Extent] = field(default_factory=dict)
    #: A moof whose mdat is not complete yet, and its sequence number.
    pending: tuple[Run, ...] = ()
    pending_sequence: int = 0
    complete_to: int = 0
    sequence: int = 0
    stuck: bool = False

    def take(self, runs: tuple[Run, ...], end: int) -> None:
        for run in runs:
            extent = self.extents.setdefault(run.track, _Extent(run.start, run.end))
            extent.end = max(extent.end, run.end)
        self.pending = ()
        self.sequence = self.pending_sequence
        self.complete_to = end


class Fmp4Reader:
    """Reader of one file: each `update` reads only the bytes appended since the last one.

    Not thread-safe. A file that was replaced or has shrunk is read from its start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._progress = _Progress()

    def update(self) -> Fmp4Info:
        """Read the appended bytes and return the file's content as it is now.

        Raises:
            StorageFailed: it cannot be read (`not_found`, ...), or is not an MP4 (`not_fmp4`).
        """
        try:
            with os.fdopen(open_regular(self._path), "rb", buffering=0) as file:
                return self._read(file.fileno())
        except FileNotFoundError as error:
            raise StorageFailed("The recording's file is gone.", reason="not_found") from error
        except OSError as error:
            raise explain_os_error(error, "read a recording") from error

    def _read(self, fd: int) -> Fmp4Info:
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        if identity != self._identity or status.st_size < self._progress.offset:
            self._identity, self._progress = identity, _Progress()
        _Walk(fd, status.st_size, self._progress).forward()
        return self._info(status.st_size)

    def _info(self, size: int) -> Fmp4Info:
        known = self._progress
        tracks = known.movie.tracks if known.movie else {}
        spans = [
            ((extent.end - extent.start) / tracks[number].timescale, tracks[number].is_video)
            for number, extent in known.extents.items()
        ]
        video = [span for span, is_video in spans if is_video]
        return Fmp4Info(
            size_bytes=size,
            has_media=bool(spans),
            duration_s=max(video or [span for span, _ in spans], default=0.0),
            started_at=known.movie.started_at if known.movie else None,
            unread_bytes=size - known.complete_to,
        )


class _Walk:
    """Walk over the boxes of an open file up to `size`, from `progress` on."""

    def __init__(self, fd: int, size: int, progress: _Progress) -> None:
        self._fd = fd
        self._size = size
        self._progress = progress

    def forward(self) -> None:
        """Take box after box, up to the first incomplete one; skip the middle of a large file."""
        known = self._progress
        while not known.extents and self._step():
            pass
        if known.extents and self._size - known.offset > _WALK_LIMIT_BYTES:
            self._jump()
        while self._step():
            pass

    def _step(self) -> bool:
        """Take the next box; return False if it is incomplete or damaged."""
        known = self._progress
        box = None if known.stuck else self._header_at(known.offset)
        if box is None or known.offset + box.size > self._size:
            return False
        try:
            self._take(box, known.offset + box.size)
        except Damaged:
            known.stuck = True
            return False
        known.offset += box.size
        return True

    def _header_at(self, offset: int) -> Header | None:
        """Return the header at `offset`; None if it is incomplete, not written yet, or damaged."""
        box = header(os.pread(self._fd, _LONGEST_HEADER_BYTES, offset))
        if box is None:
            return None
        if offset == 0 and box.kind not in _FIRST_BOXES:
            raise StorageFailed(
                "The file is not a fragmented MP4.",
                reason="not_fmp4",
                suggestion="Move files that are not recordings out of the recordings folder.",
            )
        return None if box.size < box.header_size else box

    def _take(self, box: Header, end: int) -> None:
        known = self._progress
        if box.kind == b"moov":
            known.movie = movie(self._payload(box))
        elif box.kind == b"moof" and known.movie:
            payload = self._payload(box)
            known.pending = fragment(payload, known.movie.tracks)
            known.pending_sequence = sequence_number(payload)
        elif box.kind == b"mdat" and known.pending:
            known.take(known.pending, end)
        elif not known.pending:
            known.complete_to = end

    def _payload(self, box: Header) -> bytes:
        length = box.size - box.header_size
        if length > INDEX_LIMIT_BYTES:
            raise Damaged
        return os.pread(self._fd, length, self._progress.offset + box.header_size)

    def _jump(self) -> None:
        """Skip to a part near the end, if one is found there: the parts between cannot change the duration."""
        window = _TAIL_WINDOW_BYTES
        while window <= _TAIL_LIMIT_BYTES and window < self._size - self._progress.offset:
            start = self._size - window
            found = self._last_parts(os.pread(self._fd, window, start), start)
            if found is not None:
                self._progress.offset = self._progress.complete_to = found
                return
            window *= 4

    def _last_parts(self, data: bytes, start: int) -> int | None:
        """Return the file offset of a chain of boxes that has a complete part of each track and reaches the end."""
        at = data.find(b"mfhd")
        while at != -1:
            box = header(data, at - 12) if at >= 12 else None
            reached = at
            if box is not None and box.kind == b"moof":
                covers, reached = self._follow(data, at - 12)
                if covers:
                    return start + at - 12
            # A chain that starts within this one has the same end and fewer parts: skip it.
            at = data.find(b"mfhd", max(reached, at + 1))
        return None

    def _follow(self, data: bytes, at: int) -> tuple[bool, int]:
        """Follow the chain of known boxes at `at`.

        Returns:
            True if it reaches the end of `data` with samples of every known track; and the offset where it stopped.
        """
        assert self._progress.movie is not None  # noqa: S101 - there are extents, so there was a moov
        seen: set[int] = set()
        pending: set[int] = set()
        while (box := header(data, at)) is not None:
            if box.kind not in _TOP_LEVEL or box.size < box.header_size:
                return False, at
            if at + box.size > len(data):
                break
            if box.kind == b"moof":
                pending = self._tracks_of(data[at + box.header_size : at + box.size])
            elif box.kind == b"mdat":
                seen |= pending
            at += box.size
        return seen >= self._progress.extents.keys(), at

    def _tracks_of(self, payload: bytes) -> set[int]:
        assert self._progress.movie is not None  # noqa: S101 - as above
        try:
            return {run.track for run in fragment(payload, self._progress.movie.tracks)}
        except Damaged:
            return set()


def media_of(fd: int, size_bytes: int) -> Fmp4Media | None:
    """Return the complete parts in the first `size_bytes` of an open file; None without media.

    Raises:
        OSError: the file cannot be read.
        StorageFailed: `not_fmp4`.
    """
    progress = _Progress()
    _Walk(fd, size_bytes, progress).forward()
    if progress.movie is None or not progress.extents:
        return None
    spans = {number: (extent.start, extent.end) for number, extent in progress.extents.items()}
    return Fmp4Media(progress.movie, spans, progress.complete_to, progress.sequence)


def segment_duration_s(path: Path) -> float:
    """Return the duration of one recording file in seconds; 0.0 without a complete part.

    Raises:
        StorageFailed: as `Fmp4Reader.update`.
    """
    return Fmp4Reader(path).update().duration_s


def is_finished(path: Path) -> bool:
    """Return True once the writer has filled in the header's duration, its last write to a file.

    False does not mean that the file is being written: a killed writer never fills it in. An unreadable file is False.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    at = head.find(b"mvhd") + 4
    if at < 4 or len(head) < at + 32:
        return False
    return any(head[at + 24 : at + 32] if head[at] else head[at + 16 : at + 20])
