"""Files of a recording, sent as one: read piece by piece, with one file open at a time. All functions block on the disk."""

import hashlib
import logging
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent_core.base.errors import StorageFailed
from agent_core.media import mpegts
from agent_core.media.boxes import Damaged, Header, header, sequence_number
from agent_core.media.downloads import OpenedFile, ServedFile, media_type, open_beneath
from agent_core.media.fmp4 import INDEX_LIMIT_BYTES, media_of
from agent_core.media.joining import (
    Layout,
    Piece,
    Plan,
    Shift,
    description,
    edited,
    has_short_times,
    plan,
    plan_packets,
)
from agent_core.media.packets import PACKET_BYTES, PacketLayout, PacketShift, counters, moved

__all__ = ("JoinedFile", "Layouts", "ServedJoin")

_log = logging.getLogger("camera_agent.recordings")

#: Number of cached layouts, of some KiB each; a larger number empties the cache.
_KEPT = 1000
#: Every stream of a file has a packet within so many bytes of its start and its end: a second of 16 Mbit/s.
_COUNTED_BYTES = 10_000 * PACKET_BYTES
#: Longest header of a box.
_HEADER_BYTES = 16


class Layouts:
    """Cache of the layouts of files: a player asks for one file in many ranges."""

    def __init__(self) -> None:
        #: By `OpenedFile.etag`.
        self._known: dict[str, Layout | PacketLayout | None] = {}

    def of(self, opened: OpenedFile, suffix: str) -> Layout | PacketLayout | None:
        """Return the layout of an open file, `.mp4` or `.ts`; None for a damaged file or one without media.

        Raises:
            OSError: it cannot be read.
        """
        if opened.etag in self._known:
            return self._known[opened.etag]
        try:
            layout = _read_packets(opened) if suffix == ".ts" else _read(opened)
        except (Damaged, StorageFailed):
            layout = None
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[opened.etag] = layout
        return layout


def _read(opened: OpenedFile) -> Layout | None:
    media = media_of(opened.fd, opened.size_bytes)
    if media is None:
        return None
    moov_at, moov, moov_end = _first(opened, b"moov", 0)
    if moov_at > INDEX_LIMIT_BYTES:
        raise Damaged
    _, moof, _ = _first(opened, b"moof", moov_end)
    return Layout(
        head=opened.read(0, moov_end),
        description=description(moov),
        timescales={number: track.timescale for number, track in media.movie.tracks.items()},
        spans=media.spans,
        end_offset=media.end_offset,
        sequences=(sequence_number(moof), media.last_sequence),
        has_short_times=has_short_times(moof),
    )


def _read_packets(opened: OpenedFile) -> PacketLayout | None:
    media = mpegts.media_of(opened.fd)
    if media is None:
        return None
    end = opened.size_bytes - opened.size_bytes % PACKET_BYTES
    head = opened.read(0, min(_COUNTED_BYTES, end))
    tail = opened.read(max(0, end - _COUNTED_BYTES), min(_COUNTED_BYTES, end))
    return PacketLayout(
        end_offset=end,
        start_ticks=media.start_ticks,
        length_ticks=media.length_ticks,
        first_counters=dict(reversed(list(counters(head)))),
        last_counters=dict(counters(tail)),
    )


def _first(opened: OpenedFile, kind: bytes, at: int) -> tuple[int, bytes, int]:
    """Return the start, payload and end of the first box of `kind`; `at` is the start of a box of any kind."""
    while (box := _header_at(opened, at)).kind != kind:
        at += box.size
    if box.size > INDEX_LIMIT_BYTES:
        raise Damaged
    return at, opened.read(at + box.header_size, box.size - box.header_size), at + box.size


def _header_at(opened: OpenedFile, at: int) -> Header:
    if at >= opened.size_bytes:
        raise Damaged
    box = header(opened.read(at, _HEADER_BYTES))
    if box is None or box.size < box.header_size:
        raise Damaged
    return box


@dataclass(frozen=True, slots=True)
class ServedJoin:
    """Files below `root` to serve as one, named `download_name`; `layouts` is shared by all requests."""

    root: Path
    relatives: tuple[str, ...]
    download_name: str
    layouts: Layouts

    @property
    def media_type(self) -> str:
        return media_type(self.download_name)

    @property
    def next_name(self) -> None:
        return None

    def open(self) -> "JoinedFile | None":
        """Return the joined file, without files that are damaged or have no media; None if no other is left.

        Raises:
            OSError: a file cannot be read, or this process or this host has no file descriptor left.
            Unsupported: the files cannot be joined; see `joining.plan`.
        """
        parts: list[_Part] = []
        for relative in self.relatives:
            served = ServedFile(self.root, relative)
            opened = open_beneath(served)
            if opened is None:
                return None
            with opened:
                layout = self.layouts.of(opened, served.suffix)
            if layout is not None:
                parts.append(_Part(served, opened, layout))
        return JoinedFile(parts) if parts else None


@dataclass(frozen=True, slots=True)
class _Part:
    """File of a joined one; `seen` is closed and tells its state at opening."""

    served: ServedFile
    seen: OpenedFile
    layout: Layout | PacketLayout


def _planned(parts: Sequence[_Part]) -> Plan:
    streams = [each.layout for each in parts if isinstance(each.layout, PacketLayout)]
    if streams:
        return plan_packets(streams)
    return plan([each.layout for each in parts if isinstance(each.layout, Layout)])


class JoinedFile:
    """Joined file, with the content that its files had at opening. As a context manager it closes itself.

    Not thread-safe. `etag` is the same as long as no file changes.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts
        self._plan = _planned(parts)
        self._starts = [each.at for each in self._plan.pieces]
        self._current: _BoxReader | _PacketReader | None = None
        self.size_bytes = self._plan.size_bytes
        self.modified_s = max(each.seen.modified_s for each in parts)
        tags = ",".join(each.seen.etag for each in parts)
        self.etag = f'"{hashlib.sha256(tags.encode()).hexdigest()[:32]}"'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_reason: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return bytes of the joined file, up to the end of the file that they are in; empty if it is gone or damaged.

        Raises:
            OSError: it cannot be read, or no file descriptor is left.
        """
        head = self._plan.head
        if offset < len(head):
            return head[offset : offset + size_bytes]
        piece = self._plan.pieces[bisect_right(self._starts, offset) - 1]
        at = piece.start + offset - piece.at
        try:
            return self._reader(piece).read(at, min(size_bytes, piece.end - at))
        except (Damaged, FileNotFoundError) as error:
            _log.warning(
                "%s: a download stopped at a file that %s",
                self._parts[piece.file].served.relative,
                "is damaged" if isinstance(error, Damaged) else "was deleted or replaced",
            )
            return b""

    def _reader(self, piece: Piece) -> "_BoxReader | _PacketReader":
        if self._current is None or self._current.piece is not piece:
            self._close()
            opened, shift = self._reopened(piece), piece.shift
            self._current = (
                _PacketReader(opened, piece, shift)
                if isinstance(shift, PacketShift)
                else _BoxReader(opened, piece, shift)
            )
        return self._current

    def _reopened(self, piece: Piece) -> OpenedFile:
        part = self._parts[piece.file]
        opened = open_beneath(part.served)
        if opened is None:
            raise FileNotFoundError
        if opened.inode != part.seen.inode or opened.size_bytes < piece.end:
            os.close(opened.fd)
            raise FileNotFoundError
        return opened


class _PacketReader:
    """Reader of one piece of packets; owns `opened`."""

    def __init__(self, opened: OpenedFile, piece: Piece, shift: PacketShift) -> None:
        self.piece = piece
        self._shift = shift
        self._opened = opened

    def close(self) -> None:
        os.close(self._opened.fd)

    def read(self, at: int, size_bytes: int) -> bytes:
        """Return the edited bytes at `at` of the file. Raises Damaged and OSError."""
        start = at - at % PACKET_BYTES
        wanted = -(-(at + size_bytes - start) // PACKET_BYTES) * PACKET_BYTES
        data = self._opened.read(start, wanted)
        if len(data) != wanted:
            raise Damaged
        return moved(data, self._shift)[at - start : at - start + size_bytes]


class _BoxReader:
    """Reader of one piece of boxes; owns `opened`. It remembers a box, so that reading on does not start over."""

    def __init__(self, opened: OpenedFile, piece: Piece, shift: Shift) -> None:
        self.piece = piece
        self._shift = shift
        self._opened = opened
        self._box_at = piece.start

    def close(self) -> None:
        os.close(self._opened.fd)

    def read(self, at: int, size_bytes: int) -> bytes:
        """Return the edited bytes at `at` of the file. Raises Damaged and OSError."""
        data = bytearray(self._opened.read(at, size_bytes))
        if len(data) != size_bytes:
            raise Damaged
        if at < self._box_at:
            self._box_at = self.piece.start
        while self._box_at < at + size_bytes:
            box = _header_at(self._opened, self._box_at)
            if self._box_at + box.size > at:
                self._edit(box, at, data)
            if self._box_at + box.size > at + size_bytes:
                break
            self._box_at += box.size
        return bytes(data)

    def _edit(self, box: Header, at: int, data: bytearray) -> None:
        """Replace the part of `box` in `data`, which was read at `at`, by the bytes of the joined file."""
        if box.kind == b"moof" and box.size > INDEX_LIMIT_BYTES:
            raise Damaged
        read_bytes = box.size if box.kind == b"moof" else box.header_size
        new = edited(box.kind, self._opened.read(self._box_at, read_bytes), self._shift)
        start, end = max(at, self._box_at), min(at + len(data), self._box_at + len(new))
        if start < end:
            data[start - at : end - at] = new[start - self._box_at : end - self._box_at]
