"""Pauses between attempts to connect: they grow, are bounded, differ between clients, and start anew."""

from typing import Any

import pytest

from agent_core.client import Reconnect
from agent_core.client.reconnect import Pauses

POLICY = Reconnect(first_pause_s=1, longest_pause_s=20, factor=2, jitter=0)


def test_pauses_grow_up_to_the_longest() -> None:
    pauses = Pauses(POLICY, lambda: 0.5)
    assert [pauses.after(0) for _ in range(7)] == [1, 2, 4, 8, 16, 20, 20]


def test_a_stable_connection_starts_them_anew_and_a_short_one_does_not() -> None:
    pauses = Pauses(POLICY, lambda: 0.5)
    assert [pauses.after(connected_s) for connected_s in (0, 0, 9.9, 10, 0, 3600)] == [1, 2, 4, 1, 2, 1]


def test_jitter_leaves_out_at_most_its_part() -> None:
    policy = Reconnect(first_pause_s=8, longest_pause_s=8, jitter=0.25)
    drawn = iter((0.0, 0.5, 1.0))
    pauses = Pauses(policy, lambda: next(drawn))
    assert [pauses.after(0) for _ in range(3)] == [8, 7, 6]


def test_the_agent_may_ask_for_a_longer_pause() -> None:
    pauses = Pauses(POLICY, lambda: 0.0)
    assert [pauses.after(0, at_least_s) for at_least_s in (60, 0.1)] == [60, 2]


def test_it_gives_up_after_so_many_attempts_in_a_row() -> None:
    pauses = Pauses(Reconnect(first_pause_s=1, attempts=2, jitter=0), lambda: 0.0)
    assert [pauses.after(connected_s) for connected_s in (60, 0, 60, 0, 0)] == [1, 2, 1, 2, None]


def test_without_a_policy_it_gives_up_at_once() -> None:
    assert Pauses(None, lambda: 0.0).after(3600) is None


def test_a_year_without_the_agent_overflows_nothing() -> None:
    pauses = Pauses(POLICY, lambda: 0.0)
    assert {pauses.after(0) for _ in range(5000)} == {1, 2, 4, 8, 16, 20}


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_pause_s": 0},
        {"first_pause_s": 31},
        {"factor": 0.5},
        {"jitter": 1.5},
        {"jitter": -0.1},
        {"attempts": 0},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Reconnect(**wrong)
