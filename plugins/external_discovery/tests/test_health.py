"""Verdicts and pauses follow from what the probes tell."""

import random
from itertools import pairwise

import pytest

from external_discovery.health import Health, Pace, Verdict
from external_discovery.probe import ProbeOutcome

GONE = (ProbeOutcome.UNREACHABLE, ProbeOutcome.REFUSED, ProbeOutcome.SILENT)


def health() -> Health:
    return Health(random.Random(1))


def pauses(outcome: ProbeOutcome, pace: Pace, count: int = 12) -> list[float]:
    seen, state = [], health()
    for _ in range(count):
        state.saw(outcome, "It is gone.")
        seen.append(state.pause_s(pace))
    return seen


@pytest.mark.parametrize("outcome", GONE)
def test_a_camera_that_is_gone_is_tried_with_growing_pauses(outcome: ProbeOutcome) -> None:
    seen = pauses(outcome, Pace.IDLE)
    assert seen[0] < 1.2
    assert all(later > sooner for sooner, later in pairwise(seen[:6]))
    assert all(27 <= each <= 33 for each in seen[6:])


@pytest.mark.parametrize("outcome", GONE)
def test_a_wanted_camera_is_tried_every_second_at_least(outcome: ProbeOutcome) -> None:
    assert max(pauses(outcome, Pace.WANTED, 200)) <= 1.1


@pytest.mark.parametrize("outcome", [ProbeOutcome.WRONG_CREDENTIALS, ProbeOutcome.NEEDS_CREDENTIALS])
@pytest.mark.parametrize("pace", Pace)
def test_a_wrong_password_is_never_tried_often(outcome: ProbeOutcome, pace: Pace) -> None:
    seen = pauses(outcome, pace)
    assert seen[0] >= 54
    # Five wrong logins within half an hour lock an account of most makes.
    assert sum(seen[:5]) >= 1500
    assert seen[-1] <= 1980


def test_pauses_of_cameras_that_failed_together_differ() -> None:
    states = [Health(random.Random(seed)) for seed in range(20)]
    for each in states:
        each.saw(ProbeOutcome.UNREACHABLE, "")
    assert len({each.pause_s(Pace.IDLE) for each in states}) == 20


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (ProbeOutcome.STREAM, Verdict.ONLINE),
        *((each, Verdict.OFFLINE) for each in GONE),
        (ProbeOutcome.WRONG_CREDENTIALS, Verdict.ERROR),
        (ProbeOutcome.NEEDS_CREDENTIALS, Verdict.ERROR),
        (ProbeOutcome.REDIRECTED, Verdict.ERROR),
        (ProbeOutcome.NOT_FOUND, Verdict.ERROR),
        (ProbeOutcome.NOT_RTSP, Verdict.ERROR),
    ],
)
def test_each_outcome_has_its_verdict(outcome: ProbeOutcome, verdict: Verdict) -> None:
    state = health()
    assert state.saw(outcome, "Why.") is verdict
    assert bool(state.details) is (verdict is not Verdict.ONLINE)


def test_one_silent_look_does_not_lose_a_camera_that_works() -> None:
    state = health()
    state.saw(ProbeOutcome.STREAM, "")
    assert state.saw(ProbeOutcome.SILENT, "Silence.") is Verdict.ONLINE
    assert state.pause_s(Pace.IDLE) < 1.2  # but it is looked at again soon
    assert state.saw(ProbeOutcome.SILENT, "Silence.") is Verdict.OFFLINE
    assert state.saw(ProbeOutcome.STREAM, "") is Verdict.ONLINE
    assert state.saw(ProbeOutcome.REFUSED, "Gone.") is Verdict.OFFLINE


def test_a_success_ends_all_growth() -> None:
    state = health()
    for _ in range(10):
        state.saw(ProbeOutcome.WRONG_CREDENTIALS, "")
    state.worked()
    assert state.pause_s(Pace.IDLE) <= 33
    state.saw(ProbeOutcome.UNREACHABLE, "")
    assert state.pause_s(Pace.IDLE) < 1.2
