"""Judge of the times that a driver gives to frames. Apart from the producer, so that it is tested without a program."""

__all__ = ("DriverTimes",)


class DriverTimes:
    """Times of the frames of one run.

    A plausible time shows that the driver uses the monotonic clock. From then on an old frame keeps its old time, so that
    one that was late is not taken for a new one.

    Args:
        longest_age_s: greatest plausible age at the arrival of a frame that shows which clock is used.
    """

    def __init__(self, longest_age_s: float) -> None:
        self._longest_age_s = longest_age_s
        self._is_monotonic = False

    def captured_s(self, stamp_s: float | None, arrived_s: float) -> float | None:
        """Return the monotonic time of a frame's capture, None if it is not known.

        Args:
            stamp_s: the driver's time; 0 from drivers that have none.
            arrived_s: the monotonic time of the frame's arrival.
        """
        if not stamp_s or stamp_s > arrived_s:
            return None
        if arrived_s - stamp_s <= self._longest_age_s:
            self._is_monotonic = True
        return stamp_s if self._is_monotonic else None
