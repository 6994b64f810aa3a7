"""Decisions about publishers, from observations and the time alone."""

import pytest

from agent_core.streams.publishers.liveness import (
    LONGEST_PAUSE_S,
    STEADY_S,
    Liveness,
    PublisherHealth,
    RestartPauses,
)

STARTING, LIVE = PublisherHealth.STARTING, PublisherHealth.LIVE
NOT_STARTED, SILENT = PublisherHealth.NOT_STARTED, PublisherHealth.SILENT


@pytest.fixture
def liveness() -> Liveness:
    return Liveness(100.0, start_timeout_s=5.0)


def test_a_stream_that_comes_up_and_grows_is_live(liveness: Liveness) -> None:
    assert liveness.saw(100.5, live=False, inbound_bytes=0) is STARTING
    for second in range(1, 60):
        assert liveness.saw(100.0 + second, live=True, inbound_bytes=1000 * second) is LIVE
    assert liveness.live_s == 58


def test_a_stream_that_never_comes_up(liveness: Liveness) -> None:
    assert liveness.saw(104.9, live=False, inbound_bytes=0) is STARTING
    assert liveness.saw(105.0, live=False, inbound_bytes=0) is NOT_STARTED
    assert liveness.live_s == 0


def test_silence_is_noticed_within_ten_seconds_of_the_last_bytes(liveness: Liveness) -> None:
    now_s = 101.0
    assert liveness.saw(now_s, live=True, inbound_bytes=7000) is LIVE
    while liveness.health is LIVE:
        now_s += liveness.next_look_s(now_s)
        liveness.saw(now_s, live=True, inbound_bytes=7000)
    assert liveness.health is SILENT
    assert 4 <= now_s - 101.0 <= 8


def test_a_stream_that_ends_while_the_program_goes_on_is_silent_too(liveness: Liveness) -> None:
    liveness.saw(101.0, live=True, inbound_bytes=7000)
    assert liveness.saw(103.0, live=False, inbound_bytes=0) is STARTING
    assert liveness.saw(104.0, live=True, inbound_bytes=500) is LIVE
    assert liveness.saw(110.0, live=False, inbound_bytes=0) is SILENT


def test_a_server_that_does_not_answer_says_nothing_against_the_publisher(liveness: Liveness) -> None:
    liveness.saw(101.0, live=True, inbound_bytes=7000)
    for second in range(102, 130):
        liveness.unanswered(float(second))
    assert liveness.saw(130.0, live=True, inbound_bytes=7000) is LIVE
    assert liveness.saw(136.0, live=True, inbound_bytes=7000) is SILENT


def test_a_server_that_does_not_answer_from_the_start_ends_the_attempt(liveness: Liveness) -> None:
    liveness.unanswered(104.9)
    assert liveness.health is STARTING
    liveness.unanswered(105.0)
    assert liveness.health is NOT_STARTED


def test_looks_are_frequent_only_at_the_beginning(liveness: Liveness) -> None:
    assert liveness.next_look_s(100.0) == 0.1
    assert liveness.next_look_s(103.0) == 0.5
    liveness.saw(103.0, live=True, inbound_bytes=1)
    assert liveness.next_look_s(103.0) == 2.0


def test_pauses_grow_up_to_a_limit() -> None:
    pauses = RestartPauses()
    taken = [pauses.after_run(0.0) for _ in range(8)]
    assert taken == [0.5, 1, 2, 4, 8, 10, 10, 10]
    assert max(taken) == LONGEST_PAUSE_S


def test_pauses_begin_anew_after_a_stream_that_lasted() -> None:
    pauses = RestartPauses()
    for _ in range(5):
        pauses.after_run(STEADY_S - 0.1)
    assert pauses.after_run(STEADY_S) == 0.5
    assert pauses.after_run(0.0) == 1.0


def test_what_started_nothing_does_not_lengthen_the_pauses() -> None:
    pauses = RestartPauses()
    assert [pauses.unprepared() for _ in range(20)] == [1.0] * 20
    assert pauses.after_run(0.0) == 0.5


def test_two_seconds_after_the_start_looks_become_rarer(liveness: Liveness) -> None:
    assert liveness.next_look_s(101.9) == 0.1
    assert liveness.next_look_s(102.0) == 0.5


def test_a_live_stream_is_silent_long_before_a_slow_start_is_over() -> None:
    liveness = Liveness(100.0, start_timeout_s=60.0)
    liveness.saw(101.0, live=True, inbound_bytes=7000)
    assert liveness.saw(106.9, live=True, inbound_bytes=7000) is LIVE
    assert liveness.saw(107.0, live=True, inbound_bytes=7000) is SILENT


def test_a_stream_is_live_before_its_first_byte_is_counted(liveness: Liveness) -> None:
    liveness.saw(101.0, live=True, inbound_bytes=0)
    assert liveness.saw(105.0, live=True, inbound_bytes=0) is LIVE
