"""Open V4L2 device: the system calls of capturing, without waits between them.

All calls are synchronous. Those that are slow on USB (opening, formats, controls, starting and stopping) belong in a
worker thread; taking and returning buffers is fast.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.buffers import FilledBuffer, StreamBuffers, mapped_from
from v4l2_tier.device.calls import calls_to
from v4l2_tier.device.capabilities import Capabilities, DeviceControl
from v4l2_tier.device.connection import Connection, connect
from v4l2_tier.device.control_values import set_value
from v4l2_tier.device.errors import camera_changed, explained, explained_control, no_signal
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.picture_format import PictureLayout, agree_on_format, agree_on_interval
from v4l2_tier.device.planarity import Planarity
from v4l2_tier.device.probe import NoCamera, read_offer
from v4l2_tier.device.probe_controls import reread
from v4l2_tier.device.source_events import SourceEvents
from v4l2_tier.device.video_inputs import signal_fault
from v4l2_tier.device.writers import NO_WRITER, lacks_writer
from v4l2_tier.settings import CaptureSettings

__all__ = ("CaptureDevice", "FilledBuffer", "PictureLayout")


class CaptureDevice:
    """Open device; the opener owns it and calls `close`. The methods raise only `CaptureFailed`."""

    def __init__(self, descriptor: int, node: Path, planarity: Planarity) -> None:
        self._descriptor = descriptor
        self._call = calls_to(descriptor)
        self._node = node
        self._planarity = planarity
        self._buffers = StreamBuffers(self._call, planarity, mapped_from(descriptor))
        self._layout: PictureLayout | None = None
        self._has_buffers = False
        self._source = SourceEvents(self._call)

    @classmethod
    def open(cls, node: Path, capabilities: Capabilities) -> Self:
        """Open `node`, and check that it is still the device described by `capabilities`.

        Raises `no_signal` if it is a device without hardware to which no program writes.
        """
        from linuxpy.video import device

        with explained("opening the camera", node):
            descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        opened = cls(descriptor, node, capabilities.planarity)
        try:
            with explained("identifying the camera", node):
                number = os.fstat(descriptor).st_rdev
                if lacks_writer(opened._call, number):
                    raise no_signal(NO_WRITER)
                found = device.read_capabilities(descriptor)
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

    def offer(self) -> Capabilities | NoCamera:
        """Return what the device offers now, without its controls."""
        with explained("asking the camera what it offers", self._node):
            return read_offer(self._call)

    @property
    def tells_source(self) -> bool:
        """True if the driver tells changes of the source, as HDMI and analog bridges do."""
        return self._source.are_told

    def source_changed(self) -> bool:
        """Return whether the source has changed since the last call; does not wait."""
        with explained("asking the camera for events", self._node):
            return self._source.has_changed()

    def connect(self, settings: CaptureSettings) -> Connection:
        """Select the configured input; set the standard or timings of its source. Raises `no_signal` if it has none."""
        with explained("connecting with the source", self._node):
            return connect(self._call, settings)

    def signal_fault(self, index: int) -> str:
        """Return why the input has no signal, empty if it has one; also during a stream."""
        with explained("asking for the signal", self._node):
            return signal_fault(self._call, index)

    def configure(self, mode: ChosenMode) -> PictureLayout:
        """Set `mode` and return the layout that the driver agreed to, which may differ in size and rate."""
        with explained("setting the picture format", self._node):
            layout = agree_on_format(self._call, mode, self._planarity)
        if layout.code != mode.pixel_format:
            raise CaptureFailed(
                f"The camera delivers {layout.code} although {mode.pixel_format} was requested.",
                reason="format_refused",
                suggestion="Choose another pixel_format for this camera.",
            )
        with explained("setting the frame rate", self._node):
            interval, notes = agree_on_interval(self._call, mode.interval, self._planarity)
        self._layout = replace(layout, interval=interval, notes=(*layout.notes, *notes))
        return self._layout

    def read_control(self, control: DeviceControl) -> DeviceControl:
        """Return the control with its value, range and flags as they are now."""
        with explained_control(f"reading the control {control.name}", self._node):
            return reread(self._call, control)

    def write_control(self, control: DeviceControl, value: int) -> None:
        with explained_control(f"setting the control {control.name}", self._node):
            set_value(self._call, control.id, control.kind, value)

    def start(self, buffers: int) -> None:
        """Map `buffers` buffers of the driver, which may grant more or fewer, and start the stream; after `configure`."""
        if self._layout is None:
            raise RuntimeError("start without configure")
        with explained("requesting buffers", self._node):
            try:
                self._buffers.request(buffers, self._layout.raw)
            finally:
                self._has_buffers = len(self._buffers) > 0
        for index in range(len(self._buffers)):
            self.give_back(index)
        with explained("starting the stream", self._node):
            self._buffers.start()

    def stop(self) -> None:
        """Stop the stream and free the buffers, so that other programs may capture; no effect if not started."""
        try:
            if self._has_buffers:
                with explained("stopping the stream", self._node):
                    self._buffers.stop()
        finally:
            self._buffers.close()
        if self._has_buffers:
            self._has_buffers = False
            with explained("freeing the buffers", self._node):
                self._buffers.free()

    def next_buffer(self) -> FilledBuffer | None:
        """Return a buffer that is ready, or None."""
        with explained("taking a frame", self._node):
            try:
                return self._buffers.take()
            except BlockingIOError:
                return None

    def ready(self) -> Iterator[FilledBuffer]:
        """Yield the buffers that are ready now, oldest first."""
        while (buffer := self.next_buffer()) is not None:
            yield buffer

    def copy(self, buffer: FilledBuffer) -> bytes:
        """Return a copy of the frame in `buffer`, the only copy made of it unless it has several planes of memory."""
        return self._buffers.copy(buffer)

    def give_back(self, index: int) -> None:
        """Return the buffer to the driver."""
        with explained("returning a buffer", self._node):
            self._buffers.give_back(index)

    def close(self) -> None:
        """Close the device and free its buffers, which also ends a stream. A second call has no effect."""
        self._buffers.close()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
