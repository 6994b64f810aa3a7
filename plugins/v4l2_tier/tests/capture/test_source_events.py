"""Events of a driver about its source."""

import errno
import os

import pytest
from linuxpy.video import raw

from v4l2_tier.device.source_events import SourceEvents


class Bridge:
    """Driver with these events, oldest first; `error` ends them."""

    def __init__(self, *events: int, tells: bool = True, error: int = errno.ENOENT) -> None:
        self.events = list(events)
        self.tells = tells
        self.error = error

    def __call__(self, request: int, argument: object, /) -> object:
        if request == raw.IOC.SUBSCRIBE_EVENT:
            if not self.tells:
                raise OSError(errno.ENOTTY, "no events")
            return argument
        assert isinstance(argument, raw.v4l2_event)
        if not self.events:
            raise OSError(self.error, os.strerror(self.error))
        argument.type = self.events.pop(0)
        return argument


def test_changes_are_told_once_and_other_events_are_none() -> None:
    bridge = Bridge(3, 5, 5, 1)
    events = SourceEvents(bridge)
    assert events.are_told
    assert [events.has_changed(), events.has_changed()] == [True, False]
    bridge.events.append(3)
    assert not events.has_changed()


def test_a_driver_without_such_events_is_no_error() -> None:
    assert not SourceEvents(Bridge(tells=False)).are_told


def test_a_driver_whose_events_never_end_is_left() -> None:
    class Endless(Bridge):
        def __call__(self, request: int, argument: object, /) -> object:
            self.events.append(5)
            return super().__call__(request, argument)

    assert SourceEvents(Endless()).has_changed()


def test_a_device_that_is_gone_is_gone() -> None:
    with pytest.raises(OSError, match="No such device"):
        SourceEvents(Bridge(error=errno.ENODEV)).has_changed()
