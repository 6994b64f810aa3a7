"""Nodes that udev does not finish: with times told, with a roster, and with the socket of a udev that has ended."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.plugin import FindingStatus
from v4l2_tier.checks import DeviceCheck
from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.hotplug.watcher import NodeChanges
from v4l2_tier.source.inventory import DeviceNode, Inventory, ListedNode
from v4l2_tier.source.udev_waits import FIRST_WAIT_S, LATER_WAIT_S, UdevWaits

A, B, C = ("video0", 1), ("video1", 2), ("video2", 3)
NEW_A = ("video0", 9)


def test_a_node_waits_for_udev_within_a_bound() -> None:
    waits = UdevWaits()
    assert UdevWaits().due_s is None
    assert waits.look([B], [A], 100) == set()
    assert waits.due_s == 100 + FIRST_WAIT_S
    assert waits.look([B], [A], 99.9 + FIRST_WAIT_S) == set()
    assert waits.look([B], [A], 100 + FIRST_WAIT_S) == {A}
    assert waits.look([A, B], [], 120) == set()


def test_there_is_nothing_to_look_for_when_no_node_waits() -> None:
    waits = UdevWaits()
    waits.look([], [A], 0)
    waits.look([], [A], FIRST_WAIT_S)
    assert waits.due_s is None


def test_a_node_that_udev_finishes_in_time_was_not_used_before() -> None:
    waits = UdevWaits()
    waits.look([], [A], 0)
    assert waits.look([A], [B], 3) == set()
    assert waits.due_s == 3 + FIRST_WAIT_S


def test_after_a_wait_in_vain_others_wait_shortly_until_udev_finishes_one() -> None:
    waits = UdevWaits()
    waits.look([], [A], 0)
    waits.look([], [A], 50)
    assert waits.look([], [A, B], 60) == {A}
    assert waits.due_s == 60 + LATER_WAIT_S
    assert waits.look([], [A, B], 60 + LATER_WAIT_S) == {A, B}
    waits.look([B], [A, C], 70)
    assert waits.due_s == 70 + FIRST_WAIT_S


def test_a_node_that_was_used_is_not_waited_for_again() -> None:
    waits = UdevWaits()
    waits.look([A], [], 0)
    assert waits.look([], [A], 1) == {A}  # udev's database has disappeared
    assert waits.look([], [NEW_A], 2) == set()
    assert waits.due_s == 2 + FIRST_WAIT_S


class Undone(Inventory):
    """Inventory of one node that udev does not finish."""

    def __init__(self, node: DeviceNode, times_s: list[float]) -> None:
        super().__init__(now_s=lambda: times_s.pop(0))
        self._node = node

    def list_now(self) -> tuple[list[ListedNode], frozenset[str]]:
        return [ListedNode(self._node, None, udev_done=False)], frozenset()


async def test_the_inventory_says_at_once_what_it_uses_without_udev(
    node: Callable[..., DeviceNode], caplog: pytest.LogCaptureFixture
) -> None:
    inventory = Undone(node(), [0.0, 1.0, FIRST_WAIT_S, FIRST_WAIT_S + 1])
    for _ in range(2):
        assert await inventory.look() == ((), True)
    assert inventory.due_s == FIRST_WAIT_S
    assert caplog.messages == []
    for _ in range(2):
        nodes, waiting = await inventory.look()
        assert [each.name for each in nodes] == ["video0"]
        assert not waiting
    (said,) = caplog.messages
    assert said.startswith("udev has not finished with video0")
    assert inventory.doubts == (said,)


async def test_doctor_tells_what_to_do_when_udev_does_not_finish(node: Callable[..., DeviceNode]) -> None:
    overall, *_ = await DeviceCheck(V4l2TierSettings(), lambda: Undone(node(), [0.0])).look()
    assert overall.status is FindingStatus.WARNING
    assert "udev is still processing others" in overall.detail
    assert "check that udev runs" in overall.suggestion
    assert f"after {FIRST_WAIT_S:g} s" in overall.suggestion


async def test_the_roster_looks_when_the_wait_for_udev_is_over(
    watch: Callable[..., Any], node: Callable[..., DeviceNode]
) -> None:
    """Its own looks come ever less often."""
    async with watch(reconcile_s=3600) as bench:
        devices = bench.devices
        devices.waiting, devices.due_s = True, bench.clock.monotonic_s() + 100
        devices.tell(NodeChanges())
        await bench.clock.advance(99)
        looks = devices.looks
        devices.waiting, devices.due_s = False, None
        devices.plug(node(), told=False)
        await bench.clock.advance(2)
        assert devices.looks > looks
        await bench.report.until(("connected", "video0"))


async def test_the_socket_of_a_udev_that_has_ended_costs_a_wait_and_no_camera() -> None:
    unshare = ("unshare", "--net", "--mount")
    if (
        shutil.which("unshare") is None
        or (await anyio.run_process((*unshare, "true"), check=False)).returncode
    ):
        pytest.skip("no namespaces here")
    with anyio.fail_after(60):
        told = await anyio.run_process(
            (*unshare, sys.executable, Path(__file__).with_name("stale_udev.py")), stderr=None
        )
    lines = told.stdout.decode().splitlines()
    assert lines[:2] == ["first True", "later True"]
    assert "last null zero False" in lines
    assert any(line.startswith("log: udev has not finished with null") for line in lines)
