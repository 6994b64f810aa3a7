"""Getting and setting the value of one control, by the width that its kind has."""

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("get_value", "set_value")

_UNSIGNED_32 = 0xFFFFFFFF


def get_value(descriptor: int, control_id: int, kind: str) -> int:
    """`kind` is that of `DeviceControl`. May wait for the device; raises OSError."""
    from linuxpy.ioctl import ioctl
    from linuxpy.video import raw

    if kind == "integer64":
        holder = raw.v4l2_ext_control(id=control_id)
        ioctl(descriptor, raw.IOC.G_EXT_CTRLS, _alone(holder))
        return int(holder.value64)
    plain = raw.v4l2_control(id=control_id)
    ioctl(descriptor, raw.IOC.G_CTRL, plain)
    return plain.value & _UNSIGNED_32 if kind == "bitmask" else int(plain.value)


def set_value(descriptor: int, control_id: int, kind: str, value: int) -> None:
    """As `get_value`. A 64-bit control is not known to the older pair of calls."""
    from linuxpy.ioctl import ioctl
    from linuxpy.video import raw

    if kind == "integer64":
        holder = raw.v4l2_ext_control(id=control_id, value64=value)
        ioctl(descriptor, raw.IOC.S_EXT_CTRLS, _alone(holder))
    else:
        ioctl(descriptor, raw.IOC.S_CTRL, raw.v4l2_control(id=control_id, value=value))


def _alone(holder: "raw.v4l2_ext_control") -> "raw.v4l2_ext_controls":
    from linuxpy.video import raw

    holders = raw.v4l2_ext_controls()
    holders.count = 1
    holders.controls = ctypes.pointer(holder)
    return holders
