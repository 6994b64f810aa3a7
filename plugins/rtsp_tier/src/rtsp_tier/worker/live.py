"""Newest group of pictures of a stream and their times, between the thread that reads and the one that decodes."""

from threading import Lock

from rtsp_tier.messages import Configure
from rtsp_tier.worker.arrival import ArrivalClock
from rtsp_tier.worker.captured import Captured
from rtsp_tier.worker.group import Entry, Group

__all__ = ("LiveGroup",)


class LiveGroup:
    """`Group` with the lower bounds of its exposures, for two threads."""

    def __init__(self, settings: Configure) -> None:
        self._lock = Lock()
        self._group = Group(settings.group_limit_bytes)
        self._clock = ArrivalClock()
        self._latency_s = settings.latency_s

    @property
    def key(self) -> Entry | None:
        with self._lock:
            return self._group.key

    @property
    def newest(self) -> Entry | None:
        with self._lock:
            return self._group.newest

    def add(self, entry: Entry) -> None:
        with self._lock:
            self._clock.note(entry.arrival_s, entry.stream_s)
            self._group.add(entry)

    def after(self, number: int | None) -> list[Entry] | None:
        with self._lock:
            return self._group.after(number)

    def exposed_s(self, entry: Entry) -> float:
        """Return the lower bound of the picture's exposure, monotonic.

        Unless its source tells it, it is the time at which the picture would have arrived without waiting in a buffer,
        less the configured latency.
        """
        if entry.captured is not None:
            return entry.captured.captured_s
        with self._lock:
            return self._clock.earliest_s(entry.arrival_s, entry.stream_s) - self._latency_s

    def captured(self, entry: Entry) -> Captured:
        """Return what is known of the picture's exposure now; a packet that comes later may date it back."""
        return entry.captured or Captured(self.exposed_s(entry))
