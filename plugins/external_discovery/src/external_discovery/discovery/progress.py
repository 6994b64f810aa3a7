"""Progress of a scan. Apart from the service, so that what clients receive of it stands in one place."""

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Literal

from agent_core.plugin import Clock
from external_discovery.discovery.scan import Scan

__all__ = ("ProgressReports", "ScanProgress", "ScanState")

ScanState = Literal["STARTED", "SCANNING", "FINISHED", "CANCELLED"]

#: Shortest time between two events of a scan, but for its first and last.
_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """Payload of the topic `external_discovery.progress`.

    Attributes:
        state: begin, course or end of the scan.
        hosts_total: hosts to try; 0 until that is known.
        hosts_done: hosts that have been tried.
        streams_found: different streams that this scan has seen.
    """

    state: ScanState
    hosts_total: int
    hosts_done: int
    streams_found: int


class ProgressReports:
    """Reports of one scan, few enough for a slow client.

    Args:
        publish: receives each report; must not wait.
        clock: source of times.
        found: streams that the scan has seen.
    """

    def __init__(self, publish: Callable[[ScanProgress], None], clock: Clock, found: Sized) -> None:
        self._publish = publish
        self._clock = clock
        self._found = found
        self._next_s = clock.monotonic_s() + _EVERY_S

    def advanced(self, scan: Scan) -> None:
        """Report the course, unless the last report is too recent."""
        if self._clock.monotonic_s() >= self._next_s:
            self.tell("SCANNING", scan)

    def tell(self, state: ScanState, scan: Scan) -> None:
        """Report `state` at once."""
        self._next_s = self._clock.monotonic_s() + _EVERY_S
        self._publish(ScanProgress(state, scan.hosts_total, scan.hosts_done, len(self._found)))
