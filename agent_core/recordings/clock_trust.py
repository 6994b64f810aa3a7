"""Trust in the wall clock: recordings are deleted by age only while their ages are certain.

A host whose clock has no battery may start with any time, and a wrong time could make every recording look old. While the
host runs, the clock is trusted if it agrees with the time since boot (CLOCK_BOOTTIME). After a restart of the host, it is
trusted if the time that the host was off, according to it, is not too long. Otherwise the clock is doubted until it
has run for `STEADY_S` without a step.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

from agent_core.base.errors import StorageFailed
from agent_core.base.files import StateFile
from agent_core.base.host_times import UNKNOWN_BOOT, HostTimes, host_times
from agent_core.media.retention.limits import FIRST_VERSION

__all__ = (
    "CLOCK_FILE",
    "FIRST_VERSION",
    "STEADY_S",
    "ClockRecord",
    "ClockTrust",
    "Reading",
    "Verdict",
    "judged",
)

_log = logging.getLogger("camera_agent.retention")

#: In the state folder.
CLOCK_FILE = "clock.json"
#: Seconds for which a doubted clock must run without a step until it is trusted.
STEADY_S = 24 * 3600.0
#: Difference between two clocks that is no step: corrections at start, and the drift of a quartz (200 ppm).
_STEP_S, _DRIFT = 60.0, 2e-4
#: Longest time for which a host is off without doubt about its clock.
_LONGEST_OFF_S = 7 * 86_400.0


class Reading(BaseModel):
    """Wall clock and seconds since boot at one moment."""

    model_config = ConfigDict(frozen=True)

    boot_id: str
    boottime_s: FiniteFloat
    now: AwareDatetime

    @classmethod
    def of(cls, times: HostTimes) -> "Reading":
        return cls(boot_id=times.boot_id, boottime_s=times.boottime_s, now=times.now)


class ClockRecord(BaseModel):
    """Memory of the wall clock, for the next look and the next run.

    `trusted` is the last reading of the trusted clock, `doubted` that of one that disagrees with it; None while the
    clock is trusted. `steady_s` are the seconds for which the doubted clock has run without a step.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    trusted: Reading | None = None
    doubted: Reading | None = None
    steady_s: Annotated[FiniteFloat, Field(ge=0)] = 0.0


class Verdict(NamedTuple):
    """Decision about one reading; `problem` is a sentence if the clock is doubted, else empty."""

    record: ClockRecord
    problem: str


def judged(known: ClockRecord, reading: Reading, *, contradiction: str, longest_off_s: float) -> Verdict:
    """Decide whether the clock is trusted.

    Args:
        known: the record of the last decision.
        reading: the clocks now.
        contradiction: a sentence if the recordings themselves say that the clock is wrong; counts only while no
            trusted reading is known.
        longest_off_s: longest time for which the host can have been off without doubt about its clock.
    """
    problem = _step(known.trusted, reading, longest_off_s) if known.trusted else contradiction
    if reading.now < FIRST_VERSION:
        return Verdict(known, problem or f"The clock has not been set: it shows the year {reading.now.year}.")
    steady_s = 0.0
    if problem and known.doubted and not _step(known.doubted, reading, None):
        steady_s = known.steady_s + _running_s(known.doubted, reading)
    if not problem or steady_s >= STEADY_S:
        return Verdict(ClockRecord(trusted=reading), "")
    return Verdict(known.model_copy(update={"doubted": reading, "steady_s": steady_s}), problem)


def _same_boot(before: Reading, now: Reading) -> bool:
    return before.boot_id == now.boot_id != UNKNOWN_BOOT


def _running_s(before: Reading, now: Reading) -> float:
    """Return the seconds for which the host has run between two readings, or at least those since its boot."""
    return now.boottime_s - (before.boottime_s if _same_boot(before, now) else 0.0)


def _step(before: Reading, now: Reading, longest_off_s: float | None) -> str:
    """Return a sentence about the clock's step between two readings; empty if there was none."""
    running_s = _running_s(before, now)
    apart_s = (now.now - before.now).total_seconds() - running_s
    allowed_s = _STEP_S + _DRIFT * abs(running_s)
    if _same_boot(before, now):
        longest_off_s = 0.0
    if apart_s < -allowed_s:
        return f"The clock was set back by {_said(-apart_s)}."
    if longest_off_s is not None and apart_s > longest_off_s + allowed_s:
        how = "was set forward by" if longest_off_s == 0 else "says that this host was off for"
        return f"The clock {how} {_said(apart_s)}."
    return ""


def _said(duration_s: float) -> str:
    for unit, length_s in (("days", 86_400), ("hours", 3_600)):
        if duration_s >= 2 * length_s:
            return f"{duration_s / length_s:.0f} {unit}"
    return f"{duration_s / 60:.0f} minutes"


class ClockTrust:
    """Judges the host's clock, and remembers it in a file. Blocks on the disk.

    Args:
        path: the file, in the state folder.
        times: reads the host's clocks.
        require: raises StorageFailed while the file must not be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        times: Callable[[], HostTimes] = host_times,
        require: Callable[[], None] = lambda: None,
    ) -> None:
        self._file = StateFile(path, ClockRecord, require=require)
        self._times = times
        self._known: ClockRecord | None = None

    def has_measure(self) -> bool:
        """Return True if the clock was trusted once: later readings are compared with that, and not with recordings."""
        return self._record().trusted is not None

    def _record(self) -> ClockRecord:
        if self._known is None:
            stored, problem = self._file.load()
            if problem is not None:
                _log.warning("%s %s", problem.details, problem.suggestion)
            self._known = stored or ClockRecord()
        return self._known

    def judge(self, contradiction: str, max_age_s: float) -> str:
        """Return a sentence if the clock is doubted, else "".

        Args:
            contradiction: as for `judged`.
            max_age_s: age at which files are deleted. By a wrong clock they lose at most a quarter of it without doubt.

        A reading that cannot be stored is only remembered: a full disk must not keep recordings from being deleted.
        """
        known, reading = self._record(), Reading.of(self._times())
        longest_off_s = min(_LONGEST_OFF_S, max_age_s / 4)
        verdict = judged(known, reading, contradiction=contradiction, longest_off_s=longest_off_s)
        self._known = verdict.record
        try:
            self._file.save(verdict.record)
        except StorageFailed as error:
            _log.warning("%s", error.details)
        return verdict.problem
