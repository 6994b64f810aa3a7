"""Health of one stream: a decision from what its probes tell, without I/O, told no time."""

import random
from dataclasses import dataclass
from enum import StrEnum

from external_discovery.probe import ProbeOutcome

__all__ = ("Health", "Pace", "Verdict")

#: Pauses between probes of a camera that works.
_STEADY_S = 30.0
#: Pauses before a camera that is gone is tried again: while its stream is wanted, and while nothing needs it.
_WANTED_FIRST_S, _WANTED_LONGEST_S = 0.5, 1.0
_IDLE_FIRST_S, _IDLE_LONGEST_S = 1.0, 30.0
#: Pauses after a wrong password . Cameras lock accounts after five or so
#: failed logins, most for 30 minutes.
_REFUSED_FIRST_S, _REFUSED_LONGEST_S = 60.0, 1800.0
#: A camera that works is not given up after one silent probe: wireless links lose seconds.
_PATIENCE = 2
#: Pauses vary by this share, so that cameras that failed together are not probed together.
_JITTER = 0.1


class Verdict(StrEnum):
    """State of a stream as the agent shows it."""

    #: The camera answers and describes its stream.
    ONLINE = "online"
    #: The camera does not answer; it may return at any time.
    OFFLINE = "offline"
    #: The camera answers, but its stream cannot be used until something is changed there or here.
    ERROR = "error"


class Pace(StrEnum):
    """Pace of the probes of a stream that is not online."""

    WANTED = "wanted"
    IDLE = "idle"


#: Outcomes that an operator mends, and that repeated attempts make worse.
_LASTING = frozenset({ProbeOutcome.WRONG_CREDENTIALS, ProbeOutcome.NEEDS_CREDENTIALS})
#: Outcomes of a host that is gone, is booting, or has other troubles for now.
_PASSING = frozenset({ProbeOutcome.UNREACHABLE, ProbeOutcome.REFUSED, ProbeOutcome.SILENT})


@dataclass(slots=True)
class Health:
    """Verdict about one stream, and the pause before its next probe.

    Attributes:
        verdict: the current verdict; None before the first probe.
        details: why it is not online, one sentence; empty if it is.
    """

    dice: random.Random
    verdict: Verdict | None = None
    details: str = ""
    _failures: int = 0
    _refusals: int = 0

    def saw(self, outcome: ProbeOutcome, details: str) -> Verdict:
        """Take the outcome of a probe into account, and return the verdict."""
        if outcome is ProbeOutcome.STREAM:
            return self.worked()
        self._failures += 1
        if outcome in _LASTING:
            self._refusals += 1
            return self._judge(Verdict.ERROR, details)
        self._refusals = 0
        if outcome in _PASSING:
            if (
                self.verdict is Verdict.ONLINE
                and self._failures < _PATIENCE
                and outcome is ProbeOutcome.SILENT
            ):
                return Verdict.ONLINE
            return self._judge(Verdict.OFFLINE, details)
        return self._judge(Verdict.ERROR, details)

    def worked(self) -> Verdict:
        """Note that the stream works: a probe described it, or the media server has it live."""
        self._failures = self._refusals = 0
        return self._judge(Verdict.ONLINE, "")

    def refused(self, details: str) -> Verdict:
        """Note that the policy refuses the address now; a name may resolve to an allowed one again later."""
        self._failures += 1
        return self._judge(Verdict.ERROR, details)

    def pause_s(self, pace: Pace) -> float:
        """Return the seconds before the next probe; they grow with each failure, and vary a little."""
        if self.verdict is Verdict.ONLINE and not self._failures:
            return self._varied(_STEADY_S)
        if self._refusals:
            return self._varied(min(_REFUSED_FIRST_S * 2 ** (self._refusals - 1), _REFUSED_LONGEST_S))
        first_s, longest_s = (
            (_WANTED_FIRST_S, _WANTED_LONGEST_S) if pace is Pace.WANTED else (_IDLE_FIRST_S, _IDLE_LONGEST_S)
        )
        return self._varied(min(first_s * 2 ** min(max(self._failures - 1, 0), 16), longest_s))

    def _judge(self, verdict: Verdict, details: str) -> Verdict:
        self.verdict, self.details = verdict, details
        return verdict

    def _varied(self, pause_s: float) -> float:
        return pause_s * (1 + self.dice.uniform(-_JITTER, _JITTER))
