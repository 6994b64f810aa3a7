"""Reader of a device's image controls."""

import errno
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from v4l2_tier.device.capabilities import DeviceControl
from v4l2_tier.device.control_values import get_value

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("read_controls",)

_log = logging.getLogger("camera_agent.v4l2_tier")

#: V4L2_CTRL_TYPE_*; other types (strings, classes, structures) do not affect the picture.
_KINDS = {
    1: "integer",
    2: "boolean",
    3: "menu",
    4: "button",
    5: "integer64",
    8: "bitmask",
    9: "integer_menu",
}
_MENUS = ("menu", "integer_menu")
# V4L2_CTRL_FLAG_*
_DISABLED, _READ_ONLY, _INACTIVE, _WRITE_ONLY, _NEXT = 0x1, 0x4, 0x10, 0x40, 0x80000000
#: Most controls read: a faulty driver may enumerate without end.
_MOST = 1024
#: Most entries read of a menu: a driver may report a wrong range.
_MOST_CHOICES = 256
#: Errors of a device that is gone or does not answer.
_NO_ANSWER = frozenset({errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT})


def read_controls(descriptor: int) -> Iterator[DeviceControl]:
    """Yield all controls of known types; a control that cannot be read does not affect the others.

    Raises:
        OSError: the device is gone, or does not answer.
    """
    for control in _each(descriptor):
        kind = _KINDS.get(control.type)
        if kind is None or control.flags & _DISABLED:
            continue
        yield DeviceControl(
            id=control.id,
            name=_variable_name(control.name.decode(errors="replace")),
            kind=kind,
            minimum=control.minimum,
            maximum=control.maximum,
            step=control.step,
            default=control.default_value,
            value=_value(descriptor, control, kind),
            choices=tuple(_choices(descriptor, control, kind)) if kind in _MENUS else (),
            inactive=bool(control.flags & _INACTIVE),
            read_only=bool(control.flags & _READ_ONLY),
            write_only=bool(control.flags & _WRITE_ONLY),
        )


def _each(descriptor: int) -> Iterator["raw.v4l2_query_ext_ctrl"]:
    from linuxpy.ioctl import ioctl
    from linuxpy.video import raw

    control_id = 0
    for _ in range(_MOST):
        control = raw.v4l2_query_ext_ctrl()
        control.id = control_id | _NEXT
        try:
            ioctl(descriptor, raw.IOC.QUERY_EXT_CTRL, control)
        except OSError as error:
            _check_there(error)
            if error.errno not in (errno.EINVAL, errno.ENOTTY):
                _log.info(
                    "skipping the controls after %#x, which cannot be read: %s", control_id, error.strerror
                )
            return
        if control.id <= control_id:
            return
        control_id = control.id
        yield control


def _check_there(error: OSError) -> None:
    if error.errno in _NO_ANSWER:
        raise error


def _variable_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _value(descriptor: int, control: "raw.v4l2_query_ext_ctrl", kind: str) -> int:
    """Return the control's value, or its default if it cannot be read."""
    if kind == "button" or control.flags & _WRITE_ONLY:
        return int(control.default_value)
    try:
        return get_value(descriptor, control.id, kind)
    except OSError as error:
        _check_there(error)
        return int(control.default_value)


def _choices(descriptor: int, control: "raw.v4l2_query_ext_ctrl", kind: str) -> Iterator[tuple[int, str]]:
    """Yield the entries of a menu, which may have gaps: the driver refuses an unused number with EINVAL."""
    from linuxpy.ioctl import ioctl
    from linuxpy.video import raw

    last = min(control.maximum, control.minimum + _MOST_CHOICES)
    for number in range(max(control.minimum, 0), last + 1):
        entry = raw.v4l2_querymenu()
        entry.id, entry.index = control.id, number
        try:
            ioctl(descriptor, raw.IOC.QUERYMENU, entry)
        except OSError as error:
            _check_there(error)
            continue
        label = str(entry.value) if kind == "integer_menu" else entry.name.decode(errors="replace")
        yield number, label
