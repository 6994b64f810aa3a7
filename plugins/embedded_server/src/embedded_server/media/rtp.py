"""RTP and RTCP packets (RFC 3550), with the fields that a relay and a recorder use."""

import struct
from dataclasses import dataclass

__all__ = ("RtpPacket", "parse", "sender_report", "with_ssrc")

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


def with_ssrc(data: bytes, ssrc: bytes) -> bytes:
    """Return the RTP packet with another sender's SSRC."""
    return data[:8] + ssrc + data[12:]


def sender_report(data: bytes, ssrc: bytes) -> bytes | None:
    """Return the first packet of a compound as a sender report with another SSRC; None if it is not a sender report."""
    if len(data) < _REPORT.size or data[1] != _SENDER_REPORT or data[0] >> 6 != 2:
        return None
    return b"\x80\xc8\x00\x06" + ssrc + data[8 : _REPORT.size]
