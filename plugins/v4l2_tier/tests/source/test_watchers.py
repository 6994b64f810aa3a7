"""Hotplug watchers, as far as they can be tested without a device."""

import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from agent_core.testing import SimulatedClock
from v4l2_tier.source.hotplug.choice import open_watcher
from v4l2_tier.source.hotplug.inotify import InotifyWatcher
from v4l2_tier.source.hotplug.polling import PollWatcher
from v4l2_tier.source.hotplug.watcher import NodeChanges
from v4l2_tier.source.inventory import Inventory, ListedNode


@pytest.fixture
def inotify(tmp_path: Path) -> Iterator[InotifyWatcher]:
    watcher = InotifyWatcher(tmp_path, lambda path: "cam" in path.name or path.name.startswith("video"))
    yield watcher
    watcher.close()


async def test_inotify_tells_of_video_nodes_only(inotify: InotifyWatcher, tmp_path: Path) -> None:
    (tmp_path / "sda").touch()
    (tmp_path / "video0").touch()
    with anyio.fail_after(10):
        assert await inotify.wait() == NodeChanges(touched_nodes=frozenset({tmp_path / "video0"}))
        (tmp_path / "sda").unlink()
        (tmp_path / "video0").unlink()
        assert await inotify.wait() == NodeChanges(removed_nodes=frozenset({tmp_path / "video0"}))


async def test_inotify_tells_of_any_name_also_in_folders(inotify: InotifyWatcher, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        (tmp_path / "webcam").touch()
        assert await inotify.wait() == NodeChanges(touched_nodes=frozenset({tmp_path / "webcam"}))
        (tmp_path / "v4l" / "by-id").mkdir(parents=True)
        (tmp_path / "v4l" / "by-id" / "usb-cam").touch()
        assert (await inotify.wait()).touched_nodes == {tmp_path / "v4l" / "by-id" / "usb-cam"}
        (tmp_path / "v4l" / "by-id" / "usb-cam").unlink()
        link = tmp_path / "v4l" / "by-id" / "usb-cam"
        while link not in (await inotify.wait()).removed_nodes:
            pass
        (tmp_path / "webcam").rename(tmp_path / "other")
        assert await inotify.wait() == NodeChanges(removed_nodes=frozenset({tmp_path / "webcam"}))


async def test_inotify_tells_of_changed_rights(inotify: InotifyWatcher, tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    with anyio.fail_after(10):
        await inotify.wait()
        (tmp_path / "video0").chmod(0o660)
        assert (await inotify.wait()).touched_nodes == {tmp_path / "video0"}


async def test_inotify_that_is_cancelled_loses_nothing(inotify: InotifyWatcher, tmp_path: Path) -> None:
    with anyio.move_on_after(0.01):
        await inotify.wait()
    (tmp_path / "video3").touch()
    with anyio.fail_after(10):
        assert (await inotify.wait()).touched_nodes == {tmp_path / "video3"}


def test_inotify_without_the_folder_says_so(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        InotifyWatcher(tmp_path / "none")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_polling_sees_what_came_went_and_was_exchanged(tmp_path: Path) -> None:
    folder, clock = tmp_path / "video4linux", SimulatedClock()
    (tmp_path / "dev").mkdir()
    watcher = PollWatcher(clock, folder, tmp_path / "dev")  # there is no such folder before the first device
    seen: list[NodeChanges] = []

    async def watch() -> None:
        while True:
            seen.append(await watcher.wait())

    async with anyio.create_task_group() as tg:
        tg.start_soon(watch)
        await clock.advance(10)
        assert seen == []
        (folder / "video0").mkdir(parents=True)
        await clock.advance(2)
        (folder / "other").mkdir()
        (folder / "video0").rmdir()
        (folder / "other").rename(
            folder / "video0"
        )  # sysfs gives each folder a new inode number; this disk may not
        await clock.advance(2)
        (folder / "video0").rmdir()
        await clock.advance(2)
        (tmp_path / "dev" / "webcam").touch()
        await clock.advance(2)
        tg.cancel_scope.cancel()
    assert [max(each.touched, default="") for each in seen] == ["video0"] * 3 + [""]


@pytest.mark.parametrize("kind", ["auto", "udev", "kernel", "inotify", "poll"])
async def test_each_way_can_be_waited_for_cancelled_and_closed(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "camera_agent.v4l2_tier")
    before = len(list(Path("/proc/self/fd").iterdir()))
    watcher = open_watcher(kind, SimulatedClock())  # type: ignore[arg-type]
    with anyio.move_on_after(0.05):
        await watcher.wait()
    watcher.close()
    (record,) = [each for each in caplog.records if "watching for devices by" in each.message]
    if kind not in ("auto", "poll"):
        assert kind in record.message
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # the event loop's


async def test_devices_without_a_node_are_left_out() -> None:
    """Like a device removed since it was listed; network devices never have a node."""
    assert any(Path("/sys/class/net").iterdir())
    assert await Inventory("net").look() == ((), False)


async def test_the_inventory_of_this_machine_can_be_taken() -> None:
    nodes, waiting = await Inventory().look()
    assert [node.number for node in nodes] == sorted(node.number for node in nodes)
    assert isinstance(waiting, bool)


class Locked(Inventory):
    """Inventory with a device that hangs in the kernel's probe."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()

    def list_now(self) -> tuple[list[ListedNode], frozenset[str]]:
        assert self.answers.wait(20)
        return super().list_now()


async def test_a_device_that_cannot_be_read_holds_up_nothing_else() -> None:
    inventory = Locked()
    with anyio.move_on_after(0.01) as given_up:
        await inventory.look()
    assert given_up.cancelled_caught
    async with anyio.create_task_group() as tg:
        tg.start_soon(inventory.look)
        await anyio.wait_all_tasks_blocked()
        inventory.answers.set()
