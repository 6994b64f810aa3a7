"""Decision when a node is ready and when it is gone."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from v4l2_tier.source.debounce import Debounce
from v4l2_tier.source.hotplug.watcher import NodeChanges
from v4l2_tier.source.inventory import DeviceNode

Make = Callable[..., DeviceNode]


def names(nodes: tuple[DeviceNode, ...]) -> list[str]:
    return [node.name for node in nodes]


def test_a_node_settles_after_its_time_and_once(node: Make) -> None:
    debounce = Debounce(0.3)
    assert debounce.next_s is None
    assert debounce.look([node()], 10.0) == ()
    assert debounce.next_s == pytest.approx(10.3)
    assert debounce.settled(10.29) == ()
    assert debounce.settled(10.31) == (node(),)
    assert debounce.settled(11.0) == ()
    assert debounce.next_s is None


def test_without_settling_time_it_is_used_at_once(node: Make) -> None:
    debounce = Debounce(0.0)
    debounce.look([node()], 10.0)
    assert debounce.settled(10.0) == (node(),)


def test_at_the_start_nothing_has_to_settle(node: Make) -> None:
    debounce = Debounce(5.0)
    debounce.look([node(0), node(1)], 10.0)
    assert names(debounce.settled(10.0, at_once=True)) == ["video0", "video1"]


def test_it_is_gone_at_once_and_once(node: Make) -> None:
    debounce = Debounce(0.3)
    debounce.look([node(0), node(1)], 10.0)
    debounce.settled(11.0)
    assert debounce.look([node(1)], 12.0) == (node(0),)
    assert debounce.look([node(1)], 12.1) == ()


def test_what_never_settled_is_never_gone(node: Make) -> None:
    debounce = Debounce(0.3)
    debounce.look([node()], 10.0)
    assert debounce.look([], 10.1) == ()
    assert debounce.settled(11.0) == ()


@pytest.mark.parametrize("removed", [(), ("video0",)])
def test_another_device_under_the_name_is_another_device(node: Make, removed: tuple[str, ...]) -> None:
    """With and without the event of its removal."""
    debounce = Debounce(0.3)
    debounce.look([node()], 10.0)
    debounce.settled(11.0)
    assert debounce.look([node(incarnation=2)], 12.0, NodeChanges(removed=frozenset(removed))) == (node(),)
    assert debounce.settled(12.2) == ()
    assert debounce.settled(12.3) == (node(incarnation=2),)


def test_gone_and_back_between_two_looks_is_gone_first(node: Make) -> None:
    """A removal was reported, and a node of that name, even one that looks the same, exists again."""
    debounce = Debounce(0.3)
    debounce.look([node()], 10.0)
    debounce.settled(11.0)
    assert debounce.look([node()], 12.0, NodeChanges(removed=frozenset({"video0"}))) == (node(),)
    assert debounce.settled(12.3) == (node(),)


def test_a_flapping_node_settles_after_the_last_flap(node: Make) -> None:
    debounce = Debounce(0.3)
    debounce.look([node()], 10.0)
    debounce.settled(11.0)
    gone = [
        debounce.look(
            [node(incarnation=2 + flap)], 12.0 + flap / 10, NodeChanges(removed=frozenset({"video0"}))
        )
        for flap in range(5)
    ]
    assert gone == [(node(),), (), (), (), ()]  # reported once
    assert debounce.settled(12.69) == ()
    assert debounce.settled(12.71) == (node(incarnation=6),)


def test_events_about_it_put_settling_off_but_not_for_ever(node: Make) -> None:
    debounce = Debounce(0.3)
    debounce.look([node()], 10.0)
    for tenth in range(1, 100):
        now_s = 10.0 + tenth / 10
        debounce.look([node()], now_s, NodeChanges(touched=frozenset({"video0"})))
        if debounce.settled(now_s):
            break
    assert 12.9 < now_s < 13.2


def test_events_about_a_settled_node_change_nothing(node: Make) -> None:
    debounce = Debounce(0.3)
    debounce.look([node()], 10.0)
    debounce.settled(11.0)
    assert debounce.look([node()], 12.0, NodeChanges(touched=frozenset({"video0"}))) == ()
    assert debounce.next_s is None


def test_events_about_other_nodes_put_nothing_off(node: Make) -> None:
    debounce = Debounce(0.3)
    debounce.look([node()], 10.0)
    debounce.look([node(), node(1)], 10.2, NodeChanges(touched=frozenset({"video1"})))
    assert names(debounce.settled(10.3)) == ["video0"]
    assert debounce.next_s == pytest.approx(10.5)


def test_a_node_with_the_name_of_another_device_has_its_own_events(node: Make) -> None:
    """As in a container with the host's video2 as its /dev/video0."""
    renamed = replace(node(2), path=node(0).path)
    debounce = Debounce(0.3)
    debounce.look([renamed], 10.0)
    other = NodeChanges(removed=frozenset({"video0"}), touched=frozenset({"video0"}))
    assert debounce.look([renamed], 10.2, other) == ()
    assert debounce.settled(10.3) == (renamed,)
    assert debounce.look([renamed], 11.0, other) == ()
    assert debounce.look([renamed], 12.0, NodeChanges(removed_nodes=frozenset({node(2).path}))) == ()
    for own in (
        NodeChanges(removed=frozenset({"video2"})),
        NodeChanges(removed_nodes=frozenset({renamed.path})),
    ):
        assert debounce.look([renamed], 13.0, own) == (renamed,)
        assert debounce.settled(14.0) == (renamed,)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_uses_and_ends_alternate_and_end_right(node: Make, seed: int) -> None:
    """Nodes appear, disappear, are exchanged and touched at random, with and without their events."""
    chance, debounce = Random(seed), Debounce(0.3)
    present: dict[str, DeviceNode] = {}
    used: dict[str, DeviceNode] = {}
    now_s, incarnation = 0.0, 0
    for _ in range(300):
        now_s += chance.choice([0.0, 0.1, 0.2, 0.5])
        name = f"video{chance.randrange(3)}"
        removed = {name} if name in present and chance.random() < 0.5 else set()
        if chance.random() < 0.3:
            present.pop(name, None)
        elif chance.random() < 0.5:
            incarnation += 1
            present[name] = node(int(name[5:]), incarnation=incarnation)
        changes = NodeChanges(frozenset(removed), frozenset({name}))
        for gone in debounce.look(present.values(), now_s, changes):
            assert used.pop(gone.name) == gone
        for settled in debounce.settled(now_s):
            assert settled.name not in used
            assert present[settled.name] == settled
            used[settled.name] = settled
    debounce.look(present.values(), now_s)
    debounce.settled(now_s + 1)
    for gone in debounce.look([], now_s + 1):
        used.pop(gone.name, None)
    assert used == {}
