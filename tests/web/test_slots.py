"""Connections that get a slot, and connections that give way."""

import pytest

from agent_core.web.slots import Slot, SlotLimits, Slots


class Door:
    def __init__(self, total: int = 10, per_address: int = 10, anonymous: int = 10) -> None:
        self.slots = Slots(SlotLimits(total, per_address, anonymous))
        self.gone: list[str] = []

    def enter(self, name: str, address: str = "a") -> Slot | None:
        def give_way() -> None:
            self.gone.append(name)

        return self.slots.enter(address, give_way)

    def known(self, name: str, address: str = "a") -> Slot:
        slot = self.enter(name, address)
        assert slot is not None
        self.slots.set_known(slot, is_known=True)
        return slot


def test_the_oldest_anonymous_gives_way_when_their_share_is_full() -> None:
    door = Door(anonymous=2)
    for number in range(5):
        assert door.enter(str(number)) is not None
    assert door.gone == ["0", "1", "2"]
    assert (len(door.slots), door.slots.anonymous) == (2, 2)


def test_who_is_known_stays() -> None:
    door = Door(anonymous=1)
    door.known("user")
    for number in range(100):
        door.enter(str(number))
    assert door.gone == [str(number) for number in range(99)]
    assert len(door.slots) == 2


@pytest.mark.parametrize("limits", [{"total": 3}, {"per_address": 3}])
def test_where_all_are_known_a_newcomer_gets_no_slot(limits: dict[str, int]) -> None:
    door = Door(**limits)
    users = [door.known(str(number)) for number in range(3)]
    assert door.enter("late") is None
    assert door.gone == []
    assert door.slots.is_full is ("total" in limits)
    door.slots.leave(users[1])
    assert not door.slots.is_full
    assert door.enter("late") is not None


@pytest.mark.parametrize("limits", [{"total": 3}, {"per_address": 3}])
def test_an_anonymous_one_gives_way_at_every_limit(limits: dict[str, int]) -> None:
    door = Door(**limits)
    door.enter("first")
    door.known("user")
    door.enter("second")
    assert door.enter("third") is not None
    assert door.gone == ["first"]


def test_the_limit_of_one_address_concerns_no_other() -> None:
    door = Door(per_address=1)
    door.known("user", "a")
    assert door.enter("again", "a") is None
    assert door.enter("other", "b") is not None
    assert door.gone == []


def test_the_address_with_most_loses_first() -> None:
    door = Door(anonymous=4)
    door.enter("page", "friend")
    for number in range(10):
        door.enter(str(number), "flood")
    assert door.gone == [str(number) for number in range(7)]
    door.enter("another page", "third")
    assert door.gone[-1] == "7"


def test_who_is_no_longer_known_is_the_newest_of_the_anonymous() -> None:
    door = Door(anonymous=2)
    user = door.known("user")
    door.enter("first")
    door.enter("second")
    door.slots.set_known(user, is_known=False)
    assert door.gone == ["first"]
    door.enter("third")
    assert door.gone == ["first", "second"]


def test_leaving_twice_and_being_known_afterwards_change_nothing() -> None:
    door = Door(anonymous=1)
    first = door.enter("first")
    assert first is not None
    door.enter("second")
    door.slots.leave(first)
    door.slots.set_known(first, is_known=True)
    assert (len(door.slots), door.slots.anonymous) == (1, 1)
