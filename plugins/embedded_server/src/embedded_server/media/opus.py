"""Opus packets: their duration (RFC 6716, section 3.1), and their descriptions in containers."""

import struct

__all__ = ("in_transport_stream", "packet_ticks")

_RATE_HZ = 48_000
#: Durations of a frame in ticks of 48 kHz, by the configuration of the packet: four of SILK, two of Hybrid, four of CELT.
_SILK, _HYBRID, _CELT = (480, 960, 1920, 2880), (480, 960), (120, 240, 480, 960)
#: A packet has at most 120 ms.
_LONGEST_TICKS = 5760


def packet_ticks(packet: bytes) -> int:
    """Return the duration of a packet in ticks of 48 kHz; 0 for an invalid one."""
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        frame = _SILK[configuration % 4]
    elif configuration < 16:
        frame = _HYBRID[configuration % 2]
    else:
        frame = _CELT[configuration % 4]
    counted = packet[1] & 0x3F if len(packet) > 1 else 0
    ticks = frame * (1, 2, 2, counted)[code]
    return ticks if ticks <= _LONGEST_TICKS else 0


def in_transport_stream(packet: bytes) -> bytes:
    """Return a packet with the control header that a transport stream has before it: prefix and size."""
    return struct.pack(">H", 0x7FE0) + b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) + packet
