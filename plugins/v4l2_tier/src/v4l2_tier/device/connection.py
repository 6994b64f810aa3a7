"""Connection of a bridge with its source: the input is selected, its standard or timings follow the signal.

Another program may have left any of them, and a source may have changed while the device was closed.
"""

import ctypes
import errno
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.calls import GONE, DriverCall
from v4l2_tier.device.errors import no_signal
from v4l2_tier.device.standards import STANDARDS, is_one_system, name_of
from v4l2_tier.device.video_inputs import VideoInput, VideoSource, read_source, why_no_timings
from v4l2_tier.settings import CaptureSettings

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("Connection", "connect")

#: Largest relative difference of two pixel clocks that are the same: receivers measure them.
_SAME_CLOCK = 0.0005
_COMPARED = (
    *("width", "height", "interlaced"),
    *("hfrontporch", "hsync", "hbackporch", "vfrontporch", "vsync", "vbackporch"),
)


@dataclass(frozen=True, slots=True)
class Connection:
    """Source that the device is connected with.

    Attributes:
        input_index: input to watch for a loss of the signal; None if the driver tells nothing, or it is not to be watched.
        has_changed: the device may offer other formats and sizes than before.
        notes: sentences about what could not be set.
    """

    input_index: int | None = None
    has_changed: bool = False
    notes: tuple[str, ...] = ()


def connect(call: DriverCall, settings: CaptureSettings) -> Connection:
    """Select the configured input, and set the standard or timings of its source. Not during a stream.

    Raises:
        CaptureFailed: the input has no signal (`no_signal`), or there is no such input (`no_such_input`).
        OSError: the device is gone, or refuses the input.
    """
    source = read_source(call)
    if settings.input is None:
        selected, has_changed = source.selected, False
    else:
        selected = _wanted(source, settings.input)
        has_changed = selected != source.selected and _select(call, selected, source)
        if has_changed:
            selected = read_source(call).selected
    if selected is None or not selected.is_bridge:
        return Connection(has_changed=has_changed)
    if selected.fault and settings.check_signal:
        raise no_signal(selected.shown_fault)
    adapted = _adapted(call, selected, settings)
    if adapted.fault and settings.check_signal:  # lost since the input was read
        raise no_signal(replace(selected, fault=adapted.fault).shown_fault)
    watched = selected.index if settings.check_signal else None
    return Connection(watched, has_changed or adapted.has_changed, adapted.notes)


@dataclass(frozen=True, slots=True)
class _Adapted:
    """Result of following a signal; `fault` says why there is none."""

    fault: str = ""
    has_changed: bool = False
    notes: tuple[str, ...] = ()


def _wanted(source: VideoSource, wanted: int | str) -> VideoInput:
    found = source.named(wanted)
    if found is None:
        offered = ", ".join(f"{each.index}: {each.name!r}" for each in source.inputs)
        raise CaptureFailed(
            f"The device has no input {wanted!r} (it has {offered}).",
            reason="no_such_input",
            suggestion="Correct `input` in the settings of this camera.",
        )
    return found


def _select(call: DriverCall, wanted: VideoInput, source: VideoSource) -> bool:
    """Select the input; return False if it was selected before, as far as the driver tells."""
    from linuxpy.video import raw

    if source.selected is not None and source.selected.index == wanted.index:
        return False
    call(raw.IOC.S_INPUT, ctypes.c_int(wanted.index))
    return True


def _adapted(call: DriverCall, selected: VideoInput, settings: CaptureSettings) -> _Adapted:
    if selected.has_timings:
        return _follow_timings(call)
    if settings.standard is None:
        return _follow_standard(call, selected)
    return _set_standard(call, STANDARDS[settings.standard] & selected.standards, settings.standard)


def _follow_timings(call: DriverCall) -> _Adapted:
    """Set the timings that the source has; a driver that cannot measure them keeps its own."""
    from linuxpy.video import raw

    found, present = raw.v4l2_dv_timings(), raw.v4l2_dv_timings()
    fault = why_no_timings(call, found)
    if fault or not found.m1.bt.width:
        return _Adapted(fault)
    try:
        call(raw.IOC.G_DV_TIMINGS, present)
        if _are_alike(found, present):
            return _Adapted()
        call(raw.IOC.S_DV_TIMINGS, found)
    except OSError as error:
        return _Adapted(notes=(_refused(error, f"the source's size {_shown(found)}"),))
    return _Adapted(has_changed=True)


def _are_alike(found: "raw.v4l2_dv_timings", present: "raw.v4l2_dv_timings") -> bool:
    one, other = found.m1.bt, present.m1.bt
    if any(getattr(one, name) != getattr(other, name) for name in _COMPARED):
        return False
    return bool(abs(one.pixelclock - other.pixelclock) <= one.pixelclock * _SAME_CLOCK)


def _shown(timings: "raw.v4l2_dv_timings") -> str:
    bt = timings.m1.bt
    return f"{bt.width}x{bt.height}{'i' if bt.interlaced else ''}"


def _follow_standard(call: DriverCall, selected: VideoInput) -> _Adapted:
    """Set the standard that the driver detects; keep the present one if it detects none for sure, or cannot."""
    from linuxpy.video import raw

    detected, present = ctypes.c_uint64(), ctypes.c_uint64()
    try:
        call(raw.IOC.QUERYSTD, detected)
        call(raw.IOC.G_STD, present)
    except OSError as error:
        if error.errno in GONE:
            raise
        return _Adapted()
    wanted = detected.value & selected.standards
    if wanted & present.value or not is_one_system(wanted):
        return _Adapted()
    return _write_standard(call, wanted)


def _set_standard(call: DriverCall, wanted: int, name: str) -> _Adapted:
    from linuxpy.video import raw

    present = ctypes.c_uint64()
    if not wanted:
        return _Adapted(notes=(f"the standard {name} is not one of this input; using the present one",))
    try:
        call(raw.IOC.G_STD, present)
    except OSError as error:
        if error.errno in GONE:
            raise
    if present.value and not present.value & ~wanted:
        return _Adapted()
    return _write_standard(call, wanted)


def _write_standard(call: DriverCall, wanted: int) -> _Adapted:
    from linuxpy.video import raw

    try:
        call(raw.IOC.S_STD, ctypes.c_uint64(wanted))
    except OSError as error:
        return _Adapted(notes=(_refused(error, f"the standard {name_of(wanted)}"),))
    return _Adapted(has_changed=True)


def _refused(error: OSError, what: str) -> str:
    if error.errno in GONE:
        raise error
    name = errno.errorcode.get(error.errno or 0, "an error")
    return f"{what} cannot be set ({name}); using the present one"
