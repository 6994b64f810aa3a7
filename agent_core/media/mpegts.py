"""Duration of an MPEG transport stream file by its time stamps (ISO/IEC 13818-1, sections 2.4.3.2 and 2.4.3.7).

All functions block: call them in a worker thread.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_core.base.errors import StorageFailed
from agent_core.base.files import explain_os_error
from agent_core.base.small_files import open_regular

__all__ = ("TsMedia", "media_of", "segment_duration_s", "torn_bytes")

_PACKET = 188
_SYNC = 0x47
_CLOCK_HZ = 90_000
#: Time stamps have 33 bits and wrap after 26.5 hours: at most once in a segment, which is at most a day.
_WRAP = 1 << 33
#: A leading picture may be shown before the first key frame; a stamp further back than this is a wrap.
_BEFORE_FIRST = 60 * _CLOCK_HZ
_HEAD_BYTES = _PACKET * 8192
_TAIL_BYTES = _PACKET * 2048
_TAIL_LIMIT_BYTES = _PACKET * 512 * 1024
_VIDEO = range(0xE0, 0xF0)
_AUDIO = range(0xC0, 0xE0)
#: private_stream_1, which carries Opus and AC-3.
_PRIVATE = range(0xBD, 0xBE)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Presentation time of one packet, in ticks of 90 kHz."""

    pid: int
    stream_id: int
    pts: int


@dataclass(frozen=True, slots=True)
class TsMedia:
    """Measured stream of a file: its first time and its duration, in ticks of 90 kHz."""

    start_ticks: int
    length_ticks: int


def segment_duration_s(path: Path) -> float:
    """Return the duration of one recording file in seconds; 0.0 without time stamps.

    Measures the video stream, or sound without video. The last picture counts as long as the one before it.

    Raises:
        StorageFailed: it cannot be read (`not_found`, ...), or is not a transport stream (`not_mpegts`).
    """
    try:
        with os.fdopen(open_regular(path), "rb", buffering=0) as file:
            media = media_of(file.fileno())
            return media.length_ticks / _CLOCK_HZ if media else 0.0
    except FileNotFoundError as error:
        raise StorageFailed("The recording's file is gone.", reason="not_found") from error
    except OSError as error:
        raise explain_os_error(error, "read a recording") from error


def torn_bytes(fd: int) -> int:
    """Return the bytes from the start of the last picture if the file ends within a packet; else 0.

    Also 0 if no picture before it is found. Only a truncated file ends within a packet; the picture whose packet that
    is, or the one before it, then lacks its end.
    """
    size = os.fstat(fd).st_size
    first = _leading(tuple(_stamps(os.pread(fd, min(size, _HEAD_BYTES), 0))))
    if size % _PACKET == 0 or first is None:
        return 0
    whole = size - size % _PACKET
    start = max(0, whole - _TAIL_LIMIT_BYTES)
    tail = os.pread(fd, whole - start, start)
    starts = [
        at
        for at in range(0, len(tail), _PACKET)
        if (stamp := next(_stamps(tail[at : at + _PACKET]), None)) is not None and stamp.pid == first.pid
    ]
    return size - start - starts[-1] if len(starts) > 1 else 0


def media_of(fd: int) -> TsMedia | None:
    """Return what `segment_duration_s` measures of an open file; None without time stamps.

    Raises:
        OSError: it cannot be read.
        StorageFailed: `not_mpegts`.
    """
    size = os.fstat(fd).st_size
    head = os.pread(fd, min(size, _HEAD_BYTES), 0)
    if len(head) < _PACKET:
        return None
    if any(head[at] != _SYNC for at in range(0, min(len(head), 4 * _PACKET), _PACKET)):
        raise StorageFailed(
            "The file is not an MPEG transport stream.",
            reason="not_mpegts",
            suggestion="Move files that are not recordings out of the recordings folder.",
        )
    first = _leading(tuple(_stamps(head)))
    return TsMedia(first.pts, _span(fd, size - size % _PACKET, first)) if first else None


def _leading(stamps: tuple[_Stamp, ...]) -> _Stamp | None:
    """Return the first stamp of the stream to measure."""
    for kind in (_VIDEO, _AUDIO, _PRIVATE):
        for stamp in stamps:
            if stamp.stream_id in kind:
                return stamp
    return None


def _span(fd: int, size: int, first: _Stamp) -> int:
    """Return the ticks from `first` to the end of the last picture; read a longer tail until it has two."""
    window = _TAIL_BYTES
    while True:
        tail = os.pread(fd, min(window, size), max(0, size - window))
        passed = sorted({_since(first, s.pts) for s in _stamps(tail) if s.pid == first.pid})
        if len(passed) >= 2:
            return 2 * passed[-1] - passed[-2]
        if window >= min(size, _TAIL_LIMIT_BYTES):
            return max(passed, default=0)
        window *= 8


def _since(first: _Stamp, pts: int) -> int:
    ticks = (pts - first.pts) % _WRAP
    return ticks - _WRAP if ticks > _WRAP - _BEFORE_FIRST else ticks


def _stamps(data: bytes) -> Iterator[_Stamp]:
    """Yield the presentation time stamps in `data`, which begins with a packet; skip damaged packets."""
    for at in range(0, len(data) - _PACKET + 1, _PACKET):
        if data[at] == _SYNC and data[at + 1] & 0x40:
            stamp = _stamp(data[at : at + _PACKET])
            if stamp is not None:
                yield stamp


def _stamp(packet: bytes) -> _Stamp | None:
    adaptation = packet[3] >> 4 & 3
    if not adaptation & 1:
        return None
    at = 4 + (1 + packet[4] if adaptation & 2 else 0)
    pes = packet[at:]
    if len(pes) < 14 or pes[:3] != b"\x00\x00\x01" or not pes[7] & 0x80:
        return None
    p = pes[9:14]
    pts = (p[0] >> 1 & 7) << 30 | p[1] << 22 | p[2] >> 1 << 15 | p[3] << 7 | p[4] >> 1
    return _Stamp((packet[1] & 0x1F) << 8 | packet[2], pes[3], pts)
