"""Doubt about the clock, at the edges of what is allowed; with recordings in `test_retention`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.host_times import UNKNOWN_BOOT, HostTimes
from agent_core.recordings.clock_trust import (
    FIRST_VERSION,
    STEADY_S,
    ClockRecord,
    ClockTrust,
    Reading,
    judged,
)

BEFORE = datetime(2026, 11, 22, 12, tzinfo=UTC)
TRUSTED = ClockRecord(trusted=Reading(boot_id="b", boottime_s=1000.0, now=BEFORE))


def reading(later_s: float, *, boottime_s: float = 1000.0, boot_id: str = "b") -> Reading:
    return Reading(boot_id=boot_id, boottime_s=boottime_s, now=BEFORE + timedelta(seconds=later_s))


def problem(now: Reading, *, known: ClockRecord = TRUSTED, longest_off_s: float = 100.0) -> str:
    return judged(known, now, contradiction="", longest_off_s=longest_off_s).problem


@pytest.mark.parametrize(
    ("later_s", "said"),
    [
        (60, ""),
        (61, "The clock was set forward by 1 minutes."),
        (1800, "The clock was set forward by 30 minutes."),
        (7199, "The clock was set forward by 120 minutes."),
        (7200, "The clock was set forward by 2 hours."),
        (172_799, "The clock was set forward by 48 hours."),
        (172_800, "The clock was set forward by 2 days."),
        (-60, ""),
        (-61, "The clock was set back by 1 minutes."),
        (-7200, "The clock was set back by 2 hours."),
    ],
)
def test_a_minute_is_no_step_and_more_is_told_in_fitting_units(later_s: float, said: str) -> None:
    assert problem(reading(later_s)) == said


@pytest.mark.parametrize(("apart_s", "is_step"), [(259, False), (261, True), (-259, False), (-261, True)])
def test_the_longer_a_host_runs_the_more_its_clock_may_drift(apart_s: float, is_step: bool) -> None:
    """A million seconds, of which 200 ppm are 200 s."""
    assert bool(problem(reading(1e6 + apart_s, boottime_s=1000 + 1e6))) is is_step


@pytest.mark.parametrize(
    ("later_s", "said"),
    [
        (162, ""),
        (171, "The clock says that this host was off for 3 minutes."),
        (-100, "The clock was set back by 2 minutes."),
    ],
)
def test_after_a_boot_the_host_may_have_been_off_for_a_while(later_s: float, said: str) -> None:
    """It has run for 2 s since, and was off for at most 100 s; the rest is the minute that is no step."""
    assert problem(reading(later_s, boottime_s=2.0, boot_id="c")) == said


def test_a_boot_that_is_not_known_is_never_the_same() -> None:
    known = ClockRecord(trusted=reading(0, boot_id=UNKNOWN_BOOT))
    assert problem(reading(1150, boot_id=UNKNOWN_BOOT), known=known, longest_off_s=1e6) == ""


def test_the_first_trusted_time_is_that_of_the_first_version() -> None:
    unset = FIRST_VERSION - timedelta(seconds=1)
    now = Reading(boot_id="b", boottime_s=5.0, now=unset)
    verdict = judged(ClockRecord(), now, contradiction="", longest_off_s=0)
    assert verdict.problem == "The clock has not been set: it shows the year 2025."
    assert verdict.record == ClockRecord()
    now = now.model_copy(update={"now": FIRST_VERSION})
    assert judged(ClockRecord(), now, contradiction="", longest_off_s=0) == (ClockRecord(trusted=now), "")


def test_a_contradiction_counts_only_without_a_trusted_time() -> None:
    now = reading(0)
    said = "The recordings say otherwise."
    assert judged(TRUSTED, now, contradiction=said, longest_off_s=0).problem == ""
    verdict = judged(ClockRecord(), now, contradiction=said, longest_off_s=0)
    assert verdict == (ClockRecord(doubted=now), said)


@pytest.mark.parametrize(("seconds", "trusted"), [(STEADY_S - 1, False), (STEADY_S, True)])
def test_a_doubted_clock_is_trusted_after_exactly_its_time(seconds: float, trusted: bool) -> None:
    first = judged(TRUSTED, reading(9000), contradiction="", longest_off_s=0).record
    half = judged(first, reading(9010, boottime_s=1010), contradiction="", longest_off_s=0)
    assert half.record.steady_s == 10
    last = reading(9000 + seconds, boottime_s=1000 + seconds)
    verdict = judged(half.record, last, contradiction="", longest_off_s=0)
    assert (verdict.problem == "") is trusted
    assert (verdict.record == ClockRecord(trusted=last)) is trusted


def test_a_boot_counts_the_seconds_that_the_host_has_run_since() -> None:
    doubted = judged(TRUSTED, reading(9000), contradiction="", longest_off_s=0).record
    booted = judged(doubted, reading(9500, boottime_s=30, boot_id="c"), contradiction="", longest_off_s=0)
    assert booted.record.steady_s == 30


def test_a_reading_that_must_not_be_stored_is_remembered(tmp_path: Path) -> None:
    def missing() -> None:
        raise StorageFailed("The disk is missing.")

    now = [HostTimes("b", 0.0, 1000.0, BEFORE), HostTimes("b", 0.0, 1000.0, BEFORE + timedelta(days=9))]
    path = tmp_path / "clock.json"
    trust = ClockTrust(path, times=lambda: now.pop(0), require=missing)
    assert [trust.judge("", 1e9), trust.judge("", 1e9)] == ["", "The clock was set forward by 9 days."]
    assert not path.exists()


@pytest.mark.parametrize(("max_age_s", "doubted"), [(1e9, False), (28 * 86_400, False), (24 * 86_400, True)])
def test_a_host_is_off_for_a_week_or_a_quarter_of_the_age_without_doubt(
    tmp_path: Path, max_age_s: float, doubted: bool
) -> None:
    later = BEFORE + timedelta(days=7)
    now = [HostTimes("b", 0.0, 1000.0, BEFORE), HostTimes("c", 0.0, 0.0, later)]
    trust = ClockTrust(tmp_path / "clock.json", times=lambda: now.pop(0))
    assert trust.judge("", max_age_s) == ""
    assert bool(trust.judge("", max_age_s)) is doubted
