"""Devices without hardware, such as v4l2loopback's, whose pictures another program writes."""

import os
from pathlib import Path

from v4l2_tier.device.calls import GONE, DriverCall
from v4l2_tier.device.planarity import Planarity, new_format

__all__ = ("NO_WRITER", "lacks_writer")

#: Why such a device is no camera.
NO_WRITER = "no program puts pictures into it"


def lacks_writer(call: DriverCall, device_number: int, sysfs: Path = Path("/sys")) -> bool:
    """Return whether no hardware is behind the device and it has no picture format, because no program writes to it.

    To be asked before anything else, above all before VIDIOC_QUERYCAP: what v4l2loopback answers to that is its kind
    from then on. After a writer that uses write(), such as FFmpeg, has ended, versions up to 0.12 answer that they neither
    capture nor put out, and then refuse the next writer. While the device is open, a format that it has stays.

    Raises:
        OSError: the device is gone.
    """
    if not _is_without_hardware(device_number, sysfs):
        return False
    from linuxpy.video import raw

    for planarity in Planarity:
        try:
            call(raw.IOC.G_FMT, new_format(planarity))
        except OSError as error:
            if error.errno in GONE:
                raise
        else:
            return False
    return True


def _is_without_hardware(device_number: int, sysfs: Path) -> bool:
    device = sysfs / f"dev/char/{os.major(device_number)}:{os.minor(device_number)}"
    return "/devices/virtual/" in str(device.resolve())
