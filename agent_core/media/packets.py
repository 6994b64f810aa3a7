"""Joining of MPEG transport streams, decided without I/O: times and counters of packets change, no size does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ("PACKET_BYTES", "PacketLayout", "PacketShift", "counters", "moved", "shifts")

PACKET_BYTES = 188
#: Times have 33 bits of 90 kHz, counters 4 bits.
_TIMES, _COUNTERS = 1 << 33, 16
#: Streams whose packets have the header with times (ISO/IEC 13818-1, table 2-22): video, sound, private_stream_1.
_TIMED_STREAMS = frozenset((*range(0xC0, 0xF0), 0xBD, 0xFD))


@dataclass(frozen=True, slots=True)
class PacketLayout:
    """Content of one file, as far as joining needs it.

    Attributes:
        end_offset: end of the last complete packet.
        start_ticks: first time of the stream that is measured.
        length_ticks: duration of that stream.
        first_counters: continuity counter of the first packet, by PID.
        last_counters: continuity counter of the last packet, by PID.
    """

    end_offset: int
    start_ticks: int
    length_ticks: int
    first_counters: dict[int, int]
    last_counters: dict[int, int]


@dataclass(frozen=True, slots=True)
class PacketShift:
    """Change of a file's packets: what is added to their times, and to their counters by PID."""

    ticks: int
    counters: dict[int, int]


def shifts(layouts: Sequence[PacketLayout]) -> list[PacketShift]:
    """Return the change of each file, so that it goes on where the one before ends."""
    found: list[PacketShift] = []
    end_ticks = layouts[0].start_ticks
    last: dict[int, int] = {}
    for each in layouts:
        moves = {
            pid: (last[pid] + 1 - counter) % _COUNTERS
            for pid, counter in each.first_counters.items()
            if pid in last
        }
        found.append(PacketShift((end_ticks - each.start_ticks) % _TIMES, moves))
        end_ticks += each.length_ticks
        last |= {
            pid: (counter + moves.get(pid, 0)) % _COUNTERS for pid, counter in each.last_counters.items()
        }
    return found


def counters(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield PID and continuity counter of the packets with a payload; only these are counted."""
    for at in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES):
        if data[at + 3] & 0x10:
            yield _pid(data, at), data[at + 3] & 0x0F


def moved(data: bytes, shift: PacketShift) -> bytes:
    """Return whole packets as the joined file has them."""
    new = bytearray(data)
    for at in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES):
        _move(new, at, shift)
    return bytes(new)


def _pid(data: bytes | bytearray, at: int) -> int:
    return (data[at + 1] & 0x1F) << 8 | data[at + 2]


def _move(data: bytearray, at: int, shift: PacketShift) -> None:
    end, control = at + PACKET_BYTES, data[at + 3]
    counter = (control + shift.counters.get(_pid(data, at), 0)) % _COUNTERS
    data[at + 3] = control & 0xF0 | counter
    payload = at + 4
    if control & 0x20:
        length = data[payload]
        if length >= 7 and data[payload + 1] & 0x10:
            _move_clock(data, payload + 2, shift.ticks)
        payload += 1 + length
    starts_pes = control & 0x10 and data[at + 1] & 0x40
    if starts_pes and payload + 19 <= end and data[payload : payload + 3] == b"\0\0\1":
        _move_stamps(data, payload, shift.ticks)


def _move_stamps(data: bytearray, pes: int, ticks: int) -> None:
    """Move the presentation time of a PES header, and the decode time if it has one."""
    if data[pes + 3] not in _TIMED_STREAMS:
        return
    if data[pes + 7] & 0x80:
        _move_stamp(data, pes + 9, ticks)
    if data[pes + 7] & 0xC0 == 0xC0:
        _move_stamp(data, pes + 14, ticks)


def _move_stamp(data: bytearray, at: int, ticks: int) -> None:
    p = data[at : at + 5]
    stamp = (p[0] >> 1 & 7) << 30 | p[1] << 22 | p[2] >> 1 << 15 | p[3] << 7 | p[4] >> 1
    stamp = (stamp + ticks) % _TIMES
    data[at] = p[0] & 0xF1 | stamp >> 30 << 1
    data[at + 1] = stamp >> 22 & 0xFF
    data[at + 2] = stamp >> 14 & 0xFE | 1
    data[at + 3] = stamp >> 7 & 0xFF
    data[at + 4] = stamp << 1 & 0xFE | 1


def _move_clock(data: bytearray, at: int, ticks: int) -> None:
    """Move a program clock reference: 33 bits of 90 kHz, which begin its 48 bits."""
    reference = int.from_bytes(data[at : at + 6])
    base = ((reference >> 15) + ticks) % _TIMES
    data[at : at + 6] = (base << 15 | reference & 0x7FFF).to_bytes(6)
