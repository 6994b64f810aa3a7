"""One open V4L2 device: the system calls of capturing, without any waiting between them.

Everything here is synchronous. What may take long on USB (opening, formats, starting and stopping) is for a worker
thread; taking and returning buffers is quick.
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
from v4l2_tier.device.control_values import get_value, set_value
from v4l2_tier.device.controls import ControlState
from v4l2_tier.device.errors import explained
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.raw_formats import RawLayout

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("CaptureDevice", "FilledBuffer", "PictureLayout")

#: V4L2_CAP_TIMEPERFRAME of v4l2_captureparm.capability: the rate can be set.
_CAP_TIMEPERFRAME = 0x1000
#: Drivers round intervals to what their hardware counts in; nearer than this is the same.
_SAME_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class FilledBuffer:
    """A buffer that the driver has given back; it is the caller's until `give_back`.

    `stamp_s` is the driver's time; `flags` and `sequence` are those of `v4l2_buffer`.
    """

    index: int
    size_bytes: int
    flags: int
    sequence: int
    stamp_s: float


@dataclass(frozen=True, slots=True)
class PictureLayout:
    """What the driver has agreed to: `code` is the pixel format, `raw` how a frame that is no JPEG lies in memory."""

    code: str
    width: int
    height: int
    interval: Fraction | None
    raw: RawLayout


class CaptureDevice:
    """The methods raise `CaptureFailed` only. It belongs to whoever opened it, who calls `close`."""

    def __init__(self, descriptor: int, node: Path) -> None:
        self._descriptor = descriptor
        self._node = node
        self._maps: list[mmap.mmap] = []
        self._has_buffers = False

    @classmethod
    def open(cls, node: Path, capabilities: Capabilities) -> Self:
        """Open `node` and check that it is still the device that `capabilities` was read from."""
        from linuxpy.video import device

        with explained("opening it", node):
            descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        opened = cls(descriptor, node)
        try:
            with explained("asking what it is", node):
                found = device.read_capabilities(descriptor)
            if (found.card.decode(errors="replace"), found.bus_info.decode(errors="replace")) != (
                capabilities.card,
                capabilities.bus_info,
            ):
                raise _changed()
        except BaseException:
            opened.close()
            raise
        return opened

    def fileno(self) -> int:
        return self._descriptor

    def check(self) -> None:
        """Raise if the device has gone since it was opened."""
        from linuxpy.video import device

        with explained("asking what it is", self._node):
            device.read_capabilities(self._descriptor)

    def configure(self, mode: ChosenMode) -> PictureLayout:
        """Make the device deliver `mode`, or what the driver makes of it; nothing is set that is right already.

        A format survives closing, and setting one costs USB cameras 50 to 100 ms.
        """
        with explained("setting the picture format", self._node):
            found = self._format()
            if (found.code, found.width, found.height) != (mode.pixel_format, mode.width, mode.height):
                found = self._set_format(mode)
        if found.code != mode.pixel_format:
            raise CaptureFailed(
                f"The camera delivers {found.code} where {mode.pixel_format} was set.",
                reason="format_refused",
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
        """The interval that holds in the end; None where the driver does not tell."""
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

    def read_control(self, control: DeviceControl) -> ControlState:
        """Its value and whether another control rules it now."""
        from linuxpy.video import device

        query = device.raw.v4l2_queryctrl(id=control.id)
        with explained(f"reading the control {control.name}", self._node):
            device.ioctl(self._descriptor, device.IOC.QUERYCTRL, query)
            inactive = bool(query.flags & device.ControlFlag.INACTIVE)
            value = get_value(self._descriptor, control.id, control.kind) if control.is_readable else 0
        return ControlState(value, inactive)

    def write_control(self, control: DeviceControl, value: int) -> None:
        with explained(f"setting the control {control.name}", self._node):
            set_value(self._descriptor, control.id, control.kind, value)

    def start(self, buffers: int) -> None:
        """Share `buffers` buffers with the driver, which may decide on more or fewer, and start the stream."""
        from linuxpy.video import device

        kind, memory = device.BufferType.VIDEO_CAPTURE, device.Memory.MMAP
        with explained("asking for buffers", self._node):
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
        """Stop the stream and give the buffers back, so that others may capture; nothing if none was started."""
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
        """A buffer that is ready; None if there is none."""
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
        """The buffers that are ready now, oldest first."""
        while (buffer := self.next_buffer()) is not None:
            yield buffer

    def copy(self, buffer: FilledBuffer) -> bytes:
        """The frame in it; the one copy that is made."""
        return self._maps[buffer.index][: buffer.size_bytes]

    def give_back(self, index: int) -> None:
        """Let the driver fill the buffer again."""
        from linuxpy.video import device

        with explained("returning a buffer", self._node):
            device.enqueue_buffer(
                self._descriptor, device.BufferType.VIDEO_CAPTURE, device.Memory.MMAP, 0, index
            )

    def close(self) -> None:
        """Give everything back; closing ends a stream too. Calling it again does nothing."""
        self._unmap()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _changed() -> CaptureFailed:
    return CaptureFailed(
        "Another device has taken this camera's place.",
        reason="camera_changed",
        suggestion="Wait a moment; the agent notices what is connected now.",
    )


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
