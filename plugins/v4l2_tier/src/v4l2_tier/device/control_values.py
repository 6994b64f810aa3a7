"""Reading and writing of a control's value, with the ioctl for its width."""

import ctypes
from typing import TYPE_CHECKING

from v4l2_tier.device.calls import DriverCall

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("get_value", "set_value")

_UNSIGNED_32 = 0xFFFFFFFF


def get_value(call: DriverCall, control_id: int, kind: str) -> int:
    """Return a control's value; may block on the device.

    Args:
        call: calls to the open device.
        control_id: the driver's number of the control.
        kind: as in `DeviceControl`.

    Raises:
        OSError: the driver refused, or the device is gone.
    """
    from linuxpy.video import raw

    if kind == "integer64":
        holder = raw.v4l2_ext_control(id=control_id)
        call(raw.IOC.G_EXT_CTRLS, _alone(holder))
        return int(holder.value64)
    plain = raw.v4l2_control(id=control_id)
    call(raw.IOC.G_CTRL, plain)
    return plain.value & _UNSIGNED_32 if kind == "bitmask" else int(plain.value)


def set_value(call: DriverCall, control_id: int, kind: str, value: int) -> None:
    """Set a control's value; arguments and errors as in `get_value`. 64-bit values need the extended call."""
    from linuxpy.video import raw

    if kind == "integer64":
        holder = raw.v4l2_ext_control(id=control_id, value64=value)
        call(raw.IOC.S_EXT_CTRLS, _alone(holder))
    else:
        call(raw.IOC.S_CTRL, raw.v4l2_control(id=control_id, value=value))


def _alone(holder: "raw.v4l2_ext_control") -> "raw.v4l2_ext_controls":
    from linuxpy.video import raw

    holders = raw.v4l2_ext_controls()
    holders.count = 1
    holders.controls = ctypes.pointer(holder)
    return holders
