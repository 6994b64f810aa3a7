"""Calls to the driver of an open device; tests answer them themselves."""

import errno
from functools import partial
from typing import Protocol

__all__ = ("GONE", "Answers", "DriverCall", "calls_to")

#: Errors of a device that is gone.
GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN})


class DriverCall(Protocol):
    """System call `ioctl` on one device; the driver fills in `argument`, a structure of linuxpy.

    Raises:
        OSError: the driver refused, did not answer, or the device is gone.
    """

    def __call__(self, request: int, argument: object, /) -> object: ...


class Answers:
    """Count of the calls that a driver has answered, also by refusing them; the time-outs of a silent device do not count.

    One thread counts, others may read.
    """

    def __init__(self) -> None:
        self.count = 0


def calls_to(descriptor: int, answers: Answers | None = None) -> DriverCall:
    """Return the calls to an open device; `answers` counts those that it answers."""
    from linuxpy.ioctl import ioctl

    if answers is None:
        return partial(ioctl, descriptor)

    def call(request: int, argument: object, /) -> object:
        try:
            result = ioctl(descriptor, request, argument)
        except OSError as error:
            answers.count += error.errno != errno.ETIMEDOUT
            raise
        answers.count += 1
        return result

    return call
