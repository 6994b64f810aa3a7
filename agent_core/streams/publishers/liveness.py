"""Decisions without I/O about a publisher that the agent runs: its health, and the pauses between its starts."""

from enum import StrEnum

from agent_core.base.waiting import GrowingPauses

__all__ = ("Liveness", "PublisherHealth", "RestartPauses")

#: A publisher hangs if the server gets no new bytes for this long; with `LIVE_LOOK_S`, noticed within 8 s.
SILENT_S = 6.0
#: Pauses between two reads of the path: while live, just after the start, and later during a slow start.
LIVE_LOOK_S, FIRST_LOOK_S, SLOW_LOOK_S = 2.0, 0.1, 0.5
_JUST_STARTED_S = 2.0
#: Pauses after a program that ran: doubled each time, and reset by one that was live for `STEADY_S`.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
STEADY_S = 10.0
#: Pause after an attempt that started no program, because the camera or the server is missing.
UNPREPARED_PAUSE_S = 1.0


class PublisherHealth(StrEnum):
    STARTING = "starting"
    LIVE = "live"
    #: The program runs, but its stream did not start in time.
    NOT_STARTED = "not_started"
    #: The program runs, but the server gets no more bytes from it.
    SILENT = "silent"


class Liveness:
    """Judges one run of a publisher by the path that it feeds.

    Args:
        now_s: time of the start, on the monotonic clock.
        start_timeout_s: longest time until its stream is live.
    """

    def __init__(self, now_s: float, *, start_timeout_s: float) -> None:
        self._start_timeout_s = start_timeout_s
        self._started_s = self._progress_s = now_s
        self._inbound_bytes: int | None = None
        self._live_from_s: float | None = None
        self.health = PublisherHealth.STARTING

    def saw(self, now_s: float, *, live: bool, inbound_bytes: int) -> PublisherHealth:
        """Judge the publisher by a read of its path; `inbound_bytes` is the server's total for the path."""
        if live and inbound_bytes != self._inbound_bytes:
            self._live_from_s = now_s if self._live_from_s is None else self._live_from_s
            self._progress_s, self._inbound_bytes = now_s, inbound_bytes
        was_live = self._live_from_s is not None
        limit_s = SILENT_S if was_live else self._start_timeout_s
        if now_s - self._progress_s >= limit_s:
            self.health = PublisherHealth.SILENT if was_live else PublisherHealth.NOT_STARTED
        else:
            self.health = PublisherHealth.LIVE if live else PublisherHealth.STARTING
        return self.health

    @property
    def live_s(self) -> float:
        """Seconds from the start of the live stream to its last new bytes."""
        return 0.0 if self._live_from_s is None else self._progress_s - self._live_from_s

    def unanswered(self, now_s: float) -> None:
        """Record a read that the server did not answer; it does not count against a publisher that was live."""
        if self._live_from_s is not None:
            self._progress_s = now_s
        elif now_s - self._started_s >= self._start_timeout_s:
            self.health = PublisherHealth.NOT_STARTED

    def next_look_s(self, now_s: float) -> float:
        """Return the seconds until the next read of the path."""
        if self.health is PublisherHealth.LIVE:
            return LIVE_LOOK_S
        return FIRST_LOOK_S if now_s - self._started_s < _JUST_STARTED_S else SLOW_LOOK_S


class RestartPauses:
    """Pauses before the next attempt, so that a publisher that always fails is started rarely."""

    def __init__(self) -> None:
        self._pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)

    def after_run(self, live_s: float) -> float:
        """Return the pause after a run of the program whose stream was live for `live_s`."""
        if live_s >= STEADY_S:
            self._pauses.reset()
        return self._pauses.next_s()

    def unprepared(self) -> float:
        """Return the pause after an attempt that started no program."""
        return UNPREPARED_PAUSE_S
