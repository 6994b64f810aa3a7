"""Lower bounds of exposure times, from arrival times and the stream's own times.

Apart from `live`, so that the decision needs no lock and no packets.
"""

from collections import deque

__all__ = ("ArrivalClock",)

#: Time for which the smallest delay of a packet counts. A camera's clock drifts by far less than the latency within it.
_WINDOW_S = 2.0
#: Part of a gap between two packets that counts towards the window. What waited in a gap comes at its end, and must be
#: compared with packets from before it, however long it was.
_GAP_S = 0.5
#: Step back of the stream's times that is a jump of the camera's clock. Reordered pictures step back by less.
_STEP_BACK_S = 2.0
#: Growth of the delay after the first packet that is the time in which the stream started, not the wait of a packet.
_START_S = 2.0


class ArrivalClock:
    """Judge of how late packets were read. It reads no clock and is not thread-safe.

    A packet may wait in a buffer before it is read: in the server, in the kernel, or because this process did not get
    the processor. Then its arrival is noted too late, and the bound would be no bound. The stream's times show it: the
    packet's arrival minus its stream time is larger than for the packets near it. The difference is subtracted.
    Stream times run at the speed of the camera's clock and may jump, so only the last seconds are compared.

    A packet that waited has a delay larger than that of the previous packet by less than the gap between their
    arrivals, because stream times go forward. A larger growth, which is a step back of the stream's times, is a jump.
    A jump forward makes the delay smaller, which counts at once.

    The first packet's arrival is noted as the time before the stream was opened, which may have taken seconds.

    RTCP's absolute times are not used: they are of the publisher's wall clock, and not every server passes them on.
    """

    def __init__(self) -> None:
        self._smallest: deque[tuple[float, float]] = deque()  # (flow_s, delay_s), with rising delays
        self._flow_s = 0.0  # sum of the gaps between arrivals, each up to `_GAP_S`
        self._last: tuple[float, float] | None = None  # (arrival_s, stream_s)
        self._is_second = False  # of the next packet

    def note(self, arrival_s: float, stream_s: float | None) -> None:
        """Take note of a packet. `arrival_s` is monotonic; `stream_s` is its stream time, None if it has none."""
        if stream_s is None:
            return
        delay_s = arrival_s - stream_s
        if self._last is not None:
            self._flow_s += min(arrival_s - self._last[0], _GAP_S)
            has_jumped = stream_s < self._last[1] - _STEP_BACK_S
            if has_jumped or (self._is_second and delay_s - self._smallest[0][1] > _START_S):
                self._smallest.clear()
        self._is_second = self._last is None
        self._last = (arrival_s, stream_s)
        while self._smallest and self._smallest[-1][1] >= delay_s:
            self._smallest.pop()
        self._smallest.append((self._flow_s, delay_s))
        while self._smallest[0][0] < self._flow_s - _WINDOW_S:
            self._smallest.popleft()

    def earliest_s(self, arrival_s: float, stream_s: float | None) -> float:
        """Return the time at which a noted packet would have arrived without waiting; never later than `arrival_s`."""
        if stream_s is None or not self._smallest:
            return arrival_s
        return min(arrival_s, stream_s + self._smallest[0][1])
