"""Descriptors of a USB Video Class 1.0 camera (USB 2.0 chapter 9, UVC chapter 3)."""

import struct

from tests.vm.cameras.controls import CAMERA_TERMINAL, PROCESSING_UNIT, Controls
from tests.vm.cameras.layout import Continuous, FrameSize, Layout

__all__ = ("CLOCK_HZ", "ENDPOINT", "ISOCHRONOUS_PACKET_BYTES", "Descriptors")

#: Streaming endpoint of the first function: number 1, direction to the host.
ENDPOINT = 0x81
CLOCK_HZ = 48_000_000
OUTPUT_TERMINAL = 3
#: Maximum of high speed: three transactions of 1024 bytes per microframe.
ISOCHRONOUS_PACKET_BYTES = 3 * 1024
ISOCHRONOUS_MAX_PACKET = 1024 | 2 << 11
#: Ends of the GUIDs that begin with a four-character code.
_CODED_AS = bytes.fromhex("0000 1000 8000 00aa00389b71")
YUY2 = b"YUY2" + _CODED_AS
#: Frame-based formats (UVC 1.1, Frame Based Payload, table 3-1), by their V4L2 codes.
FRAME_BASED = {"H264": b"H264" + _CODED_AS, "HEVC": b"H265" + _CODED_AS}
CS_INTERFACE = 0x24
LANGUAGE = 0x0409


def _u16(value: int) -> bytes:
    return struct.pack("<H", value)


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)


def _block(*parts: int | bytes) -> bytes:
    """Return a descriptor: its length, then these bytes."""
    body = b"".join(bytes([part]) if isinstance(part, int) else part for part in parts)
    return bytes([len(body) + 1]) + body


class Descriptors:
    """Descriptors of one camera."""

    def __init__(self, layout: Layout, controls: Controls) -> None:
        self._layout = layout
        self._controls = controls

    def find(self, kind: int, index: int) -> bytes | None:
        """Return the answer to GET_DESCRIPTOR, or None if the descriptor does not exist."""
        if kind == 1:
            return self._device()
        if kind == 2:
            return self._configuration()
        if kind == 3:
            return self._string(index)
        return None

    def _device(self) -> bytes:
        layout = self._layout
        serial_index = 0 if layout.serial is None else 3
        ids = _u16(layout.vendor_id) + _u16(layout.product_id) + _u16(0x0100)
        # Class 0xEF: interface associations declare the functions.
        return _block(1, _u16(0x0200), 0xEF, 2, 1, 64, ids, 1, 2, serial_index, 1)

    def _string(self, index: int) -> bytes | None:
        if index == 0:
            return _block(3, _u16(LANGUAGE))
        texts = {1: self._layout.manufacturer, 2: self._layout.product, 3: self._layout.serial}
        text = texts.get(index)
        return None if text is None else _block(3, text.encode("utf-16-le"))

    def _configuration(self) -> bytes:
        functions = self._layout.functions
        body = b"".join(self._function(number, formats) for number, formats in enumerate(functions))
        return _block(2, _u16(9 + len(body)), 2 * len(functions), 1, 0, 0x80, 250) + body

    def _function(self, number: int, formats: list[tuple[str, tuple[FrameSize, ...]]]) -> bytes:
        association = _block(0x0B, 2 * number, 2, 0x0E, 3, 0, 2)
        return association + self._control_interface(number) + self._streaming_interface(number, formats)

    def _control_interface(self, function: int) -> bytes:
        """Return the control interface; only the first function has controls."""
        has_controls = function == 0
        terminal_bits = (self._controls.bitmap(CAMERA_TERMINAL) * has_controls).to_bytes(3, "little")
        unit_bits = (self._controls.bitmap(PROCESSING_UNIT) * has_controls).to_bytes(2, "little")
        camera = _block(CS_INTERFACE, 2, CAMERA_TERMINAL, _u16(0x0201), 0, 0, bytes(6), 3, terminal_bits)
        processing = _block(CS_INTERFACE, 5, PROCESSING_UNIT, CAMERA_TERMINAL, _u16(0), 2, unit_bits, 0)
        output = _block(CS_INTERFACE, 3, OUTPUT_TERMINAL, _u16(0x0101), 0, PROCESSING_UNIT, 0)
        units = camera + processing + output
        # The total includes the header itself, 13 bytes.
        streaming = 2 * function + 1
        header = _block(CS_INTERFACE, 1, _u16(0x0100), _u16(13 + len(units)), _u32(CLOCK_HZ), 1, streaming)
        return _block(4, 2 * function, 0, 0, 0x0E, 1, 0, 2) + header + units

    def _streaming_interface(self, function: int, offered: list[tuple[str, tuple[FrameSize, ...]]]) -> bytes:
        formats = b"".join(self._format(index, name, sizes) for index, (name, sizes) in enumerate(offered, 1))
        number, address, count = 2 * function + 1, ENDPOINT + function, len(offered)
        header_bytes = 13 + count
        fields = (address, 0, OUTPUT_TERMINAL, 0, 0, 0, 1, bytes(count))
        header = _block(CS_INTERFACE, 1, count, _u16(header_bytes + len(formats)), *fields)
        if self._layout.transfer == "bulk":
            endpoint = _block(5, address, 2, _u16(512), 0)
            return _block(4, number, 0, 1, 0x0E, 2, 0, 0) + header + formats + endpoint
        # Setting 0 needs no bandwidth; the kernel requests it by choosing setting 1.
        endpoint = _block(5, address, 5, _u16(ISOCHRONOUS_MAX_PACKET), 1)
        idle = _block(4, number, 0, 0, 0x0E, 2, 0, 0)
        return idle + header + formats + _block(4, number, 1, 1, 0x0E, 2, 0, 0) + endpoint

    def _format(self, index: int, name: str, sizes: tuple[FrameSize, ...]) -> bytes:
        if name == "MJPG":
            head = _block(CS_INTERFACE, 6, index, len(sizes), 1, 1, bytes(4))
        elif name in FRAME_BASED:  # the last 1: pictures of variable size
            head = _block(CS_INTERFACE, 0x10, index, len(sizes), FRAME_BASED[name], 16, 1, bytes(4), 1)
        else:
            head = _block(CS_INTERFACE, 4, index, len(sizes), YUY2, 16, 1, bytes(4))
        kind = {"MJPG": 7, "YUYV": 5}.get(name, 0x11)
        frames = b"".join(self._frame(kind, number, size) for number, size in enumerate(sizes, 1))
        colours = _block(CS_INTERFACE, 0x0D, 1, 1, 4)
        return head + frames + colours

    def _frame(self, kind: int, number: int, size: FrameSize) -> bytes:
        intervals = size.intervals()
        bits = size.raw_bytes * 8
        slowest_s, fastest_s = max(intervals[:2]) / 1e7, intervals[0] / 1e7
        count = 0 if isinstance(size.rates_fps, Continuous) else len(intervals)
        rates = (_u32(int(bits / slowest_s)), _u32(min(int(bits / fastest_s), 0xFFFFFFFF)))
        default, bytes_per_line = _u32(size.default_interval()), _u32(0)
        if kind == 0x11:
            more: tuple[bytes | int, ...] = (default, count, bytes_per_line)
        else:
            more = (_u32(size.raw_bytes), default, count)
        return _block(
            *(CS_INTERFACE, kind, number, 0),
            *(_u16(size.width), _u16(size.height)),
            *(*rates, *more),
            *(_u32(each) for each in intervals),
        )
