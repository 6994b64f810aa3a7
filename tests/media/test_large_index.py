"""The index of large folders: lists wait for it or come from it while it lags behind, and rounds stay cheap."""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.inotify import Noticed
from agent_core.base.listing import Lister
from agent_core.base.models import CameraId
from agent_core.base.workers import WorkerPool
from agent_core.media.index import INDEX_FILE, IndexedLister, IndexEntry, MediaIndex, Totals
from agent_core.media.index.database import IndexDatabase
from agent_core.media.index.folders import LARGE, is_large
from agent_core.media.index.notices import MANY, Notices, WatchedFolder, WatchedFolders
from agent_core.media.index.sweep import SLICE, Round, stale
from agent_core.recordings.shelf import RecordingShelf
from agent_core.snapshots.shelf import SnapshotShelf

CAMERA = CameraId("camera0")
COUNT = LARGE + 100
WATCHED = WatchedFolders(WatchedFolder(1, (1, 1)), {CAMERA: WatchedFolder(2, (1, 2))})


class HastyClock(SystemClock):
    """Clock whose pauses are a hundredth of those asked for."""

    async def sleep(self, duration_s: float) -> None:
        await anyio.sleep(duration_s / 100)


class Slow(SnapshotShelf):
    """Shelf whose scanning child first runs `program` of a shell."""

    program = ":"

    @property
    def scanner(self) -> Sequence[str]:
        return ("sh", "-c", f'{self.program}; exec "$@"', "sh", *super().scanner)


class Shop:
    """A list of files with a running index; `readings` counts those of the folders."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "snapshots"
        self.shelf = Slow(self.root)
        self.readings = 0
        self.index = MediaIndex(folder / INDEX_FILE, clock=HastyClock())
        thread = WorkerPool(1)
        self.indexed = self.index.add(self.shelf, thread)
        folders = Lister(self._scan, lambda entries: [each.split("/")[1] for each in entries], thread=thread)
        self.lister = IndexedLister(self.indexed, folders, self._existing, thread=thread)

    def _scan(self, _camera: CameraId | None) -> list[str]:
        self.readings += 1
        return sorted(f"{each.parent.name}/{each.name}" for each in self.root.glob("camera*/*"))

    def _existing(self, files: Sequence[tuple[CameraId, str]]) -> list[str]:
        return [file for camera, file in files if (self.root / camera / file).exists()]

    def put(self, *names: str, camera: str = "camera0") -> None:
        (self.root / camera).mkdir(parents=True, exist_ok=True)
        for each in names:
            (self.root / camera / each).write_bytes(b"12345")

    async def total(self) -> int:
        return (await self.lister.page(None, offset=0, limit=10)).total

    async def until(self, total: int) -> None:
        with anyio.fail_after(30):
            while await self.total() != total:
                await anyio.sleep(0.01)

    async def settled(self) -> None:
        with anyio.fail_after(30):
            while not self.index.is_settled:
                await anyio.sleep(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.index.run)
            yield
            tasks.cancel_scope.cancel()


def names(count: int = COUNT) -> list[str]:
    return [f"{number:05d}.jpg" for number in range(count)]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.put(*names())
    return shop


async def test_a_list_of_a_large_folder_waits_for_the_first_scan(shop: Shop) -> None:
    shop.shelf.program = "sleep 0.5"
    async with shop.running():
        assert await shop.total() == COUNT
    assert shop.readings == 0


async def test_a_list_of_a_small_folder_waits_for_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.put(*names(1500))  # a child scans them
    shop.shelf.program = "sleep 0.5"
    async with shop.running():
        assert await shop.total() == 1500
        assert shop.readings == 1


async def test_while_a_large_folder_is_scanned_again_its_list_comes_from_the_index(shop: Shop) -> None:
    async with shop.running():
        await shop.settled()
        shop.shelf.program = "sleep 0.5"
        (shop.root / "camera1").mkdir()  # a new folder is compared, and a doubt makes the index unsettled
        shop.put(*names(1500), camera="camera1")
        shop.indexed.tell(CAMERA, "told.jpg")
        shop.put("told.jpg")
        await shop.until(COUNT + 1501)
    assert shop.readings == 0


async def test_a_large_folder_that_is_moved_or_deleted_is_right_in_the_end(shop: Shop) -> None:
    async with shop.running():
        await shop.settled()
        (shop.root / "camera0").rename(shop.root / "camera5")
        await shop.until(COUNT)
        await shop.settled()
        assert await shop.indexed.totals(CameraId("camera5")) == Totals(COUNT, 5 * COUNT)
        shutil.rmtree(shop.root / "camera5")
        await shop.until(0)


async def test_a_scan_whose_child_is_killed_is_done_again(shop: Shop, tmp_path: Path) -> None:
    shop.shelf.program = f"[ -e {tmp_path}/killed ] || {{ touch {tmp_path}/killed; kill -9 $$; }}"
    async with shop.running():
        assert await shop.total() == COUNT
    assert (tmp_path / "killed").exists()
    assert shop.readings == 0


async def test_for_an_index_that_has_failed_no_list_waits(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / INDEX_FILE).mkdir()
    async with shop.running():
        assert await shop.total() == COUNT
    assert shop.readings == 1


async def test_a_list_that_waits_for_an_index_that_ends_is_read_from_the_folders(shop: Shop) -> None:
    shop.shelf.program = "sleep 60"
    totals: list[int] = []

    async def ask() -> None:
        totals.append(await shop.total())

    async with anyio.create_task_group() as tasks:
        async with shop.running():
            tasks.start_soon(ask)
            with anyio.fail_after(30):
                while shop.index.database is None:
                    await anyio.sleep(0.01)
            await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(30):
            while not totals:
                await anyio.sleep(0.01)
    assert (totals, shop.readings) == ([COUNT], 1)


async def test_an_index_file_that_is_deleted_while_it_is_used_is_made_anew_by_the_next_run(
    shop: Shop, tmp_path: Path
) -> None:
    async with shop.running():
        await shop.settled()
        (tmp_path / INDEX_FILE).unlink()
        shop.put("new.jpg")
        await shop.until(COUNT + 1)
    again = Shop(tmp_path)
    async with again.running():
        await again.until(COUNT + 1)
        await again.settled()
    assert (shop.readings, again.readings) == (0, 0)


def test_folders_are_counted_no_further_than_they_must(tmp_path: Path) -> None:
    assert not is_large(tmp_path / "missing")
    for camera in ("camera0", "camera1"):
        (tmp_path / camera).mkdir()
    for number in range(LARGE - 1):
        (tmp_path / f"camera{number % 2}" / str(number)).touch()
    assert not is_large(tmp_path)
    (tmp_path / "camera0" / "one more").touch()
    assert is_large(tmp_path)


# Rounds.


def database(tmp_path: Path, *, opened: str = "00003.jpg") -> IndexDatabase:
    made = IndexDatabase(tmp_path / INDEX_FILE)
    files = names(SLICE + 10)
    entries = [IndexEntry(each, each, 1, 5, 1, is_open=each == opened) for each in files]
    made.put("snapshots", CAMERA, files, entries)
    made.put("recordings", CAMERA, files, entries)
    return made


def looked_at(turn: Round, index: IndexDatabase, folders: WatchedFolders) -> int:
    """Return the number of entries that one round looks at."""
    turn.begin(folders)
    found = 0
    while True:
        entries = turn.next(index)
        found += len(entries)
        if turn.passed(entries, folders):
            return found


def test_after_a_whole_round_watched_snapshots_are_left_to_inotify(tmp_path: Path) -> None:
    index, turn = database(tmp_path), Round(SnapshotShelf(tmp_path))
    assert [looked_at(turn, index, WATCHED) for _ in range(3)] == [SLICE + 10, 1, 1]
    other = WatchedFolders(WATCHED.root, {CAMERA: WatchedFolder(3, (1, 3))})
    assert [looked_at(turn, index, other) for _ in range(2)] == [SLICE + 10, 1]
    unwatched = WatchedFolders(WATCHED.root, {CAMERA: WatchedFolder(None, (1, 3))})
    assert [looked_at(turn, index, unwatched) for _ in range(2)] == [SLICE + 10] * 2
    index.close()


def test_recordings_are_looked_at_in_every_round(tmp_path: Path) -> None:
    index, turn = database(tmp_path), Round(RecordingShelf(tmp_path))
    assert [looked_at(turn, index, WATCHED) for _ in range(2)] == [SLICE + 10] * 2
    index.close()


def test_a_round_with_other_folders_at_its_end_does_not_count(tmp_path: Path) -> None:
    index, turn = database(tmp_path), Round(SnapshotShelf(tmp_path))
    turn.begin(WATCHED)
    turn.passed(turn.next(index), WATCHED)
    turn.passed(turn.next(index), WatchedFolders(WATCHED.root, {}))
    assert looked_at(turn, index, WATCHED) == SLICE + 10
    index.close()


def test_an_interrupted_round_goes_on_where_it_was(tmp_path: Path) -> None:
    index, turn = database(tmp_path), Round(SnapshotShelf(tmp_path))
    turn.begin(WATCHED)
    assert not turn.passed(turn.next(index), WATCHED)
    assert looked_at(turn, index, WATCHED) == 10
    index.close()


def test_stale_are_the_changed_the_gone_and_the_open(tmp_path: Path) -> None:
    (tmp_path / "camera0").mkdir()
    (tmp_path / "camera1").symlink_to("camera0")
    for name in ("same", "changed", "open"):
        (tmp_path / "camera0" / name).touch()
        os.utime(tmp_path / "camera0" / name, ns=(0, 7))
    entries = [
        (CAMERA, "changed", 6, False),
        (CAMERA, "gone", 7, False),
        (CAMERA, "open", 7, True),
        (CAMERA, "same", 7, False),
        (CameraId("camera1"), "same", 7, False),
        (CameraId("camera2"), "same", 7, False),
    ]
    found = [(camera, file) for camera, file in stale(tmp_path, entries)]
    assert found == [
        ("camera0", "changed"),
        ("camera0", "gone"),
        ("camera0", "open"),
        ("camera1", "same"),
        ("camera2", "same"),
    ]


# Notices.


def test_what_the_agent_tells_is_taken_over_also_while_the_folder_waits_for_its_scan() -> None:
    notices = Notices()
    notices.install(WATCHED)
    notices.dirty.add(CAMERA)
    notices.tell(CAMERA, "told.jpg")
    notices.notice(Noticed({2: {"noticed.jpg"}}, set(), overflowed=False))
    assert notices.next() == (CAMERA, {"told.jpg"})
    assert notices.dirty == {CAMERA}


def test_ten_thousand_deletions_are_taken_over_one_by_one_and_many_more_by_a_scan() -> None:
    notices = Notices()
    notices.install(WATCHED)
    for name in names(10_000):
        notices.tell(CAMERA, name)
    notices.notice(Noticed({2: set(names(10_000))}, set(), overflowed=False))
    assert not notices.dirty
    notices.notice(Noticed({2: set(names(MANY + 1))}, set(), overflowed=False))
    assert notices.dirty == {CAMERA}
