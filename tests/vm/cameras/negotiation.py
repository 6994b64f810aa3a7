"""Negotiation of a stream's format, size and rate by probe and commit (UVC 4.3.1.1)."""

import struct
from dataclasses import dataclass

from tests.vm.cameras.controls import GET_CUR, GET_DEF, GET_INFO, GET_LEN, GET_MAX, GET_MIN, SET_CUR
from tests.vm.cameras.descriptors import ISOCHRONOUS_PACKET_BYTES
from tests.vm.cameras.layout import FrameSize, Layout

__all__ = ("Choice", "Negotiation")

PROBE, COMMIT = 1, 2
#: Size of a bulk transfer: the most that the kernel's driver requests at high speed.
BULK_PAYLOAD_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Choice:
    """Negotiated format and size, by index from 1, and interval in units of 100 ns."""

    format_index: int
    size_index: int
    interval: int


class Negotiation:
    """State of the negotiation with one function of a camera, which has these `formats`."""

    def __init__(self, layout: Layout, formats: list[tuple[str, tuple[FrameSize, ...]]]) -> None:
        self._layout = layout
        self._formats = formats
        self._probed = self._committed = self._default()

    @property
    def payload_bytes(self) -> int:
        return BULK_PAYLOAD_BYTES if self._layout.transfer == "bulk" else ISOCHRONOUS_PACKET_BYTES

    @property
    def format(self) -> str:
        return self._formats[self._committed.format_index - 1][0]

    @property
    def size(self) -> FrameSize:
        return self._size(self._committed)

    @property
    def interval_s(self) -> float:
        return self._committed.interval / 1e7

    def request(self, selector: int, code: int, data: bytes) -> bytes | None:
        """Return the answer to a request to the streaming interface, or None to refuse it."""
        if selector not in (PROBE, COMMIT):
            return None
        if code == SET_CUR:
            choice = self._nearest(*struct.unpack_from("<BBI", data, 2))
            self._probed = choice
            if selector == COMMIT:
                self._committed = choice
            return b""
        if code == GET_INFO:
            return b"\3"
        current = self._probed if selector == PROBE else self._committed
        if code == GET_LEN:
            return len(self._packed(current)).to_bytes(2, "little")
        if code in (GET_CUR, GET_MIN, GET_MAX):
            return self._packed(current)
        return self._packed(self._default()) if code == GET_DEF else None

    def _default(self) -> Choice:
        return Choice(1, 1, self._formats[0][1][0].default_interval())

    def _nearest(self, format_index: int, size_index: int, interval: int) -> Choice:
        formats = self._formats
        format_index = min(max(format_index, 1), len(formats))
        size_index = min(max(size_index, 1), len(formats[format_index - 1][1]))
        size = formats[format_index - 1][1][size_index - 1]
        return Choice(format_index, size_index, size.nearest_interval(interval))

    def _size(self, choice: Choice) -> FrameSize:
        return self._formats[choice.format_index - 1][1][choice.size_index - 1]

    def _packed(self, choice: Choice) -> bytes:
        numbers = (1, choice.format_index, choice.size_index, choice.interval)
        return struct.pack(
            "<HBBI5HII", *numbers, 0, 0, 0, 0, 0, self._size(choice).raw_bytes, self.payload_bytes
        )
