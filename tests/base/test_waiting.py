"""Pauses grow, stop growing, and begin anew."""

from agent_core.base.waiting import GrowingPauses


def test_each_is_twice_the_one_before_up_to_the_longest() -> None:
    pauses = GrowingPauses(1.0, 5.0)
    assert [pauses.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_success_begins_anew() -> None:
    pauses = GrowingPauses(0.5, 8.0)
    assert [pauses.next_s(), pauses.next_s()] == [0.5, 1.0]
    pauses.reset()
    assert pauses.next_s() == 0.5
