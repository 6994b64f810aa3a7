"""Open V4L2 device: the system calls of capturing, without waits between them.

All calls are synchronous. Those that are slow on USB (opening, formats, controls, starting and stopping) belong in a
worker thread; taking and returning buffers is fast.
"""

import errno
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.capabilities import Capabilities, DeviceControl
from v4l2_tier.device.control_values import set_value
from v4l2_tier.device.errors import camera_changed, explained, explained_control
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.probe_controls import reread
from v4l2_tier.device.raw_formats import RawLayout

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("CaptureDevice", "FilledBuffer", "PictureLayout")

#: V4L2_CAP_TIMEPERFRAME in v4l2_captureparm.capability: the frame rate can be set.
_CAP_TIMEPERFRAME = 0x1000
#: Largest relative difference of two intervals that count as equal: drivers round to their hardware's units.
_SAME_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class FilledBuffer:
    """Buffer filled by the driver; the caller owns it until `give_back`.

    `stamp_s` is the driver's time stamp; `flags` and `sequence` are the fields of `v4l2_buffer`.
    """

    index: int
    size_bytes: int
    flags: int
    sequence: int
    stamp_s: float


@dataclass(frozen=True, slots=True)
class PictureLayout:
    """Format that the driver agreed to: `code` is the pixel format, `raw` the memory layout of an uncompressed frame."""

    code: str
    width: int
    height: int
    interval: Fraction | None
    raw: RawLayout


class CaptureDevice:
    """Open device; the opener owns it and calls `close`. The methods raise only `CaptureFailed`."""

    def __init__(self, descriptor: int, node: Path) -> None:
        self._descriptor = descriptor
        self._node = node
        self._maps: list[mmap.mmap] = []
        self._has_buffers = False

    @classmethod
    def open(cls, node: Path, capabilities: Capabilities) -> Self:
        """Open `node`, and check that it is still the device described by `capabilities`."""
        from linuxpy.video import device

        with explained("opening the camera", node):
            descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        opened = cls(descriptor, node)
        try:
            with explained("identifying the camera", node):
                found = device.read_capabilities(descriptor)
                number = os.fstat(descriptor).st_rdev
            if (found.card.decode(errors="replace"), found.bus_info.decode(errors="replace")) != (
                capabilities.card,
                capabilities.bus_info,
            ) or capabilities.device_number not in (0, number):
                raise camera_changed()
        except BaseException:
            opened.close()
            raise
        return opened

    def fileno(self) -> int:
        return self._descriptor

    def check(self) -> None:
        """Raise `CaptureFailed` if the device has disappeared since it was opened."""
        from linuxpy.video import device

        with explained("identifying the camera", self._node):
            device.read_capabilities(self._descriptor)

    def configure(self, mode: ChosenMode) -> PictureLayout:
        """Set `mode` and return the layout that the driver agreed to, which may differ in size and rate.

        A setting that is already right is not written: formats persist when the device is closed, and setting one takes
        a USB camera 50 to 100 ms.
        """
        with explained("setting the picture format", self._node):
            found = self._format()
            if (found.code, found.width, found.height) != (mode.pixel_format, mode.width, mode.height):
                found = self._set_format(mode)
        if found.code != mode.pixel_format:
            raise CaptureFailed(
                f"The camera delivers {found.code} although {mode.pixel_format} was requested.",
                reason="format_refused",
                suggestion="Choose another pixel_format for this camera.",
            )
        with explained("setting the frame rate", self._node):
            interval = self._set_interval(mode.interval)
        return PictureLayout(found.code, found.width, found.height, interval, found.raw)

    def _format(self) -> PictureLayout:
        from linuxpy.video import device

        return _layout(device.get_raw_format(self._descriptor, device.BufferType.VIDEO_CAPTURE))

    def _set_format(self, mode: ChosenMode) -> PictureLayout:
        from linuxpy.video import device

        answer = device.set_format(
            self._descriptor,
            device.BufferType.VIDEO_CAPTURE,
            mode.width,
            mode.height,
            mode.pixel_format.ljust(4),
        )
        return _layout(answer)

    def _set_interval(self, wanted: Fraction) -> Fraction | None:
        """Set the interval; return the one in effect, or None if the driver reports none."""
        from linuxpy.video import device

        try:
            parameters = device.get_parm(self._descriptor, device.BufferType.VIDEO_CAPTURE).parm.capture
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):  # a driver without rates
                return None
            raise
        found = _interval(parameters.timeperframe)
        if not parameters.capability & _CAP_TIMEPERFRAME:
            return found
        if found is not None and abs(found - wanted) <= wanted * Fraction(_SAME_INTERVAL):
            return found
        answer = device.set_fps(self._descriptor, device.BufferType.VIDEO_CAPTURE, 1 / wanted)
        return _interval(answer.parm.capture.timeperframe)

    def read_control(self, control: DeviceControl) -> DeviceControl:
        """Return the control with its value, range and flags as they are now."""
        with explained_control(f"reading the control {control.name}", self._node):
            return reread(self._descriptor, control)

    def write_control(self, control: DeviceControl, value: int) -> None:
        with explained_control(f"setting the control {control.name}", self._node):
            set_value(self._descriptor, control.id, control.kind, value)

    def start(self, buffers: int) -> None:
        """Map `buffers` buffers of the driver, which may grant more or fewer, and start the stream."""
        from linuxpy.video import device

        kind, memory = device.BufferType.VIDEO_CAPTURE, device.Memory.MMAP
        with explained("requesting buffers", self._node):
            granted = device.request_buffers(self._descriptor, kind, memory, buffers).count
            self._has_buffers = True
            for index in range(granted):
                buffer = device.query_buffer(self._descriptor, kind, memory, index)
                self._maps.append(
                    mmap.mmap(
                        self._descriptor,
                        buffer.length,
                        flags=mmap.MAP_SHARED,
                        prot=mmap.PROT_READ | mmap.PROT_WRITE,
                        offset=buffer.m.offset,
                    )
                )
        for index in range(granted):
            self.give_back(index)
        with explained("starting the stream", self._node):
            device.stream_on(self._descriptor, kind)

    def stop(self) -> None:
        """Stop the stream and free the buffers, so that other programs may capture; no effect if not started."""
        from linuxpy.video import device

        kind = device.BufferType.VIDEO_CAPTURE
        try:
            if self._has_buffers:
                with explained("stopping the stream", self._node):
                    device.stream_off(self._descriptor, kind)
        finally:
            self._unmap()
        if self._has_buffers:
            self._has_buffers = False
            with explained("freeing the buffers", self._node):
                device.free_buffers(self._descriptor, kind, device.Memory.MMAP)

    def _unmap(self) -> None:
        while self._maps:
            self._maps.pop().close()

    def next_buffer(self) -> FilledBuffer | None:
        """Return a buffer that is ready, or None."""
        from linuxpy.video import device

        with explained("taking a frame", self._node):
            try:
                buffer = device.dequeue_buffer(
                    self._descriptor, device.BufferType.VIDEO_CAPTURE, device.Memory.MMAP
                )
            except BlockingIOError:
                return None
        stamp_s = buffer.timestamp.secs + buffer.timestamp.usecs / 1e6
        return FilledBuffer(buffer.index, buffer.bytesused, buffer.flags, buffer.sequence, stamp_s)

    def ready(self) -> Iterator[FilledBuffer]:
        """Yield the buffers that are ready now, oldest first."""
        while (buffer := self.next_buffer()) is not None:
            yield buffer

    def copy(self, buffer: FilledBuffer) -> bytes:
        """Return a copy of the frame in `buffer`, the only copy made of it."""
        return self._maps[buffer.index][: buffer.size_bytes]

    def give_back(self, index: int) -> None:
        """Return the buffer to the driver."""
        from linuxpy.video import device

        with explained("returning a buffer", self._node):
            device.enqueue_buffer(
                self._descriptor, device.BufferType.VIDEO_CAPTURE, device.Memory.MMAP, 0, index
            )

    def close(self) -> None:
        """Close the device and free its buffers, which also ends a stream. A second call has no effect."""
        self._unmap()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _layout(answer: "raw.v4l2_format") -> PictureLayout:
    from linuxpy.video.device import human_pixel_format

    pix = answer.fmt.pix
    raw_layout = RawLayout(
        human_pixel_format(pix.pixelformat).rstrip(),
        pix.width,
        pix.height,
        pix.bytesperline,
        colorspace=pix.colorspace,
        encoding=pix.m1.ycbcr_enc,
        quantization=pix.quantization,
    )
    return PictureLayout(raw_layout.code, pix.width, pix.height, None, raw_layout)


def _interval(fraction: "raw.v4l2_fract") -> Fraction | None:
    if not fraction.numerator or not fraction.denominator:
        return None
    return Fraction(fraction.numerator, fraction.denominator)
