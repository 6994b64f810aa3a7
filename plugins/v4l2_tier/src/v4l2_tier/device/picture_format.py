"""Agreement with a driver on format, size, fields, section and rate of the pictures.

Drivers keep all of it when a device is closed, so another program may have left anything.
"""

import errno
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from v4l2_tier.device.calls import GONE, DriverCall
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.planarity import Planarity, layout_of, new_format, number_of, picture_of
from v4l2_tier.device.raw_formats import RawLayout

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("PictureLayout", "agree_on_format", "agree_on_interval")

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Sections have the single-planar number on both interfaces; kernels before 4.13 accept no other.
_VIDEO_CAPTURE = 1
#: V4L2_FIELD_*: ANY, NONE (progressive), INTERLACED and its two orders: both fields in one picture, line by line.
_WHOLE_PICTURES = frozenset({0, 1, 4, 8, 9})
_ANY, _NONE, _INTERLACED = 0, 1, 4
_FIELD_NAMES = ("any", "none", "top", "bottom", "interlaced", "seq-tb", "seq-bt", "alternate")
#: V4L2_SEL_TGT_CROP and _CROP_DEFAULT, _COMPOSE and _COMPOSE_DEFAULT.
_CROP, _COMPOSE = (0x0, 0x1), (0x100, 0x101)
#: V4L2_CAP_TIMEPERFRAME in v4l2_captureparm.capability: the frame rate can be set.
_CAP_TIMEPERFRAME = 0x1000
#: Largest relative difference of two intervals that count as equal: drivers round to their hardware's units.
_SAME_INTERVAL = 0.01
#: Largest numerator or denominator, which are unsigned 32-bit numbers.
_LARGEST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class PictureLayout:
    """Format that the driver agreed to: `code` is the pixel format, `raw` the memory layout of an uncompressed frame.

    `notes` are sentences about what could not be set.
    """

    code: str
    width: int
    height: int
    interval: Fraction | None
    raw: RawLayout
    notes: tuple[str, ...] = ()


def agree_on_format(
    call: DriverCall, mode: ChosenMode, planarity: Planarity = Planarity.SINGLE
) -> PictureLayout:
    """Set `mode` with whole pictures of the whole image; return what the driver made of it, without an interval.

    What is already right is not written: setting a format takes a USB camera 50 to 100 ms.

    Raises:
        OSError: the driver refused the format, or the device is gone.
    """
    _reset_section(call, _CROP)
    found = _format(call, planarity)
    if not _is_as_wanted(found, mode):
        found = _set_format(call, mode, planarity)
    _reset_section(call, _COMPOSE)
    return _layout(found)


def _is_as_wanted(found: "raw.v4l2_format", mode: ChosenMode) -> bool:
    layout = _layout(found)
    return (layout.code, layout.width, layout.height) == (mode.pixel_format, mode.width, mode.height) and (
        picture_of(found).field in _WHOLE_PICTURES
    )


def _format(call: DriverCall, planarity: Planarity) -> "raw.v4l2_format":
    from linuxpy.video import raw

    found = new_format(planarity)
    call(raw.IOC.G_FMT, found)
    return found


def _set_format(call: DriverCall, mode: ChosenMode, planarity: Planarity) -> "raw.v4l2_format":
    """Set `mode` with the driver's own choice of fields, or with a stated one if that is not a whole picture."""
    from linuxpy.video import raw

    for field in (_ANY, _INTERLACED, _NONE):
        answer = new_format(planarity)
        pix = picture_of(answer)
        pix.pixelformat = number_of(mode.pixel_format)
        pix.width, pix.height = mode.width, mode.height
        pix.field = field
        call(raw.IOC.S_FMT, answer)
        if pix.field in _WHOLE_PICTURES:
            break
    return answer


def _layout(answer: "raw.v4l2_format") -> PictureLayout:
    pix, layout = picture_of(answer), layout_of(answer)
    return PictureLayout(layout.code, pix.width, pix.height, None, layout, tuple(_field_notes(pix.field)))


def _field_notes(field: int) -> Iterator[str]:
    if field not in _WHOLE_PICTURES:
        name = _FIELD_NAMES[field] if field < len(_FIELD_NAMES) else str(field)
        yield f"the driver gives no whole pictures, only separate fields ({name})"


def _reset_section(call: DriverCall, targets: tuple[int, int]) -> None:
    """Set a section of the image to its default, the whole; most drivers have none, which is no error."""
    from linuxpy.video import raw

    present, default = (raw.v4l2_selection(type=_VIDEO_CAPTURE, target=target) for target in targets)
    try:
        call(raw.IOC.G_SELECTION, present)
        call(raw.IOC.G_SELECTION, default)
        if bytes(present.r) != bytes(default.r):
            _log.info("another program has left a section of the picture; using the whole")
            default.target = present.target
            call(raw.IOC.S_SELECTION, default)
    except OSError as error:
        if error.errno in GONE:
            raise


def agree_on_interval(
    call: DriverCall, wanted: Fraction, planarity: Planarity = Planarity.SINGLE
) -> tuple[Fraction | None, tuple[str, ...]]:
    """Set the interval; return the one in effect, None if the driver reports none, and notes.

    Raises:
        OSError: the device is gone, or another program uses it.
    """
    try:
        return _agree_on_interval(call, wanted, planarity), ()
    except OSError as error:
        if error.errno in GONE or error.errno == errno.EBUSY:
            raise
        if error.errno in (errno.ENOTTY, errno.EINVAL):  # a driver without rates
            return None, ()
        name = errno.errorcode.get(error.errno or 0, "an error")
        return None, (f"the frame rate cannot be set ({name}); using the camera's own",)


def _agree_on_interval(call: DriverCall, wanted: Fraction, planarity: Planarity) -> Fraction | None:
    from linuxpy.video import raw

    parameters = raw.v4l2_streamparm(type=planarity.value)
    call(raw.IOC.G_PARM, parameters)
    capture = parameters.parm.capture
    found = _interval(capture.timeperframe)
    if not capture.capability & _CAP_TIMEPERFRAME:
        return found
    if found is not None and abs(found - wanted) <= wanted * Fraction(_SAME_INTERVAL):
        return found
    exact = wanted.limit_denominator(_LARGEST)
    answer = raw.v4l2_streamparm(type=planarity.value)
    answer.parm.capture.timeperframe.numerator = exact.numerator
    answer.parm.capture.timeperframe.denominator = exact.denominator
    call(raw.IOC.S_PARM, answer)
    return _interval(answer.parm.capture.timeperframe)


def _interval(fraction: "raw.v4l2_fract") -> Fraction | None:
    if not fraction.numerator or not fraction.denominator:
        return None
    return Fraction(fraction.numerator, fraction.denominator)
