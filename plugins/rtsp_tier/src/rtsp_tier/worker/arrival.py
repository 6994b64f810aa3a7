"""Lower bounds of exposure times, from arrival times and the stream's own times.

Apart from `live`, so that the decision needs no lock and no packets.
"""

from collections import deque

__all__ = ("ArrivalClock",)

#: Time for which the smallest delay of a packet counts. A camera's clock drifts by far less than the latency within it.
_WINDOW_S = 2.0
#: Growth of the delay that is taken for a jump of the stream's times, not for late packets.
_JUMP_S = 2.0


class ArrivalClock:
    """Judge of how late packets were read. It reads no clock and is not thread-safe.

    A packet may wait in a buffer before it is read: in the server, in the kernel, or because this process did not get
    the processor. Then its arrival is noted too late, and the bound would be no bound. The stream's times show it: the
    packet's arrival minus its stream time is larger than for the packets near it. The difference is subtracted.
    Stream times run at the speed of the camera's clock and may jump, so only the last seconds are compared.

    RTCP's absolute times are not used: they are of the publisher's wall clock, and not every server passes them on.
    """

    def __init__(self) -> None:
        self._smallest: deque[tuple[float, float]] = deque()  # (arrival_s, delay_s), with rising delays

    def note(self, arrival_s: float, stream_s: float | None) -> None:
        """Take note of a packet. `arrival_s` is monotonic; `stream_s` is its stream time, None if it has none."""
        if stream_s is None:
            return
        delay_s = arrival_s - stream_s
        if self._smallest and delay_s - self._smallest[0][1] > _JUMP_S:
            self._smallest.clear()
        while self._smallest and self._smallest[-1][1] >= delay_s:
            self._smallest.pop()
        self._smallest.append((arrival_s, delay_s))
        while self._smallest[0][0] < arrival_s - _WINDOW_S:
            self._smallest.popleft()

    def earliest_s(self, arrival_s: float, stream_s: float | None) -> float:
        """Return the time at which a noted packet would have arrived without waiting; never later than `arrival_s`."""
        if stream_s is None or not self._smallest:
            return arrival_s
        return min(arrival_s, stream_s + self._smallest[0][1])
