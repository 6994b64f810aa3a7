"""Calls to the driver of an open device; tests answer them themselves."""

import errno
from functools import partial
from typing import Protocol

__all__ = ("GONE", "DriverCall", "calls_to")

#: Errors of a device that is gone.
GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN})


class DriverCall(Protocol):
    """System call `ioctl` on one device; the driver fills in `argument`, a structure of linuxpy.

    Raises:
        OSError: the driver refused, did not answer, or the device is gone.
    """

    def __call__(self, request: int, argument: object, /) -> object: ...


def calls_to(descriptor: int) -> DriverCall:
    from linuxpy.ioctl import ioctl

    return partial(ioctl, descriptor)
