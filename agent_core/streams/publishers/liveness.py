"""Decisions about a publisher that the agent runs, from the time and what was observed. No I/O."""

from enum import StrEnum

from agent_core.base.waiting import GrowingPauses

__all__ = ("Liveness", "PublisherHealth", "RestartPauses")

#: No new bytes at the server for so long: the publisher hangs. With `LIVE_LOOK_S` it is noticed within 8 s.
SILENT_S = 6.0
#: Between two looks at the path: while it is live, while it has just been started, and while that takes long.
LIVE_LOOK_S, FIRST_LOOK_S, SLOW_LOOK_S = 2.0, 0.1, 0.5
_JUST_STARTED_S = 2.0
#: After a publisher that ran: doubled each time, from the beginning again after one that was live for `STEADY_S`.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
STEADY_S = 10.0
#: After an attempt that started no program, because the camera or the server is not there.
UNPREPARED_PAUSE_S = 1.0


class PublisherHealth(StrEnum):
    STARTING = "starting"
    LIVE = "live"
    #: It is alive, and its stream did not come up in time.
    NOT_STARTED = "not_started"
    #: It is alive, and the server gets nothing from it any more.
    SILENT = "silent"


class Liveness:
    """Judges one run of a publisher by the path that it feeds.

    Args:
        now_s: when it was started, on the monotonic clock.
        start_timeout_s: how long its stream may take to be live.
    """

    def __init__(self, now_s: float, *, start_timeout_s: float) -> None:
        self._start_timeout_s = start_timeout_s
        self._started_s = self._progress_s = now_s
        self._inbound_bytes = -1
        self._live_from_s: float | None = None
        self.health = PublisherHealth.STARTING

    def saw(self, now_s: float, *, live: bool, inbound_bytes: int) -> PublisherHealth:
        """Take in how the path is: whether it can be read, and how many bytes the server ever got for it."""
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
        """From when the stream was live to the last bytes that were seen."""
        return 0.0 if self._live_from_s is None else self._progress_s - self._live_from_s

    def unanswered(self, now_s: float) -> None:
        """The server did not say how the path is, which says nothing against a publisher that was live."""
        if self._live_from_s is not None:
            self._progress_s = now_s
        elif now_s - self._started_s >= self._start_timeout_s:
            self.health = PublisherHealth.NOT_STARTED

    def next_look_s(self, now_s: float) -> float:
        """In how many seconds to look again."""
        if self.health is PublisherHealth.LIVE:
            return LIVE_LOOK_S
        return FIRST_LOOK_S if now_s - self._started_s < _JUST_STARTED_S else SLOW_LOOK_S


class RestartPauses:
    """How long to wait before the next attempt, so that a publisher that cannot work never becomes a storm."""

    def __init__(self) -> None:
        self._pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)

    def after_run(self, live_s: float) -> float:
        """Return the pause after a run of the program whose stream was live for `live_s`."""
        if live_s >= STEADY_S:
            self._pauses.reset()
        return self._pauses.next_s()

    def unprepared(self) -> float:
        """After an attempt that started no program."""
        return UNPREPARED_PAUSE_S
