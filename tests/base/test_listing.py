"""Lists of stored media: one thread, one reading for concurrent requests, and no more read than is shown."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import anyio
import pytest

from agent_core.base.listing import Lister, newest_first
from agent_core.base.models import CameraId


@dataclass
class Folder:
    """A hundred files; counts what is read, and how much of it at once."""

    scans: int = 0
    loaded: list[int] = field(default_factory=list)
    running: int = 0
    most: int = 0
    go: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()

    def scan(self, camera: CameraId | None) -> list[int]:
        with self._lock:
            self.scans += 1
            self.running += 1
            self.most = max(self.most, self.running)
        self.go.wait()
        with self._lock:
            self.running -= 1
        return list(range(100))

    def load(self, entries: Sequence[int]) -> list[str]:
        self.loaded += entries
        return [str(each) for each in entries if each != 13]

    async def begun(self) -> None:
        with anyio.fail_after(20):
            while not self.running:
                await anyio.sleep(0.002)


async def test_a_page_loads_only_what_it_shows() -> None:
    with Folder() as folder:
        folder.go.set()
        lister = Lister(folder.scan, folder.load)
        page = await lister.page(None, offset=10, limit=5)
        assert (page.items, page.total) == (("10", "11", "12", "14"), 100)
        assert folder.loaded == [10, 11, 12, 13, 14]
        assert (await lister.page(None, offset=10**30, limit=5)).items == ()
        assert len(await lister.all(None)) == 99


async def test_any_number_at_once_need_two_readings_and_one_thread() -> None:
    with Folder() as folder:
        lister = Lister(folder.scan, folder.load)
        pages = []

        async def ask(offset: int) -> None:
            pages.append((await lister.page(None, offset=offset, limit=1)).items)

        with anyio.fail_after(40):
            async with anyio.create_task_group() as tg:
                for offset in range(20, 84):
                    tg.start_soon(ask, offset)
                await folder.begun()
                await anyio.wait_all_tasks_blocked()
                folder.go.set()
    assert sorted(pages) == [(str(offset),) for offset in range(20, 84)]
    assert folder.scans <= 2
    assert folder.most == 1


async def test_lists_of_different_cameras_take_turns() -> None:
    with Folder() as folder:
        lister = Lister(folder.scan, folder.load)
        with anyio.fail_after(40):
            async with anyio.create_task_group() as tg:
                for number in range(10):
                    tg.start_soon(lister.all, CameraId(f"camera{number}"))
                await folder.begun()
                await anyio.wait_all_tasks_blocked()
                folder.go.set()
    assert (folder.scans, folder.most) == (10, 1)


async def test_clients_that_leave_a_hanging_disk_take_no_more_than_its_thread() -> None:
    with Folder() as folder:
        lister = Lister(folder.scan, folder.load)
        for _ in range(10):
            with anyio.move_on_after(0.02):
                await lister.page(None, offset=0, limit=1)
        assert folder.scans == 1
        folder.go.set()
        with anyio.fail_after(20):
            assert (await lister.page(None, offset=0, limit=1)).total == 100


@pytest.mark.parametrize("count", [0, 1, 4096, 4097, 20_000])
def test_newest_first_is_the_falling_order(count: int) -> None:
    entries = [(random.Random(number).randrange(1000), f"camera0/{number}") for number in range(count)]
    assert newest_first(iter(entries)) == sorted(entries, reverse=True)


async def test_of_a_whole_list_only_what_is_kept_needs_memory() -> None:
    steps: list[int] = []

    def load(entries: Sequence[int]) -> list[int]:
        steps.append(len(entries))
        return list(entries)

    lister = Lister(lambda _camera: range(10_000), load)
    assert await lister.all(None, lambda item: item % 1000 == 0) == list(range(0, 10_000, 1000))
    assert max(steps) < 1000
    assert await lister.all(None) == list(range(10_000))
