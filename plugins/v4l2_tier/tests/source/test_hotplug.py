"""Events that never arrive, as in a container with a network of its own: noticed, told, and taken over."""

import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.testing import SimulatedClock
from v4l2_tier.source.hotplug.hearing import Hearing, Patience
from v4l2_tier.source.hotplug.reach import EventReach, event_reach
from v4l2_tier.source.hotplug.several import CheckedWatcher, SeveralWatchers
from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges

PATIENCE = Patience(grace_s=0.5, lost_s=10.0)
PLUG = NodeChanges(touched=frozenset({"video0"}))
UNPLUG = NodeChanges(removed=frozenset({"video0"}))
INITIAL_USERS = 0xEFFFFFFD


def test_what_events_tell_of_in_time_is_not_told_twice() -> None:
    for order in ("event first", "look first"):
        hearing = Hearing(PATIENCE)
        for step in (hearing.tell, None) if order == "event first" else (None, hearing.tell):
            if step is None:
                hearing.see(PLUG, {"video0"}, 0.1)
            else:
                step(PLUG, 0.2)
        assert (hearing.due_s, hearing.decide(100)) == (None, None)
        assert not hearing.is_silent


def test_what_no_event_tells_of_counts_after_the_grace_and_then_at_once() -> None:
    hearing = Hearing(PATIENCE)
    hearing.see(PLUG, {"video0"}, 1)
    assert (hearing.decide(1.4), hearing.decide(1.5)) == (None, PLUG)
    assert (hearing.is_silent, hearing.due_s) == (False, 11)
    assert hearing.decide(11) is None
    assert hearing.is_silent
    hearing.see(UNPLUG, {"video0"}, 20)
    assert hearing.decide(20) == NodeChanges(frozenset({"video0"}), frozenset({"video0"}))


def test_an_event_shows_that_they_arrive_again() -> None:
    hearing = Hearing(PATIENCE)
    hearing.see(PLUG, {"video0"}, 1)
    hearing.decide(20)
    assert hearing.is_silent
    hearing.tell(PLUG, 30)
    assert not hearing.is_silent


@pytest.mark.parametrize(
    "changes", [PLUG, NodeChanges(touched_nodes=frozenset({Path("/dev/webcam")})), NodeChanges()]
)
def test_nodes_that_are_no_new_device_have_no_event(changes: NodeChanges) -> None:
    hearing = Hearing(PATIENCE)
    hearing.see(changes, (), 1)
    assert hearing.decide(1.5) == changes
    assert (hearing.decide(100), hearing.is_silent) == (None, False)


def test_the_event_of_a_device_tells_of_its_node() -> None:
    """The lookout of nodes sees the same change; it must not end the device that comes next."""
    hearing = Hearing(PATIENCE)
    gone = NodeChanges(removed_nodes=frozenset({Path("/dev/video0")}))
    hearing.see(gone, (), 1)
    hearing.tell(UNPLUG, 1.1)
    hearing.see(gone, (), 1.2)
    assert (hearing.due_s, hearing.decide(100)) == (None, None)
    hearing.see(NodeChanges(removed_nodes=frozenset({Path("/dev/webcam")})), (), 1.3)
    assert hearing.decide(1.8) == NodeChanges(removed_nodes=frozenset({Path("/dev/webcam")}))


class Scripted(HotplugWatcher):
    """Watcher that tells what a test says."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[NodeChanges](9)
        self.closed = False

    def tell(self, changes: NodeChanges) -> None:
        self._send.send_nowait(changes)

    async def wait(self) -> NodeChanges:
        return await self._receive.receive()

    def close(self) -> None:
        self.closed = True
        self._send.close()
        self._receive.close()


class Checked:
    """`CheckedWatcher` over scripted ones, and what it has told."""

    def __init__(self) -> None:
        self.clock, self.events, self.nodes = SimulatedClock(), Scripted(), Scripted()
        self.devices: frozenset[tuple[str, int]] = frozenset()
        self.told: list[NodeChanges] = []
        self.watcher = CheckedWatcher(
            "udev", self.events, self.nodes, lambda: self.devices, PATIENCE, self.clock
        )

    async def collect(self) -> None:
        while True:
            self.told.append(await self.watcher.wait())


Checking = Callable[[], AsyncIterator[Checked]]


@asynccontextmanager
async def checked() -> AsyncIterator[Checked]:
    bench = Checked()
    async with anyio.create_task_group() as tg:
        tg.start_soon(bench.collect)
        await anyio.wait_all_tasks_blocked()
        yield bench
        tg.cancel_scope.cancel()
    bench.watcher.close()
    assert (bench.events.closed, bench.nodes.closed) == (True, True)


async def test_a_silent_socket_is_told_and_the_look_takes_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "camera_agent.v4l2_tier")
    async with checked() as bench:
        bench.devices = frozenset({("video0", 7)})
        bench.nodes.tell(PLUG)
        await bench.clock.advance(1)
        assert bench.told == [PLUG]
        await bench.clock.advance(10)
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "without a udev event" in record.message
        bench.devices = frozenset({("video0", 8)})
        bench.nodes.tell(NodeChanges())
        await anyio.wait_all_tasks_blocked()
        assert bench.told == [PLUG, PLUG]
        bench.events.tell(UNPLUG)
        await anyio.wait_all_tasks_blocked()
        assert bench.told[-1] == UNPLUG
        assert "again" in caplog.records[-1].message


async def test_a_socket_that_tells_is_believed(caplog: pytest.LogCaptureFixture) -> None:
    async with checked() as bench:
        bench.devices = frozenset({("video0", 7)})
        bench.nodes.tell(PLUG)
        await bench.clock.advance(0.4)
        assert bench.told == []
        bench.events.tell(PLUG)
        await bench.clock.advance(100)
        assert bench.told == [PLUG]
    assert not caplog.records


async def test_a_device_that_goes_after_its_node_is_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    async with checked() as bench:
        bench.devices = frozenset({("video0", 7)})
        bench.events.tell(PLUG)
        await bench.clock.advance(100)
        bench.nodes.tell(UNPLUG)  # sysfs still has the device
        await anyio.wait_all_tasks_blocked()
        bench.devices = frozenset()
        bench.events.tell(UNPLUG)
        await bench.clock.advance(100)
        bench.nodes.tell(NodeChanges(touched_nodes=frozenset({Path("/dev/webcam")})))
        await bench.clock.advance(100)
    assert not caplog.records


async def test_watchers_beside_each_other_tell_what_any_of_them_tells() -> None:
    first, second = Scripted(), Scripted()
    both = SeveralWatchers(first, second)
    first.tell(PLUG)
    second.tell(UNPLUG)
    found: list[NodeChanges] = []
    with anyio.fail_after(5):
        while not any(each.removed for each in found) or not any(each.touched for each in found):
            found.append(await both.wait())
    both.close()
    assert first.closed
    assert second.closed


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("kind", ["several", "checked"])
async def test_a_cancellation_in_any_turn_of_the_event_loop_loses_nothing(kind: str, turns: int) -> None:
    source: Scripted
    watcher: HotplugWatcher
    if kind == "checked":
        bench = Checked()
        watcher, source = bench.watcher, bench.events
    else:
        source = Scripted()
        watcher = SeveralWatchers(source, Scripted())
    found: list[NodeChanges] = []

    async def once() -> None:
        found.append(await watcher.wait())

    async with anyio.create_task_group() as tg:
        tg.start_soon(once)
        await anyio.wait_all_tasks_blocked()
        source.tell(UNPLUG)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        tg.cancel_scope.cancel()
    source.tell(PLUG)
    with anyio.fail_after(5):
        while not any(each.touched for each in found):
            await once()
    watcher.close()
    assert any(each.removed for each in found)


def unix_table(folder: Path, *paths: str) -> None:
    (folder / "net").mkdir()
    lines = ["Num       RefCount Protocol Flags    Type St Inode Path"]
    lines += [
        f"0000000000000000: 00000002 00000000 00010000 0005 01 {index} {path}"
        for index, path in enumerate(paths)
    ]
    (folder / "net" / "unix").write_text("\n".join([*lines, ""]))


def test_udev_that_has_no_socket_in_this_network_does_not_reach_it(tmp_path: Path) -> None:
    unix_table(tmp_path, "/run/systemd/notify", "")
    assert event_reach(tmp_path) == EventReach(udev=False, kernel=None)


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert event_reach(tmp_path) == EventReach(udev=None, kernel=None)


def test_udev_in_this_network_is_not_trusted_in_another_user_namespace(tmp_path: Path) -> None:
    unix_table(tmp_path, "/run/udev/control")
    assert event_reach(tmp_path).udev is None


@pytest.mark.skipif(
    Path("/proc/self/ns/user").stat().st_ino != INITIAL_USERS, reason="this is a user namespace of its own"
)
def test_udev_in_this_network_and_the_first_user_namespace_reaches_it(tmp_path: Path) -> None:
    unix_table(tmp_path, "/run/udev/control")
    (tmp_path / "ns").symlink_to("/proc/self/ns")
    assert event_reach(tmp_path).udev is True


def test_nothing_is_said_where_events_arrive_or_may() -> None:
    for udev, kernel in ((True, True), (True, False), (None, None), (None, True)):
        assert EventReach(udev, kernel).doubt == ""


async def in_namespaces(*argv: str | Path, users: bool = False) -> str | None:
    """Return the output of a program in namespaces of its own, None if this system allows none."""
    unshare = ("unshare", "--net", "--mount", *(("--user", "--map-root-user") if users else ()))
    if (
        shutil.which("unshare") is None
        or (await anyio.run_process((*unshare, "true"), check=False)).returncode
    ):
        return None
    return (await anyio.run_process((*unshare, *argv), stderr=None)).stdout.decode()


async def test_the_kernels_events_do_not_reach_another_user_namespace() -> None:
    program = (
        "from v4l2_tier.source.hotplug.reach import event_reach; print(event_reach(), event_reach().doubt)"
    )
    told = await in_namespaces(sys.executable, "-c", program, users=True)
    if told is None:
        pytest.skip("no user namespaces here")
    assert told.startswith("EventReach(udev=False, kernel=False)")
    assert "The kernel's events do not arrive" in told


async def test_a_container_with_udevs_folder_notices_nodes_of_any_name(tmp_path: Path) -> None:
    """With real namespaces and real nodes; udev's socket is that of another network namespace."""
    (tmp_path / "udev").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.bind(str(tmp_path / "udev" / "control"))
        made = await in_namespaces("mknod", tmp_path / "node", "c", "81", "255")
        if made is None:
            pytest.skip("needs root, and device nodes")
        with anyio.fail_after(60):
            told = await in_namespaces(
                sys.executable, Path(__file__).with_name("in_container.py"), tmp_path / "udev"
            )
    assert told is not None
    lines = told.splitlines()
    assert lines[0].startswith("log: udev's folder is here, but its events are not")
    assert "touched webcam" in lines
    assert "removed webcam" in lines
    assert any(line.startswith("doctor: udev's folder is here") for line in lines)
