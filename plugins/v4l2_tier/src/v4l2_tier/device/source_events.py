"""Events by which a driver tells that its source has changed: another resolution, or a signal that came or went.

Apart from the device that is captured from, so that tests answer its calls without one.
"""

from v4l2_tier.device.calls import GONE, DriverCall

__all__ = ("SourceEvents",)

#: V4L2_EVENT_SOURCE_CHANGE.
_SOURCE_CHANGE = 5
#: Most events read at once: the kernel keeps one for each input.
_MOST = 64


class SourceEvents:
    """Events of an open device about its source, from its making on."""

    def __init__(self, call: DriverCall) -> None:
        self._call = call
        self.are_told = self._subscribe()

    def _subscribe(self) -> bool:
        from linuxpy.video import raw

        try:
            self._call(raw.IOC.SUBSCRIBE_EVENT, raw.v4l2_event_subscription(type=_SOURCE_CHANGE))
        except OSError:  # most drivers have no such event, and one that is gone is noticed by the next call
            return False
        return True

    def has_changed(self) -> bool:
        """Return whether the source has changed since the last call; does not wait.

        Raises:
            OSError: the device is gone.
        """
        from linuxpy.video import raw

        changed = False
        for _ in range(_MOST):
            event = raw.v4l2_event()
            try:
                self._call(raw.IOC.DQEVENT, event)
            except OSError as error:
                if error.errno in GONE:
                    raise
                break
            changed = changed or event.type == _SOURCE_CHANGE
        return changed
