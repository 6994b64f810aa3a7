"""The index of stored media: the same lists as from the folders, whatever other programs do to the files."""

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import StorageFailed
from agent_core.base.inotify import Noticed
from agent_core.base.models import CameraId, PictureFormat
from agent_core.base.volumes import Volume
from agent_core.base.workers import WorkerPool
from agent_core.media.index import INDEX_FILE, IndexEntry, MediaIndex, Totals
from agent_core.media.index.database import VERSION
from agent_core.media.index.scan import ScanFailed, print_scan, scan
from agent_core.media.index.shelves import ROUND_S
from agent_core.snapshots.shelf import SnapshotShelf
from tests.media.indexed import AT, CAMERA, Library

HOUR_NS = 3600 * 10**9
#: More than a process scans itself, so that a child does.
MANY = 1500


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library.at(tmp_path)


def scattered(library: Library) -> None:
    """Write snapshots of three cameras: some at one time, others hours and years apart."""
    rng = Random(1)
    for number in range(60):
        camera = f"camera{number % 3}"
        library.put(f"{number:02d}.jpg", camera=camera)
        at_ns = 1_800_000_000 * 10**9 + rng.choice((0, 1, HOUR_NS - 1, HOUR_NS, 9000 * HOUR_NS)) * number
        at_ns = {5: -9000 * HOUR_NS, 7: 12_000_000_000 * 10**9}.get(number, at_ns if number % 4 else -1)
        os.utime(library.snapshots.root / camera / f"{number:02d}.jpg", ns=(0, at_ns))


async def test_every_page_is_that_of_the_folders(library: Library) -> None:
    scattered(library)
    for camera in (None, CAMERA):
        whole = tuple(await library.snapshots.all(camera))
        async with library.running():
            await library.settled()
            for offset in range(len(whole) + 2):
                page = await library.snapshots.page(camera, offset=offset, limit=7)
                assert page.items == whole[offset : offset + 7]
                assert page.total == len(whole)


async def test_recordings_are_listed_as_from_the_folders(library: Library) -> None:
    notes = [library.record(number, ended=number != 2) for number in range(5)]
    (library.recordings.root / "camera0" / "foreign").mkdir()
    (library.recordings.root / "camera0" / "camera0_2026-11-22_17-03-59Z").mkdir()
    async with library.running():
        await library.settled()
        page = await library.recordings.page(None, offset=1, limit=3)
        assert [each.stored.note.id for each in page.items] == [each.id for each in notes[3:0:-1]]
        assert page.total == 5
        assert await library.totals(library.recordings) == Totals(5, 25)


async def test_what_the_agent_writes_and_deletes_is_in_the_next_list(library: Library) -> None:
    async with library.running():
        await library.settled()
        names = [
            (await library.snapshots.save(CAMERA, None, b"12345", PictureFormat.JPG, AT)).name
            for _ in range(3)
        ]
        assert sorted(await library.names()) == sorted(names)
        await library.settled()
        await library.snapshots.delete(names[0])
        assert sorted(await library.names()) == sorted(names[1:])
        assert await library.totals(library.snapshots) == Totals(2, 10)
        note = library.record()
        assert (await library.recordings.page(None, offset=0, limit=1)).total == 1
        await library.settled()
        library.recordings.delete(await library.recordings.find(note.id))
        assert (await library.recordings.page(None, offset=0, limit=1)).total == 0


async def test_files_of_other_programs_come_and_go(library: Library) -> None:
    library.put("a.jpg", "b.jpg")
    async with library.running():
        await library.settled()
        library.put("c.jpg", "no picture.txt", ".hidden.jpg")
        (library.snapshots.root / "camera0" / "a.jpg").unlink()
        (library.snapshots.root / "camera0" / "b.jpg").rename(library.snapshots.root / "camera0" / "d.jpg")
        assert sorted(await library.names()) == ["camera0/c.jpg", "camera0/d.jpg"]
        assert await library.totals(library.snapshots) == Totals(2, 10)


async def test_a_name_that_is_not_utf_8_is_as_unlisted_as_without_the_index(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    library.put("a.jpg")
    async with library.running():
        await library.settled()
        library.put(os.fsdecode(b"\xff.jpg"), "b.jpg")
        assert sorted(await library.names()) == ["camera0/a.jpg", "camera0/b.jpg"]
        await library.until_totals(library.snapshots, Totals(2, 10))
        (library.snapshots.root / "camera0" / os.fsdecode(b"\xff.jpg")).unlink()
        assert (await library.page()).total == 2
    assert "is not UTF-8" in caplog.text


async def test_a_folder_from_a_year_that_sqlite_cannot_hold_is_indexed(library: Library) -> None:
    library.put("a.jpg")
    library.put(*(f"{number}.jpg" for number in range(MANY)), camera="camera1")
    for camera in ("camera0", "camera1"):  # the second is scanned by a child
        os.utime(library.snapshots.root / camera, ns=(0, 12_000_000_000 * 10**9))
    async with library.running():
        await library.settled()
        assert await library.totals(library.snapshots) == Totals(MANY + 1, 5 * (MANY + 1))


async def test_a_folder_that_is_deleted_takes_its_files_out_of_the_totals(library: Library) -> None:
    library.put(*(f"{number}.jpg" for number in range(MANY)))
    library.put("kept.jpg", camera="camera1")
    async with library.running():
        await library.settled()
        shutil.rmtree(library.snapshots.root / "camera0")
        assert await library.names() == ["camera1/kept.jpg"]
        await library.until_totals(library.snapshots, Totals(1, 5))


async def test_a_folder_that_is_moved_takes_its_files_along(library: Library) -> None:
    library.put("a.jpg", "b.jpg")
    async with library.running():
        await library.settled()
        (library.snapshots.root / "camera0").rename(library.snapshots.root / "camera5")
        assert sorted(await library.names()) == ["camera5/a.jpg", "camera5/b.jpg"]
        await library.settled()
        library.put("c.jpg", camera="camera5")
        assert sorted(await library.names()) == ["camera5/a.jpg", "camera5/b.jpg", "camera5/c.jpg"]
        await library.until_totals(library.snapshots, Totals(3, 15))


async def test_files_restored_with_their_old_times_are_where_these_belong(library: Library) -> None:
    library.put("new.jpg", "old.jpg")
    root = library.snapshots.root / "camera0"
    os.utime(root / "old.jpg", (1000, 1000))
    saved = library.folder / "saved"
    shutil.copytree(root, saved)
    async with library.running():
        await library.settled()
        for each in list(root.iterdir()):
            each.unlink()
        assert await library.names() == []
        for each in saved.iterdir():
            shutil.copy2(each, root)
        assert await library.names() == ["camera0/new.jpg", "camera0/old.jpg"]
        os.utime(root / "new.jpg", (500, 500))
        assert await library.names() == ["camera0/old.jpg", "camera0/new.jpg"]


async def test_after_a_queue_that_overflows_the_folders_are_scanned(library: Library) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip("this host's queue is too long to fill")
    library.put("a.jpg")
    root = library.snapshots.root / "camera0"
    async with library.running():
        await library.settled()
        for _ in range(limit // 2 + 1):  # nothing reads the queue meanwhile
            (root / "a.jpg").rename(root / "b.jpg")
            (root / "b.jpg").rename(root / "a.jpg")
        library.put("dropped.jpg")
        assert sorted(await library.names()) == ["camera0/a.jpg", "camera0/dropped.jpg"]
        await library.until_totals(library.snapshots, Totals(2, 10))


async def test_a_link_in_the_place_of_a_folder_is_not_followed(library: Library) -> None:
    library.put("a.jpg")
    async with library.running():
        await library.settled()
        (library.snapshots.root / "camera0").rename(library.folder / "elsewhere")
        (library.snapshots.root / "camera0").symlink_to(library.folder / "elsewhere")
        assert await library.names() == []
        await library.until_totals(library.snapshots, Totals())


# Runs after another.


async def test_the_next_run_finds_the_index_and_what_happened_meanwhile(library: Library) -> None:
    library.put("a.jpg")
    library.put("b.jpg", camera="camera1")
    async with library.running():
        await library.settled()
    library.put("c.jpg", camera="camera1")
    shutil.rmtree(library.snapshots.root / "camera0")
    again = Library.at(library.folder)
    async with again.running():
        await again.settled()
        assert await again.names() == ["camera1/c.jpg", "camera1/b.jpg"]
        assert await again.totals(again.snapshots) == Totals(2, 10)


def rewrite(path: Path, data: bytes) -> None:
    """Write over a file without a change of its time."""
    at_ns = path.stat().st_mtime_ns
    path.write_bytes(data)
    os.utime(path, ns=(at_ns, at_ns))


async def test_an_unchanged_folder_is_not_scanned_again(library: Library) -> None:
    library.put("a.jpg", "b.jpg")
    async with library.running():
        await library.settled()
    unchanged = (library.snapshots.root / "camera0").stat()
    rewrite(library.snapshots.root / "camera0" / "b.jpg", b"a change that only a scan would find")
    assert (library.snapshots.root / "camera0").stat().st_mtime_ns == unchanged.st_mtime_ns
    again = Library.at(library.folder)
    async with again.running():
        await again.settled()
        assert await again.totals(again.snapshots) == Totals(2, 10)


async def test_a_change_that_was_noticed_and_not_taken_over_is_found_by_the_next_run(
    library: Library,
) -> None:
    library.put("a.jpg")
    async with library.running():
        await library.settled()
        (library.snapshots.root / "camera0" / "a.jpg").write_bytes(b"does not change the folder's time")
    again = Library.at(library.folder)
    async with again.running():
        await again.settled()
        assert await again.totals(again.snapshots) == Totals(1, 33)


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def not_a_database(path: Path) -> None:
    path.write_text("not a database at all" * 1000)


def make_older(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE entries")
        database.execute(f"PRAGMA user_version = {VERSION - 1}")
    database.close()


def make_newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()


def link_it(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "change", [damage, not_a_database, make_older, make_newer, link_it, make_fifo, Path.unlink]
)
async def test_a_file_that_cannot_be_used_is_made_anew(library: Library, change: object) -> None:
    library.put("a.jpg", "b.jpg")
    async with library.running():
        await library.settled()
    assert callable(change)
    change(library.folder / INDEX_FILE)
    again = Library.at(library.folder)
    async with again.running():
        await again.settled()
        assert await again.totals(again.snapshots) == Totals(2, 10)
        assert len(await again.names()) == 2
    assert (library.folder / INDEX_FILE).stat().st_mode & 0o777 == 0o600
    assert not (library.folder / INDEX_FILE).is_symlink()


async def test_a_file_that_another_program_has_locked_is_made_anew(library: Library) -> None:
    library.put("a.jpg")
    async with library.running():
        await library.settled()
    with closing(sqlite3.connect(library.folder / INDEX_FILE)) as other:  # such as a backup
        other.execute("BEGIN EXCLUSIVE")
        again = Library.at(library.folder)
        async with again.running():
            await again.settled()
            assert await again.totals(again.snapshots) == Totals(1, 5)


async def test_a_file_that_a_crash_left_is_made_anew(library: Library) -> None:
    library.put("a.jpg")
    async with library.running():
        await library.settled()
        shutil.copy(library.folder / INDEX_FILE, library.folder / "crashed")
    (library.folder / "crashed").replace(library.folder / INDEX_FILE)
    (library.snapshots.root / "camera0" / "a.jpg").write_bytes(
        b"a change that the folder's time does not show"
    )
    again = Library.at(library.folder)
    async with again.running():
        await again.settled()
        assert await again.totals(again.snapshots) == Totals(1, 45)


# Disks that fail.


async def test_without_a_place_for_the_index_lists_come_from_the_folders(library: Library) -> None:
    (library.folder / INDEX_FILE).mkdir()
    library.put("a.jpg")
    async with library.running():
        assert await library.names() == ["camera0/a.jpg"]
        assert await library.snapshots.totals() is None
        assert not library.index.is_settled


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_in_a_read_only_state_folder_lists_come_from_the_folders(library: Library) -> None:
    library.put("a.jpg")
    library.folder.chmod(0o500)
    try:
        async with library.running():
            assert await library.names() == ["camera0/a.jpg"]
            assert await library.snapshots.totals() is None
    finally:
        library.folder.chmod(0o700)


class HastyClock(SystemClock):
    """Clock whose pauses are a hundredth of those asked for."""

    async def sleep(self, duration_s: float) -> None:
        await anyio.sleep(duration_s / 100)


@contextmanager
def mounted(point: Path, options: str) -> Iterator[Path]:
    """Yield a folder on a disk of its own."""
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "camera-agent-test", str(point)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root, and an environment that lets it")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 64 KiB."""
    with mounted(tmp_path / "small", "size=64k") as point:
        yield point


async def test_on_a_read_only_disk_lists_come_from_the_folders(tmp_path: Path) -> None:
    with mounted(tmp_path / "read-only", "ro") as state:
        library = Library.at(tmp_path, state=state)
        library.put("a.jpg")
        async with library.running():
            await library.until(lambda: not library.index.is_working)
            assert await library.names() == ["camera0/a.jpg"]
            assert await library.snapshots.totals() is None


async def test_an_index_whose_disk_was_full_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mounted(tmp_path / "state", "size=256k") as state:
        library = Library.at(tmp_path, state=state, clock=HastyClock())
        library.put("a.jpg")
        async with library.running():
            await library.settled()
            with suppress(OSError), (state / "ballast").open("wb", buffering=0) as ballast:
                while ballast.write(bytes(1024)):
                    pass
            library.put(*(f"{number:03d}.jpg" for number in range(200)))
            await library.until(lambda: "index of stored media cannot be used" in caplog.text)
            assert (await library.page()).total == 201
            (state / "ballast").unlink()
            await library.until_totals(library.snapshots, Totals(201, 5 * 201))


async def test_on_a_full_disk_lists_come_from_the_folders(
    tmp_path: Path, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = Library.at(tmp_path, state=small_disk)
    library.put(*(f"{number:04d}.jpg" for number in range(900)))
    async with library.running():
        await library.until(lambda: "index of stored media cannot be used" in caplog.text)
        assert (await library.page(limit=1000)).total == 900
        assert await library.snapshots.totals() is None


class Disk(Volume):
    """A disk that is there or not, as the test says."""

    is_there = True
    looks = 0

    def check(self) -> None:
        self.looks += 1
        if not self.is_there:
            raise StorageFailed("The disk is not mounted.", reason="disk_missing")


async def test_a_vanished_disk_deletes_nothing_and_is_said(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "snapshots")
    library = Library.at(tmp_path, volume=disk)
    library.put("a.jpg", "b.jpg")
    async with library.running():
        await library.settled()
        disk.is_there = False
        library.snapshots.root.rename(tmp_path / "pulled")
        with pytest.raises(StorageFailed) as caught:
            await library.names()
        assert caught.value.reason == "disk_missing"
        library.snapshots.root.mkdir()
        with pytest.raises(StorageFailed):
            await library.names()
        library.snapshots.root.rmdir()
        (tmp_path / "pulled").rename(library.snapshots.root)
        disk.is_there = True
        assert sorted(await library.names()) == ["camera0/a.jpg", "camera0/b.jpg"]
        await library.until_totals(library.snapshots, Totals(2, 10))


class FaultyDisk(Volume):
    """A disk whose next look has a fault that no code foresees, if the test says so."""

    has_fault = False

    def check(self) -> None:
        if self.has_fault:
            self.has_fault = False
            raise RuntimeError("a fault of the agent itself")


async def test_a_fault_of_the_index_itself_ends_neither_a_list_nor_the_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FaultyDisk(tmp_path / "snapshots")
    library = Library.at(tmp_path, clock=HastyClock(), volume=disk)
    library.put("a.jpg")
    async with library.running():
        await library.settled()
        disk.has_fault = True
        library.put("b.jpg")
        assert sorted(await library.names()) == ["camera0/a.jpg", "camera0/b.jpg"]
        await library.until_totals(library.snapshots, Totals(2, 10))
        disk.has_fault = True
        library.put("c.jpg")
        await library.until(lambda: not disk.has_fault)  # without any list
        await library.until_totals(library.snapshots, Totals(3, 15))
    assert "a fault of the agent itself" in caplog.text


async def test_a_disk_that_is_missing_at_the_start_keeps_its_entries(tmp_path: Path) -> None:
    library = Library.at(tmp_path)
    library.put("a.jpg")
    async with library.running():
        await library.settled()
    disk = Disk(tmp_path / "snapshots")
    disk.is_there = False
    library.snapshots.root.rename(tmp_path / "pulled")
    rewrite(tmp_path / "pulled" / "camera0" / "a.jpg", b"a change that only a scan would find")
    again = Library.at(tmp_path, clock=HastyClock(), volume=disk)
    async with again.running():
        with pytest.raises(StorageFailed):
            await again.names()
        library.snapshots.root.mkdir()
        looks = disk.looks
        await again.until(lambda: disk.looks > looks + 5)
        library.snapshots.root.rmdir()
        (tmp_path / "pulled").rename(again.snapshots.root)
        disk.is_there = True
        assert await again.names() == ["camera0/a.jpg"]
        await again.until_totals(again.snapshots, Totals(1, 5))


async def test_a_snapshot_of_the_agent_hides_no_change_from_before_the_watch(tmp_path: Path) -> None:
    library = Library.at(tmp_path)
    library.put("a.jpg")
    async with library.running():
        await library.settled()
    library.put("b.jpg")
    disk = Disk(tmp_path / "snapshots")
    disk.is_there = False
    again = Library.at(tmp_path, clock=HastyClock(), volume=disk)
    async with again.running():
        await again.until(lambda: again.index.database is not None)
        await again.snapshots.save(CAMERA, "c", b"12345", PictureFormat.JPG, AT)
        disk.is_there = True
        await again.settled()
        assert sorted(await again.names()) == ["camera0/a.jpg", "camera0/b.jpg", "camera0/c.jpg"]
        assert await again.totals(again.snapshots) == Totals(3, 15)


class Far:
    """Says that other machines change every folder."""

    asked = 0

    def is_local(self, folder: Path) -> bool:
        self.asked += 1
        return False


async def test_a_folder_that_other_machines_change_is_compared_and_not_watched(tmp_path: Path) -> None:
    far = Far()
    library = Library.at(tmp_path, clock=HastyClock(), is_local=far.is_local)
    library.put("a.jpg")
    async with library.running():
        await library.settled()
        assert far.asked == 2  # root and camera
        library.put("b.jpg")
        assert library.index.watches is not None
        assert library.index.watches.read() == Noticed({}, set(), overflowed=False)
        await library.until_totals(library.snapshots, Totals(2, 10))


# Scans and sweeps.


async def test_a_large_folder_is_scanned_by_a_child(library: Library) -> None:
    library.put(*(f"{number}.jpg" for number in range(MANY)))
    notes = [library.record(number) for number in range(3)]
    async with library.running():
        await library.settled()
        assert await library.totals(library.snapshots) == Totals(MANY, 5 * MANY)
        assert (await library.page(limit=1000)).items == tuple(await library.snapshots.all())[:1000]
        assert await library.totals(library.recordings) == Totals(len(notes), 15)


class DamagedShelf(SnapshotShelf):
    """A shelf on a disk with one bad block, which the test may mend."""

    is_damaged = True

    def look(self, camera: CameraId, file: str) -> IndexEntry | None:
        if self.is_damaged and file == "bad.jpg":
            raise OSError(errno.EIO, "a bad block")
        return super().look(camera, file)


async def test_one_unreadable_file_keeps_no_other_out_of_the_index(tmp_path: Path) -> None:
    (tmp_path / "camera0").mkdir()
    for name in ("a.jpg", "bad.jpg"):
        (tmp_path / "camera0" / name).write_bytes(b"12345")
    index, damaged = MediaIndex(tmp_path / INDEX_FILE, clock=HastyClock()), DamagedShelf(tmp_path)
    shelf = index.add(damaged, WorkerPool(1))
    async with anyio.create_task_group() as tasks:
        await tasks.start(index.run)
        await Library.until(lambda: index.is_settled)
        assert await shelf.page(None, offset=0, limit=9) == (((CAMERA, "a.jpg"),), 1)
        assert await shelf.totals() == Totals(1, 5)
        damaged.is_damaged = False
        with anyio.fail_after(30):
            while await shelf.totals() != Totals(2, 10):
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


def test_one_unreadable_file_ends_no_scan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "camera0").mkdir()
    for name in ("a.jpg", "bad.jpg"):
        (tmp_path / "camera0" / name).write_bytes(b"12345")
    print_scan(DamagedShelf(tmp_path), "camera0")
    _time, entries, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(each[0], each[-2:]) for each in entries] == [
        ("a.jpg", [True, False]),
        ("bad.jpg", [False, True]),
    ]
    assert end == "end"


async def take_none(value: object) -> None:
    pytest.fail(f"nothing was scanned, and yet there is {value}")


async def test_a_scan_for_which_no_process_can_be_started_has_failed() -> None:
    with pytest.raises(ScanFailed):
        await scan([sys.executable, "x" * (1 << 20)], CAMERA, take_none)  # longer than an argument may be


async def test_what_fails_with_the_result_of_a_scan_is_not_the_scan() -> None:
    async def take(value: object) -> None:
        raise FileNotFoundError(value)

    with pytest.raises(FileNotFoundError):
        await scan(["sh", "-c", "echo 12"], CAMERA, take)


async def test_totals_are_right_within_a_minute_of_what_inotify_cannot_see() -> None:
    assert ROUND_S <= 45


async def test_a_segment_that_is_deleted_leaves_the_totals_within_a_round(tmp_path: Path) -> None:
    library = Library.at(tmp_path, clock=HastyClock())
    note = library.record()
    folder = library.recordings.folder(note)
    (folder / "b.mp4").write_bytes(b"12345")
    async with library.running():
        await library.until_totals(library.recordings, Totals(1, 10))
        (folder / "b.mp4").unlink()
        await library.until_totals(library.recordings, Totals(1, 5))


async def test_a_snapshot_that_was_written_over_while_the_agent_was_stopped_is_found_within_a_round(
    library: Library,
) -> None:
    library.put("a.jpg", "b.jpg")
    root = library.snapshots.root / "camera0"
    os.utime(root / "b.jpg", (1000, 1000))
    async with library.running():
        await library.settled()
    (root / "b.jpg").write_bytes(b"a change that the folder's time does not show")
    os.utime(root / "a.jpg", (2000, 2000))
    again = Library.at(library.folder, clock=HastyClock())
    async with again.running():
        await again.until_totals(again.snapshots, Totals(2, 50))
        assert await again.names() == ["camera0/b.jpg", "camera0/a.jpg"]


async def test_doubts_in_short_succession_do_not_keep_the_sweep_from_the_last_files(tmp_path: Path) -> None:
    library = Library.at(tmp_path, clock=HastyClock(), is_local=lambda folder: folder.name == "snapshots")
    library.put(*(f"{number:03d}.jpg" for number in range(300)))
    changed = library.snapshots.root / "camera0" / "299.jpg"
    async with library.running():
        await library.settled()
        changed.write_bytes(b"123456")
        os.utime(changed, (1000, 1000))
        with anyio.fail_after(30):
            while await indexed_bytes(library) != 1501:  # more often than there is a slice
                (library.snapshots.root / "doubtful").mkdir()
                (library.snapshots.root / "doubtful").rmdir()
                await anyio.sleep(0.05)


async def indexed_bytes(library: Library) -> int | None:
    database = library.index.database
    return (await library.index.thread.run(database.totals, "snapshots")).size_bytes if database else None


async def test_a_copy_that_gets_its_note_last_is_listed_within_a_round(tmp_path: Path) -> None:
    library = Library.at(tmp_path, clock=HastyClock())
    note = library.record()
    saved = library.folder / "saved"
    library.recordings.folder(note).rename(saved)
    async with library.running():
        await library.settled()
        shutil.copytree(saved, library.recordings.folder(note), ignore=lambda *_: ["recording.json"])
        assert (await library.recordings.page(None, offset=0, limit=1)).total == 0
        shutil.copy(saved / "recording.json", library.recordings.folder(note))
        await library.until_totals(library.recordings, Totals(1, 5))


async def test_a_file_that_vanishes_while_it_is_listed_is_not_on_the_page(library: Library) -> None:
    library.put(*(f"{number}.jpg" for number in range(20)))
    async with library.running():
        await library.settled()
        with suppress(FileNotFoundError):
            for number in range(10):
                (library.snapshots.root / "camera0" / f"{number}.jpg").unlink()
        page = await library.page(limit=10)
        assert (len(page.items), page.total) == (10, 10)


async def test_a_first_file_that_is_told_while_the_folders_are_compared_is_kept(tmp_path: Path) -> None:
    class Late(Volume):
        """A volume on which a camera's first snapshot is stored right after its folders were read."""

        checks = 0

        def check(self) -> None:
            super().check()
            self.checks += 1
            if self.checks == 2:
                stores.put("a.jpg")
                indexed = stores.snapshots.media.indexed
                assert indexed is not None
                indexed.tell(CAMERA, "a.jpg")

    stores = Library.at(tmp_path, volume=Late(tmp_path / "snapshots", name="snapshots"))
    async with stores.running():
        await stores.settled()
        assert await stores.totals(stores.snapshots) == Totals(1, 5)
