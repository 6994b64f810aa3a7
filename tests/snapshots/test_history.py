"""Memory of captures and failures per tier and camera, and the counters per tier."""

import sys

import pytest

from agent_core.base.errors import AgentError, CaptureFailed, TierUnavailable
from agent_core.base.models import CameraId
from agent_core.snapshots.durations import Durations, RecentDurations
from agent_core.snapshots.history import (
    FORGET_AFTER_S,
    LONGEST_PAUSE_S,
    LONGEST_REFUSAL_S,
    MAX_CAMERAS,
    PROBE_AFTER_S,
    Attempt,
    Conditions,
    TierHistories,
)
from agent_core.snapshots.metrics import OTHER, TierMeter
from agent_core.snapshots.planner import Failure

CAMERA = CameraId("camera0")
WARM = Conditions(is_running=True, max_age_s=0.5)
DARK = CaptureFailed("It was dark.", reason="dark", suggestion="Switch on the light.")
BUSY = CaptureFailed("Held.", reason="device_busy")


def attempt(
    *, at_s: float = 100.0, duration_s: float = 0.1, camera: CameraId = CAMERA, conditions: Conditions = WARM
) -> Attempt:
    return Attempt(camera, 1, conditions, at_s - duration_s, at_s, left_s=3.0)


def after(*errors: AgentError, duration_s: float = 0.1, every_s: float = 1.0) -> Failure:
    """Return what is remembered after `errors` in a row, the last of them at 100 s."""
    histories = TierHistories()
    for number, error in enumerate(errors, start=1 - len(errors)):
        histories.failed(attempt(at_s=100 + number * every_s, duration_s=duration_s), error)
    failure = histories.failure(CAMERA, 1)
    assert failure
    return failure


def test_a_failure_is_remembered_with_its_words() -> None:
    failure = after(DARK)
    assert (failure.reason, failure.details, failure.suggestion) == (
        "dark",
        "It was dark.",
        "Switch on the light.",
    )
    assert (failure.at_s, failure.ran_out_of_s, failure.older_than_s) == (100.0, None, None)
    assert after(CaptureFailed("Slow.", reason="timed_out")).ran_out_of_s == 3.0
    assert after(CaptureFailed("Old.", reason="too_old")).older_than_s == 0.5


def test_the_pause_grows_with_each_failure_in_a_row_up_to_a_minute() -> None:
    pauses_s = [after(*[DARK] * count).until_s - 100 for count in range(1, 12)]
    assert pauses_s[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses_s[-1] == LONGEST_PAUSE_S
    assert pauses_s == sorted(pauses_s)


def test_a_slow_failure_costs_a_longer_pause() -> None:
    assert after(DARK, duration_s=2.5).until_s == 110.0
    assert after(DARK, DARK, duration_s=2.5).until_s == 120.0
    assert after(DARK, duration_s=1000.0).until_s == 100.0 + LONGEST_PAUSE_S


def test_a_success_and_a_long_time_end_the_row() -> None:
    histories = TierHistories()
    histories.failed(attempt(), DARK)
    histories.succeeded(attempt(at_s=101.0))
    assert histories.failure(CAMERA, 1) is None
    histories.failed(attempt(at_s=102.0), DARK)
    failure = histories.failure(CAMERA, 1)
    assert failure
    assert failure.until_s == 103.0
    assert after(DARK, DARK, every_s=PROBE_AFTER_S).until_s == 102.0
    assert after(DARK, DARK, every_s=PROBE_AFTER_S + 1).until_s == 101.0


def test_a_tier_that_is_not_available_pauses_no_longer_than_it_cost() -> None:
    nothing = TierUnavailable("No stream.")
    assert after(nothing, nothing, nothing, duration_s=0.01).until_s == pytest.approx(100.04)
    assert after(DARK, nothing, duration_s=0.01).until_s == pytest.approx(100.04)
    assert after(nothing, DARK).until_s == 101.0, "it has tried nothing, so the first failure is the first"


def test_a_held_device_is_refused_for_a_while_and_other_failures_are_not() -> None:
    assert after(DARK).refused_until_s == 100.0
    assert after(BUSY).refused_until_s == 101.0
    assert after(*[BUSY] * 9).refused_until_s == 100.0 + LONGEST_REFUSAL_S


def test_five_captures_under_like_conditions_teach_a_duration() -> None:
    histories = TierHistories()
    for number, duration_s in enumerate((0.75, 0.25, 0.5, 0.25, 0.625)):
        assert histories.learned(CAMERA, 1, WARM, 100.0) is None
        histories.succeeded(attempt(at_s=100.0 + number, duration_s=duration_s))
    assert histories.learned(CAMERA, 1, WARM, 103.0) == Durations(0.25, 0.5, 0.75)
    assert histories.learned(CAMERA, 1, Conditions(is_running=True, max_age_s=0.9), 103.0)
    histories.succeeded(attempt(at_s=105.0, duration_s=0.5))
    assert histories.learned(CAMERA, 1, WARM, 105.0) == Durations(0.25, 0.5, 0.625), "only five count"
    for other in (
        Conditions(is_running=False, max_age_s=0.5),
        Conditions(is_running=True, max_age_s=0.0),
        Conditions(is_running=True, max_age_s=1.0),
    ):
        assert histories.learned(CAMERA, 1, other, 103.0) is None
    assert histories.learned(CAMERA, 2, WARM, 103.0) is None
    assert histories.learned(CameraId("camera1"), 1, WARM, 103.0) is None


def test_a_tier_without_a_capture_for_a_while_is_due_for_one_try() -> None:
    histories = TierHistories()
    for number in range(5):
        histories.succeeded(attempt(at_s=96.0 + number, duration_s=1.0))
    assert histories.learned(CAMERA, 1, WARM, 100.0 + PROBE_AFTER_S)
    assert histories.learned(CAMERA, 1, WARM, 100.1 + PROBE_AFTER_S) is None
    histories.succeeded(attempt(at_s=101.0 + PROBE_AFTER_S, duration_s=0.5))
    assert histories.learned(CAMERA, 1, WARM, 101.0 + PROBE_AFTER_S) == Durations(0.5, 1.0, 1.0)


def test_old_captures_are_forgotten() -> None:
    histories = TierHistories()
    ends_s = (100.0, 101.0, 102.0, 103.0, 100.0 + FORGET_AFTER_S)
    for at_s in ends_s:
        histories.succeeded(attempt(at_s=at_s))
    assert histories.learned(CAMERA, 1, WARM, 100.0 + FORGET_AFTER_S)
    assert histories.learned(CAMERA, 1, WARM, 100.1 + FORGET_AFTER_S) is None


def test_only_the_cameras_photographed_last_are_remembered() -> None:
    histories = TierHistories()
    histories.failed(attempt(camera=CameraId("camera0")), DARK)
    histories.failed(attempt(camera=CameraId("camera1")), DARK)
    for number in range(2, MAX_CAMERAS):
        histories.failed(attempt(camera=CameraId(f"camera{number}")), DARK)
    histories.succeeded(attempt(camera=CameraId("camera0")))
    histories.failed(attempt(camera=CameraId("camera0")), DARK)
    histories.failed(attempt(camera=CameraId("camera1000")), DARK)
    assert len(histories) == MAX_CAMERAS
    assert histories.failure(CameraId("camera0"), 1)
    assert histories.failure(CameraId("camera1"), 1) is None


def test_percentiles_of_a_window() -> None:
    window = RecentDurations(100)
    assert window.summary(0.0) is None
    for number in range(200):
        window.add(float(number), 0.0)
    assert window.summary(0.0) == Durations(100.0, 150.0, 195.0)
    assert window.summary(sys.float_info.max) == Durations(100.0, 150.0, 195.0)


def test_a_tier_counts_pictures_failures_and_skips() -> None:
    meter = TierMeter(2, "rtsp")
    empty = meter.metrics(0.0)
    assert (empty.attempts, empty.pictures, empty.failures, empty.durations) == (0, 0, (), None)
    meter.took_picture(0.1, 0.0)
    assert meter.metrics(0.0).durations == Durations(0.1, 0.1, 0.1)
    for duration_s in (0.2, 0.3):
        meter.took_picture(duration_s, 0.0)
    for reason in ("timed_out", "dark", "dark"):
        meter.failed(reason)
    meter.skipped("not_live")
    counted = meter.metrics(0.0)
    assert (counted.rank, counted.name, counted.attempts, counted.pictures) == (2, "rtsp", 6, 3)
    assert counted.failures == (("dark", 2), ("timed_out", 1))
    assert counted.skips == (("not_live", 1),)
    assert counted.durations == Durations(0.1, 0.2, 0.3)


def test_a_tier_that_invents_reasons_takes_bounded_memory() -> None:
    meter = TierMeter(0, "odd")
    for number in range(1000):
        meter.failed(f"reason_{number}")
    failures = dict(meter.metrics(0.0).failures)
    assert len(failures) == 33
    assert failures[OTHER] == 1000 - 32
    assert sum(failures.values()) == meter.metrics(0.0).attempts
