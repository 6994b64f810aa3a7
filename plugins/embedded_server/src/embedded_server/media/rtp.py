"""RTP and RTCP packets (RFC 3550), with the fields that a relay and a recorder use."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = (
    "ReportedTime",
    "RtpPacket",
    "aggregated",
    "parse",
    "reported_time",
    "sender_report",
    "ticks_between",
    "with_ssrc",
)

_HEAD = struct.Struct(">BBHII")
_SENDER_REPORT = 200
_REPORT = struct.Struct(">BBHIQIII")


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """RTP packet without its extensions and padding (RFC 3550, section 5.1)."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    payload: bytes


def parse(data: bytes) -> RtpPacket | None:
    """Parse a packet; return None if `data` is not RTP."""
    if len(data) < _HEAD.size:
        return None
    first, second, sequence, timestamp, _ = _HEAD.unpack_from(data)
    start = _HEAD.size + 4 * (first & 0x0F)
    if first & 0x10 and len(data) >= start + 4:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if first >> 6 != 2 or start > end:
        return None
    return RtpPacket(bool(second & 0x80), second & 0x7F, sequence, timestamp, data[start:end])


def ticks_between(before: int, after: int) -> int:
    """Return the ticks from one time stamp to another, at most half of the range of 32 bits in either direction."""
    step = (after - before) & 0xFFFF_FFFF
    return step - (1 << 32) if step >= 1 << 31 else step


def with_ssrc(data: bytes, ssrc: bytes) -> bytes:
    """Return the RTP packet with another sender's SSRC."""
    return data[:8] + ssrc + data[12:]


def sender_report(data: bytes, ssrc: bytes) -> bytes | None:
    """Return the first packet of a compound as a sender report with another SSRC; None if it is not a sender report."""
    if len(data) < _REPORT.size or data[1] != _SENDER_REPORT or data[0] >> 6 != 2:
        return None
    return b"\x80\xc8\x00\x06" + ssrc + data[8 : _REPORT.size]


@dataclass(frozen=True, slots=True)
class ReportedTime:
    """Time of the sender's clock (s, NTP) at a time stamp of the RTP clock, from a sender report (RFC 3550, 6.4.1)."""

    ntp_s: float
    timestamp: int


def reported_time(report: bytes) -> ReportedTime | None:
    """Return the time in a packet of `sender_report`; None if the sender has no clock."""
    _, _, _, _, ntp, timestamp, _, _ = _REPORT.unpack_from(report)
    return ReportedTime(ntp / (1 << 32), timestamp) if ntp else None


def aggregated(payload: bytes, start: int) -> Iterator[tuple[bytes, bool]]:
    """Return the contents of an aggregation packet, of which the units begin at `start`, and whether each is complete."""
    while start + 2 < len(payload):
        size = int.from_bytes(payload[start : start + 2], "big")
        unit = payload[start + 2 : start + 2 + size]
        yield unit, len(unit) == size
        start += 2 + size
