"""Payloads of a stream for one picture, with faults."""

from typing import Literal, get_args

from tests.vm.cameras.descriptors import CLOCK_HZ

__all__ = ("FAULTS", "Fault", "payloads")

Fault = Literal[
    "stall",
    "hang",
    "truncate",
    "hole",
    "error_bit",
    "overflow",
    "empty",
    "protocol_error",
    "no_bandwidth",
    "no_key",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)

HEADER_BYTES = 12
#: Bits of the header's second byte.
END_OF_FRAME, HAS_TIME, HAS_CLOCK, ERROR, END_OF_HEADER = 0x02, 0x04, 0x08, 0x40, 0x80


def payloads(
    picture: bytes, *, parity: int, at_s: float, payload_bytes: int, largest_bytes: int, fault: Fault | None
) -> list[bytes]:
    """Return the payloads, each with its header; the host separates frames by `parity`, the frame number's lowest bit.

    `largest_bytes` is the announced limit of a picture, which the fault "overflow" exceeds.
    """
    data = _faulty(picture, largest_bytes, fault)
    room = payload_bytes - HEADER_BYTES
    parts = [data[start : start + room] for start in range(0, len(data), room)] or [b""]
    clock = int(at_s * CLOCK_HZ) & 0xFFFFFFFF
    times = clock.to_bytes(4, "little") * 2 + bytes(2)
    packed = []
    for number, part in enumerate(parts):
        flags = END_OF_HEADER | HAS_TIME | HAS_CLOCK | parity & 1
        flags |= END_OF_FRAME if number == len(parts) - 1 else 0
        flags |= ERROR if fault == "error_bit" and number == len(parts) // 2 else 0
        packed.append(bytes([HEADER_BYTES, flags]) + times + part)
    return packed


def _faulty(picture: bytes, largest_bytes: int, fault: Fault | None) -> bytes:
    if fault == "truncate":
        return picture[: len(picture) * 2 // 3]
    if fault == "hole":
        return picture[: len(picture) // 3] + picture[len(picture) * 2 // 3 :]
    if fault == "overflow":
        return picture.ljust(largest_bytes + 1024, b"\0")
    return b"" if fault == "empty" else picture
