"""Decisions about outages: how a fleet comes back, and what is worth a line in the log."""

import random

import pytest

from mqtt_bridge.broker.outages import Outages
from mqtt_bridge.broker.reasons import TAKEN_OVER, BrokerProblem

GONE = BrokerProblem("mqtt_closed", "The broker has closed the connection.", "Check the broker.")
TAKEN = BrokerProblem(TAKEN_OVER, "Another client has the same id.", "Give each agent an id of its own.")


@pytest.mark.parametrize("spread_s", [2.0, 200.0])
def test_a_fleet_comes_back_evenly_over_the_whole_spread(spread_s: float) -> None:
    chance = random.Random(19)
    pauses = sorted(Outages(spread_s, chance).pause_s(GONE) for _ in range(1000))
    assert pauses[0] >= spread_s * 0.1
    assert pauses[-1] <= spread_s
    busiest = max(sum(start <= each < start + spread_s / 10 for each in pauses) for start in pauses)
    assert busiest < 2 * 1000 / 10


def longest(outages: Outages, problem: BrokerProblem, count: int) -> list[float]:
    """Return the pauses of `count` failures, where chance always takes the longest."""
    return [round(outages.pause_s(problem), 3) for _ in range(count)]


class Longest(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def test_pauses_grow_to_a_limit_and_begin_anew_after_a_steady_connection() -> None:
    outages = Outages(2.0, Longest())
    assert longest(outages, GONE, 7) == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    outages.ended(GONE, 59.0)
    assert longest(outages, GONE, 1) == [60.0]
    outages.ended(GONE, 60.0)
    assert longest(outages, GONE, 1) == [2.0]


def test_a_spread_longer_than_the_limit_stays_as_it_is() -> None:
    assert longest(Outages(300.0, Longest()), GONE, 3) == [300.0, 300.0, 300.0]


def test_two_agents_with_one_id_leave_each_other_in_peace_for_longer() -> None:
    assert longest(Outages(2.0, Longest()), TAKEN, 6) == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0]
