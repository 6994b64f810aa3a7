"""Messages of USB/IP between the kernel's virtual host and a device (Documentation/usb/usbip_protocol.rst)."""

import struct
from dataclasses import dataclass

__all__ = ("HEADER_BYTES", "Submit", "Unlink", "packet_bytes", "parse", "submit_reply", "unlink_reply")

HEADER_BYTES = 48
PACKET_DESCRIPTOR_BYTES = 16
CMD_SUBMIT, CMD_UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
#: Number of packets that means "not isochronous".
NO_PACKETS = 0xFFFFFFFF
ECONNRESET = 104


@dataclass(frozen=True, slots=True)
class Submit:
    """Transfer requested by the kernel; `length` is the buffer's in bytes, `packets` is 0 unless isochronous."""

    number: int
    endpoint: int
    to_host: bool
    length: int
    packets: int
    setup: bytes

    @property
    def follows_bytes(self) -> int:
        """Number of bytes that follow the header on the wire."""
        return (0 if self.to_host else self.length) + self.packets * PACKET_DESCRIPTOR_BYTES


@dataclass(frozen=True, slots=True)
class Unlink:
    """Cancellation of the transfer `victim` by the kernel."""

    number: int
    victim: int


def parse(header: bytes) -> Submit | Unlink:
    command, number, _, to_host, endpoint = struct.unpack_from(">5I", header)
    if command == CMD_UNLINK:
        return Unlink(number, struct.unpack_from(">I", header, 20)[0])
    if command != CMD_SUBMIT:
        raise ValueError(f"unknown USB/IP command {command}")
    length, _, packets = struct.unpack_from(">III", header, 24)
    packets = 0 if packets == NO_PACKETS else packets
    return Submit(number, endpoint, bool(to_host), length, packets, header[40:48])


def submit_reply(
    submit: Submit, *, data: bytes = b"", status: int = 0, packets: list[tuple[int, int]] | None = None
) -> bytes:
    """Return the reply; `status` is a negative errno, `packets` the buffer and content length of each packet."""
    actual = len(data) if submit.to_host else (submit.length if status == 0 else 0)
    count = NO_PACKETS if packets is None else len(packets)
    head = struct.pack(">5IiIIII8x", RET_SUBMIT, submit.number, 0, 0, 0, status, actual, 0, count, 0)
    descriptors, offset = b"", 0
    for room, content in packets or ():
        descriptors += struct.pack(">4I", offset, room, content, 0)
        offset += room
    return head + data + descriptors


def packet_bytes(follows: bytes) -> list[int]:
    """Return the buffer lengths in the packet descriptors that follow an isochronous request."""
    return [length for _, length, _, _ in struct.iter_unpack(">4I", follows)]


def unlink_reply(unlink: Unlink, *, was_waiting: bool) -> bytes:
    status = -ECONNRESET if was_waiting else 0
    return struct.pack(">5Ii24x", RET_UNLINK, unlink.number, 0, 0, 0, status)
