"""The plan of a snapshot: which tiers, in which order, for how long, and why the others are left out."""

from dataclasses import replace

import pytest

from agent_core.base.errors import CaptureFailed
from agent_core.base.models import DeviceState
from agent_core.mediamtx.link import ServerState
from agent_core.plugin import TierNeed
from agent_core.snapshots.durations import Durations
from agent_core.snapshots.facts import CameraFacts
from agent_core.snapshots.planner import Candidate, Failure, Limits, Plan, Skip, is_running, plan

NOW_S = 1000.0
RING = Candidate(0, 0, "frames", TierNeed.FRAMES, 5.0)
FFMPEG = Candidate(1, 1, "ffmpeg", TierNeed.INPUT, 6.0)
RTSP = Candidate(2, 2, "rtsp", TierNeed.LIVE_STREAM, 6.0)
ACTIVATION = Candidate(3, 3, "rtsp_activation", TierNeed.STREAM, 10.0)
ALL = (RING, FFMPEG, RTSP, ACTIVATION)
BUSY = CaptureFailed("Another program uses the camera.", reason="device_busy", suggestion="Close it.")
#: A camera that was connected long ago, whose stream is live.
LIVE = CameraFacts(connected_s=1.0, input_is_broker=True, device=DeviceState(), live_since_s=NOW_S - 60)
IDLE = replace(LIVE, live_since_s=None)


def held(**changes: object) -> DeviceState:
    return replace(DeviceState(problem=BUSY, since_s=NOW_S - 9, is_refusing=True), **changes)  # type: ignore[arg-type]


def limits(*, left_s: float = 10.0, max_age_s: float = 0.5) -> Limits:
    return Limits(NOW_S, NOW_S - max_age_s, NOW_S + left_s)


def failed(candidate: Candidate, reason: str = "camera_silent", **changes: object) -> Candidate:
    failure = Failure(reason, "It was dark.", "", NOW_S - 1, NOW_S + 5, NOW_S - 1)
    return replace(candidate, failure=replace(failure, **changes))  # type: ignore[arg-type]


def learned(candidate: Candidate, best_s: float, p50_s: float, p95_s: float) -> Candidate:
    return replace(candidate, learned=Durations(best_s, p50_s, p95_s))


def order(made: Plan) -> list[str]:
    return [step.candidate.name for step in made.steps]


def reasons(made: Plan) -> dict[str, str]:
    return {candidate.name: skip.reason for candidate, skip in made.skipped}


def notes(made: Plan) -> dict[str, str]:
    return {step.candidate.name: step.note.reason for step in made.steps if step.note}


def test_without_knowledge_the_rank_decides() -> None:
    made = plan(reversed(ALL), LIVE, limits())
    assert order(made) == ["frames", "ffmpeg", "rtsp", "rtsp_activation"]
    assert reasons(made) == notes(made) == {}


# What cannot work now.


def test_a_refusing_device_rules_out_every_way_to_it() -> None:
    made = plan(ALL, replace(IDLE, device=held(), server=ServerState.DOWN), limits())
    assert order(made) == []
    assert reasons(made) == {
        "frames": "device_busy",
        "ffmpeg": "device_busy",
        "rtsp": "media_server_down",
        "rtsp_activation": "media_server_down",
    }
    (_, skip), *_ = made.skipped
    assert (skip.details, skip.suggestion) == (BUSY.details, BUSY.suggestion)


def test_a_stream_is_asked_for_when_nothing_else_can_serve() -> None:
    """The program that holds the device may publish it, which the agent has not seen yet."""
    made = plan(ALL, replace(IDLE, device=held()), limits())
    assert order(made) == ["rtsp"]
    assert notes(made) == {"rtsp": "not_live"}
    assert reasons(made) == dict.fromkeys(("frames", "ffmpeg", "rtsp_activation"), "device_busy")
    assert order(plan(ALL, replace(IDLE, device=held()), limits(left_s=0))) == []


def test_a_live_stream_serves_while_the_device_refuses() -> None:
    made = plan(ALL, replace(LIVE, device=held()), limits())
    assert order(made) == ["rtsp", "rtsp_activation"]


def test_an_input_that_is_not_the_broker_does_not_share_its_problem() -> None:
    made = plan(ALL, replace(IDLE, input_is_broker=False, device=held()), limits())
    assert order(made) == ["ffmpeg", "rtsp_activation"]


def test_after_the_pause_the_broker_is_asked_before_the_ways_round_it() -> None:
    made = plan([FFMPEG, RING, ACTIVATION], replace(IDLE, device=held(is_refusing=False)), limits())
    assert order(made) == ["frames", "ffmpeg", "rtsp_activation"]
    assert notes(made) == {"ffmpeg": "device_busy", "rtsp_activation": "device_busy"}
    made = plan([FFMPEG, failed(RING)], replace(IDLE, device=held(is_refusing=False)), limits())
    assert order(made) == ["frames", "ffmpeg"], "whatever failed before, it finds out soonest"


@pytest.mark.parametrize(("newest_s", "names"), [(NOW_S - 0.5, ["frames"]), (NOW_S - 0.51, [])])
def test_a_frame_that_is_fresh_enough_serves_whatever_the_device_does(
    newest_s: float, names: list[str]
) -> None:
    device = held(newest_s=newest_s)
    assert order(plan([failed(RING)], replace(IDLE, device=device), limits())) == names


@pytest.mark.parametrize(
    ("server", "reason"),
    [(ServerState.DOWN, "media_server_down"), (ServerState.ABSENT, "no_media_server")],
)
def test_without_a_media_server_no_stream_is_tried(server: ServerState, reason: str) -> None:
    made = plan(ALL, replace(LIVE, server=server), limits())
    assert order(made) == ["frames", "ffmpeg"]
    assert reasons(made) == {"rtsp": reason, "rtsp_activation": reason}


def test_a_stream_that_is_not_live_can_only_be_activated() -> None:
    made = plan([RTSP, ACTIVATION], IDLE, limits())
    assert order(made) == ["rtsp_activation"]
    assert reasons(made) == {"rtsp": "not_live"}


def test_a_broker_that_does_not_tell_its_state_is_tried() -> None:
    assert order(plan([RING, FFMPEG], replace(IDLE, device=None), limits())) == ["frames", "ffmpeg"]


@pytest.mark.parametrize(
    ("max_age_s", "left_s", "limit_s", "tries"),
    [
        (0.0, 0.3, 6.0, False),
        (0.0, 0.5, 6.0, True),
        (0.25, 0.3, 6.0, True),
        (0.0, 10.0, 0.4, False),
        (5.0, 0.01, 6.0, True),
    ],
)
def test_a_tier_whose_pictures_arrive_too_old_is_not_tried(
    max_age_s: float, left_s: float, limit_s: float, tries: bool
) -> None:
    late = replace(FFMPEG, latency_s=0.5, limit_s=limit_s)
    made = plan([late], LIVE, limits(left_s=left_s, max_age_s=max_age_s))
    assert order(made) == (["ffmpeg"] if tries else [])
    assert reasons(made) == ({} if tries else {"ffmpeg": "too_slow"})


def test_a_stream_that_may_be_live_is_not_asked_for_a_picture_that_would_be_too_late() -> None:
    made = plan([replace(RTSP, latency_s=0.5)], IDLE, limits(left_s=0.3, max_age_s=0.0))
    assert (order(made), reasons(made)) == ([], {"rtsp": "too_slow"})
    (_, skip), *_ = made.skipped
    assert "in 0.50 s; 0.30 s were left" in skip.details
    assert skip.suggestion == "Allow a larger max_age_ms or deadline_ms."


# What failed a moment ago.


def test_a_tier_that_just_failed_comes_last_and_says_why() -> None:
    made = plan([failed(RING, suggestion="Wait."), failed(FFMPEG), RTSP], LIVE, limits())
    assert order(made) == ["rtsp", "frames", "ffmpeg"]
    assert notes(made) == {"frames": "recently_failed", "ffmpeg": "recently_failed"}
    note = made.steps[1].note
    assert note
    assert (note.details, note.suggestion) == ("It failed 1.0 s ago (camera_silent): It was dark.", "Wait.")


def test_a_tier_is_refused_while_its_failure_is_sure_to_last() -> None:
    tier = failed(FFMPEG, "device_busy", refused_until_s=NOW_S + 0.1, suggestion="Wait.")
    assert plan([tier], LIVE, limits()).skipped == ((tier, Skip("device_busy", "It was dark.", "Wait.")),)
    tier = failed(FFMPEG, "device_busy", refused_until_s=NOW_S)
    assert order(plan([tier], LIVE, limits())) == ["ffmpeg"]


def test_a_failure_counts_until_its_pause_is_over() -> None:
    assert order(plan([failed(RING, until_s=NOW_S), FFMPEG], LIVE, limits())) == ["frames", "ffmpeg"]


@pytest.mark.parametrize(
    ("tier", "facts"),
    [
        (FFMPEG, replace(IDLE, connected_s=NOW_S - 0.9)),
        (RING, replace(IDLE, device=DeviceState(since_s=NOW_S - 0.9))),
        (FFMPEG, replace(IDLE, device=DeviceState(since_s=NOW_S - 0.9))),
        (RTSP, replace(LIVE, live_since_s=NOW_S - 0.9)),
        (ACTIVATION, replace(LIVE, live_since_s=NOW_S - 0.9)),
    ],
)
def test_a_failure_is_void_when_what_the_tier_needs_has_come_back(
    tier: Candidate, facts: CameraFacts
) -> None:
    refused = failed(tier, refused_until_s=NOW_S + 5)
    assert order(plan([refused], facts, limits())) == [tier.name]
    assert order(plan([refused], replace(LIVE, device=DeviceState()), limits())) == []


@pytest.mark.parametrize(
    ("tier", "facts"),
    [
        (RING, replace(LIVE, live_since_s=NOW_S - 0.9)),
        (RTSP, replace(LIVE, device=DeviceState(since_s=NOW_S - 0.9))),
        (FFMPEG, replace(LIVE, input_is_broker=False, device=DeviceState(since_s=NOW_S - 0.9))),
        (RING, replace(LIVE, device=held(is_refusing=False, since_s=NOW_S - 0.9))),
        (RING, replace(LIVE, connected_s=None)),
        (RING, replace(LIVE, connected_s=NOW_S - 1)),
    ],
)
def test_a_change_of_something_else_leaves_a_failure_valid(tier: Candidate, facts: CameraFacts) -> None:
    refused = failed(tier, "device_busy", refused_until_s=NOW_S + 5)
    assert order(plan([refused], facts, limits())) == []


def test_a_time_out_says_nothing_about_much_more_time() -> None:
    tier = failed(FFMPEG, "timed_out", ran_out_of_s=2.0)
    assert notes(plan([tier], LIVE, limits(left_s=3.0))) == {"ffmpeg": "recently_failed"}
    assert notes(plan([tier], LIVE, limits(left_s=3.1))) == {}
    assert notes(plan([replace(tier, limit_s=3.0)], LIVE, limits())) == {"ffmpeg": "recently_failed"}


def test_a_picture_that_was_too_old_says_nothing_about_a_more_patient_request() -> None:
    tier = failed(FFMPEG, "too_old", older_than_s=0.5)
    assert notes(plan([tier], LIVE, limits(max_age_s=0.5))) == {"ffmpeg": "recently_failed"}
    assert notes(plan([tier], LIVE, limits(max_age_s=0.6))) == {}


# What takes too long.


def test_what_has_never_been_fast_enough_is_not_tried() -> None:
    made = plan([learned(FFMPEG, 0.5, 0.7, 1.0)], LIVE, limits(left_s=0.49))
    assert reasons(made) == {"ffmpeg": "too_slow"}
    (_, skip), *_ = made.skipped
    assert skip.details == "It has lately taken at least 0.50 s, and 0.49 s were left."


def test_what_is_seldom_fast_enough_comes_after_what_may_be() -> None:
    ring = learned(RING, 0.5, 0.75, 1.0)
    assert order(plan([ring, FFMPEG], LIVE, limits(left_s=0.75))) == ["frames", "ffmpeg"]
    for left_s in (0.74, 0.5):
        made = plan([ring, FFMPEG], LIVE, limits(left_s=left_s))
        assert order(made) == ["ffmpeg", "frames"]
        assert notes(made) == {"frames": "too_slow"}
    made = plan([learned(RING, 0.5, 2.0, 3.0), learned(RTSP, 0.1, 0.8, 0.8)], LIVE, limits(left_s=0.75))
    assert order(made) == ["rtsp", "frames"]
    assert notes(made) == {"rtsp": "too_slow", "frames": "too_slow"}


def test_a_clearly_faster_tier_passes_and_the_slower_one_says_so() -> None:
    slow, fast = learned(RING, 0.6, 0.7, 1.5), learned(RTSP, 0.03, 0.05, 0.06)
    made = plan([slow, FFMPEG, fast], LIVE, limits())
    assert order(made) == ["frames", "ffmpeg", "rtsp"], "nothing is known of the tier between them"
    made = plan([slow, learned(FFMPEG, 0.5, 0.5, 0.9), fast], LIVE, limits())
    assert order(made) == ["rtsp", "frames", "ffmpeg"]
    assert notes(made) == {"frames": "slower", "ffmpeg": "slower"}
    note = made.steps[1].note
    assert note
    assert note.details == "It has lately been slower than the tier rtsp probably is."


@pytest.mark.parametrize(
    ("tier", "p50_s", "first"),
    [
        (RTSP, 0.21, "rtsp"),
        (RTSP, 0.19, "ffmpeg"),
        (ACTIVATION, 4.56, "rtsp_activation"),
        (ACTIVATION, 4.54, "ffmpeg"),
        (replace(RTSP, needs=TierNeed.NOTHING), 9.0, "ffmpeg"),
    ],
)
def test_a_stream_is_tried_before_a_slow_tier_although_nothing_is_known_of_it(
    tier: Candidate, p50_s: float, first: str
) -> None:
    assert order(plan([learned(FFMPEG, 0.1, p50_s, 9.0), tier], LIVE, limits()))[0] == first


def test_another_way_to_the_same_frames_never_passes_the_broker() -> None:
    tiers = [learned(RING, 2.0, 2.5, 3.0), learned(FFMPEG, 0.1, 0.1, 0.1)]
    assert order(plan(tiers, LIVE, limits())) == ["frames", "ffmpeg"]
    assert order(plan(tiers, replace(LIVE, input_is_broker=False), limits())) == ["ffmpeg", "frames"]


@pytest.mark.parametrize(("p50_s", "first"), [(0.09, "rtsp"), (0.11, "frames")])
def test_noise_does_not_displace_a_cheap_tier(p50_s: float, first: str) -> None:
    made = plan([learned(RING, 0.01, 0.2, 9.0), learned(RTSP, 0.01, p50_s, 0.3)], LIVE, limits())
    assert order(made)[0] == first


def test_a_frame_at_hand_is_never_displaced() -> None:
    slow, fast = learned(RING, 0.6, 0.7, 1.5), learned(RTSP, 0.001, 0.001, 0.001)
    facts = replace(LIVE, device=DeviceState(newest_s=NOW_S - 0.1))
    assert order(plan([slow, fast], facts, limits())) == ["frames", "rtsp"]
    assert order(plan([slow], facts, limits(left_s=0.1))) == ["frames"], "nor is it too slow"


def test_coded_frames_are_not_at_hand_before_they_are_decoded() -> None:
    slow, fast = learned(RING, 0.6, 0.7, 1.5), learned(RTSP, 0.001, 0.001, 0.001)
    facts = replace(LIVE, device=DeviceState(newest_s=NOW_S - 0.1), frames_are_coded=True)
    assert order(plan([slow, fast], facts, limits())) == ["rtsp", "frames"]
    assert order(plan([failed(RING), FFMPEG], facts, limits())) == ["ffmpeg", "frames"]
    refusing = replace(facts, device=held(newest_s=NOW_S - 0.1))
    assert reasons(plan([RING], refusing, limits())) == {"frames": "device_busy"}


# Budgets.


def budgets_s(made: Plan) -> dict[str, float]:
    return {step.candidate.name: step.budget_s for step in made.steps}


def test_no_step_gets_more_than_its_limit_and_all_fit_into_the_deadline() -> None:
    assert budgets_s(plan([RING], LIVE, limits(left_s=60.0))) == {"frames": 5.0}
    for left_s in (0.01, 0.3, 2.0, 8.0, 60.0):
        given = budgets_s(plan(ALL, LIVE, limits(left_s=left_s)))
        assert sum(given.values()) <= left_s + 1e-9
        assert min(given.values()) > 0


def test_time_is_kept_for_the_steps_that_follow() -> None:
    given = budgets_s(plan([RING, RTSP], LIVE, limits(left_s=3.0)))
    assert given == {"frames": 2.0, "rtsp": 1.0}
    given = budgets_s(plan([RING, learned(RTSP, 0.1, 0.2, 0.36)], LIVE, limits(left_s=3.0)))
    assert given == pytest.approx({"frames": 2.5, "rtsp": 0.5})
    given = budgets_s(plan([RING, RTSP], LIVE, limits(left_s=1.0)))
    assert given == {"frames": 0.5, "rtsp": 0.5}


def test_a_tier_that_has_proved_its_need_gets_it() -> None:
    given = budgets_s(plan([learned(RING, 0.1, 0.15, 0.6), RTSP], LIVE, limits(left_s=1.0)))
    assert given == pytest.approx({"frames": 0.8, "rtsp": 0.2})
    assert budgets_s(plan([learned(RING, 0.1, 0.15, 4.0)], LIVE, limits(left_s=1.0))) == {"frames": 1.0}


def test_no_time_is_kept_for_another_way_to_the_same_device() -> None:
    assert budgets_s(plan([RING, FFMPEG], IDLE, limits(left_s=3.0)))["frames"] == 3.0
    facts = replace(IDLE, input_is_broker=False)
    assert budgets_s(plan([RING, FFMPEG], facts, limits(left_s=3.0)))["frames"] == 1.5


def test_less_time_is_kept_for_a_last_resort_except_before_another_one() -> None:
    assert budgets_s(plan([RING, failed(RTSP)], LIVE, limits(left_s=3.0)))["frames"] == 2.75
    assert budgets_s(plan([failed(RING), failed(RTSP)], LIVE, limits(left_s=3.0)))["frames"] == 2.0


def test_when_the_time_is_up_nothing_is_tried() -> None:
    assert set(reasons(plan(ALL, LIVE, limits(left_s=0.0))).values()) == {"deadline_exceeded"}


@pytest.mark.parametrize(
    ("needs", "facts", "runs"),
    [
        (TierNeed.FRAMES, replace(LIVE, device=DeviceState(is_streaming=True)), True),
        (TierNeed.FRAMES, LIVE, False),
        (TierNeed.FRAMES, replace(LIVE, device=None), False),
        (TierNeed.INPUT, replace(LIVE, device=DeviceState(is_streaming=True)), True),
        (TierNeed.INPUT, replace(LIVE, device=DeviceState(is_streaming=True), input_is_broker=False), False),
        (TierNeed.LIVE_STREAM, LIVE, True),
        (TierNeed.STREAM, LIVE, True),
        (TierNeed.STREAM, replace(IDLE, device=DeviceState(is_streaming=True)), False),
        (TierNeed.NOTHING, replace(LIVE, device=DeviceState(is_streaming=True)), False),
    ],
)
def test_what_a_tier_needs_may_run_already(needs: TierNeed, facts: CameraFacts, runs: bool) -> None:
    assert is_running(needs, facts) is runs
