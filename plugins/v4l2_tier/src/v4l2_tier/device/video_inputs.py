"""Video inputs of a device, and if they carry a signal.

A webcam has one input that says nothing. The inputs of analog and HDMI bridges have standards or timings, and tell if a
source is there.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from v4l2_tier.device.calls import GONE, DriverCall
from v4l2_tier.device.standards import frame_interval

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = (
    "VideoInput",
    "VideoSource",
    "read_inputs",
    "read_source",
    "signal_fault",
    "timings_interval",
    "why_no_timings",
)

#: V4L2_IN_CAP_DV_TIMINGS and V4L2_IN_CAP_STD.
_CAP_TIMINGS, _CAP_STANDARD = 0x2, 0x4
#: V4L2_IN_ST_* that mean that there is no picture, in words. A lost lock on lines or standard is none: drivers also
#: report it of a weak signal that still gives pictures.
_FAULTS = (
    (0x1, "the source has no power"),
    (0x2, "there is no signal"),
    (0x10000, "the signal has no sync"),
    (0x40000, "there is no carrier"),
)
#: Errors of VIDIOC_QUERY_DV_TIMINGS in words; any other means that the driver cannot tell.
_NO_TIMINGS = {
    errno.ENOLINK: "nothing is connected, or the source is off or asleep",
    errno.ENOLCK: "the signal is not stable",
    errno.ERANGE: "the source sends a size or rate that the device cannot take",
}
_NO_STANDARD = "there is no signal"
_MOST_INPUTS = 64
_END = frozenset({errno.EINVAL, errno.ENOTTY, errno.ENODATA})


@dataclass(frozen=True, slots=True)
class VideoInput:
    """Input by its number and name. `standards` is the set of its analog ones, 0 for none; `fault` says why it has no signal."""

    index: int
    name: str
    standards: int = 0
    has_timings: bool = False
    fault: str = ""

    @property
    def is_bridge(self) -> bool:
        """True if the input is that of an analog or HDMI bridge, which knows if a source is there."""
        return self.has_timings or self.standards != 0

    @property
    def shown_fault(self) -> str:
        return f"{self.fault} at the input {self.name!r}" if self.fault else ""


@dataclass(frozen=True, slots=True)
class VideoSource:
    """Inputs of a device, the one that is selected, and the time between frames (seconds) that its source has.

    `selected` is None if the driver does not tell it, `interval` if the source has none that is known.
    """

    inputs: tuple[VideoInput, ...] = ()
    selected: VideoInput | None = None
    interval: Fraction | None = None

    @property
    def is_bridge(self) -> bool:
        return any(each.is_bridge for each in self.inputs)

    @property
    def fault(self) -> str:
        """Reason why the selected input has no signal; empty if it has one, or if it is no bridge's."""
        return self.selected.shown_fault if self.selected and self.selected.is_bridge else ""

    def named(self, wanted: int | str) -> VideoInput | None:
        """Return the input of this number or name, which is compared without case."""
        if isinstance(wanted, int):
            return next((each for each in self.inputs if each.index == wanted), None)
        return next((each for each in self.inputs if each.name.casefold() == wanted.strip().casefold()), None)


def read_source(call: DriverCall) -> VideoSource:
    """Return the inputs and what the selected one tells, none if the device has none; changes nothing.

    Raises:
        OSError: the device is gone.
    """
    inputs = tuple(read_inputs(call))
    if len(inputs) == 1 and not inputs[0].is_bridge:
        return VideoSource(inputs, inputs[0])
    selected = _selected(call, inputs)
    return VideoSource(inputs, selected, _interval(call, selected) if selected else None)


def read_inputs(call: DriverCall) -> Iterator[VideoInput]:
    """Yield the inputs with what the driver tells of their signals; a driver that cannot tell is believed to have one.

    Raises:
        OSError: the device is gone.
    """
    from linuxpy.video import raw

    for index in range(_MOST_INPUTS):
        entry = raw.v4l2_input(index=index)
        try:
            call(raw.IOC.ENUMINPUT, entry)
        except OSError as error:
            if error.errno in GONE:
                raise
            if index == 0 and error.errno not in _END:
                yield VideoInput(0, "input 0")
            return
        yield _described(entry)


def _described(entry: "raw.v4l2_input") -> VideoInput:
    has_timings = bool(entry.capabilities & _CAP_TIMINGS)
    standards = entry.std if entry.capabilities & _CAP_STANDARD or not has_timings else 0
    name = entry.name.decode(errors="replace") or f"input {entry.index}"
    fault = next((words for flag, words in _FAULTS if entry.status & flag), "")
    return VideoInput(entry.index, name, standards, has_timings, fault)


def _selected(call: DriverCall, inputs: tuple[VideoInput, ...]) -> VideoInput | None:
    """Return the selected input. Drivers tell best what a digital one lacks when they are asked for its timings."""
    import ctypes

    from linuxpy.video import raw

    number = ctypes.c_int()
    if _is_answered(call, raw.IOC.G_INPUT, number):
        found = next((each for each in inputs if each.index == number.value), None)
    else:
        found = inputs[0] if len(inputs) == 1 else None
    if found is None:
        return None
    if not found.has_timings:
        return _with_detection(call, found)
    return replace(found, fault=why_no_timings(call, raw.v4l2_dv_timings()) or found.fault)


def _with_detection(call: DriverCall, selected: VideoInput) -> VideoInput:
    """Return the selected input with the fault that its driver detects no standard.

    That is all that decoders tell of a missing signal if they have no status of the input. A driver that cannot detect
    a standard answers with all of them, or with an error.
    """
    import ctypes

    from linuxpy.video import raw

    if selected.fault or selected.has_timings or not selected.standards:
        return selected
    detected = ctypes.c_uint64()
    is_lacking = _is_answered(call, raw.IOC.QUERYSTD, detected) and not detected.value
    return replace(selected, fault=_NO_STANDARD) if is_lacking else selected


def signal_fault(call: DriverCall, index: int) -> str:
    """Return why the selected input has no signal; empty if it has one, or if the driver does not tell.

    Does not disturb a stream.

    Raises:
        OSError: the device is gone.
    """
    from linuxpy.video import raw

    entry = raw.v4l2_input(index=index)
    if not _is_answered(call, raw.IOC.ENUMINPUT, entry):
        return ""
    return _with_detection(call, _described(entry)).shown_fault


def why_no_timings(call: DriverCall, timings: "raw.v4l2_dv_timings") -> str:
    """Ask for the timings of the source; return why there are none, empty if `timings` has them or the driver cannot tell.

    `timings.m1.bt.width` is 0 then.

    Raises:
        OSError: the device is gone.
    """
    from linuxpy.video import raw

    try:
        call(raw.IOC.QUERY_DV_TIMINGS, timings)
    except OSError as error:
        if error.errno in GONE:
            raise
        timings.m1.bt.width = 0
        return _NO_TIMINGS.get(error.errno or 0, "")
    return ""


def _interval(call: DriverCall, selected: VideoInput) -> Fraction | None:
    """Return the interval of the standard or timings that are set."""
    import ctypes

    from linuxpy.video import raw

    if selected.has_timings:
        timings = raw.v4l2_dv_timings()
        return timings_interval(timings) if _is_answered(call, raw.IOC.G_DV_TIMINGS, timings) else None
    standard = ctypes.c_uint64()
    is_known = selected.standards and _is_answered(call, raw.IOC.G_STD, standard)
    return frame_interval(standard.value) if is_known else None


def timings_interval(timings: "raw.v4l2_dv_timings") -> Fraction | None:
    """Return the time between frames (seconds), from the pixel clock and all pixels of a frame, hidden ones included."""
    bt = timings.m1.bt
    width = bt.width + bt.hfrontporch + bt.hsync + bt.hbackporch
    height = bt.height + bt.vfrontporch + bt.vsync + bt.vbackporch
    if bt.interlaced:
        height += bt.il_vfrontporch + bt.il_vsync + bt.il_vbackporch
    return Fraction(width * height, bt.pixelclock) if bt.pixelclock and width * height else None


def _is_answered(call: DriverCall, request: int, argument: object) -> bool:
    try:
        call(request, argument)
    except OSError as error:
        if error.errno in GONE:
            raise
        return False
    return True
