"""Recordings and snapshots that go, those that stay, and the clock by which that is decided."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.models import CameraId
from agent_core.media.retention import Freed, Limits
from agent_core.recordings.clock_trust import CLOCK_FILE, STEADY_S
from agent_core.recordings.models import StoredRecording
from agent_core.recordings.retention import PAUSE_S, WATCH_S, contradiction
from agent_core.recordings.store import RecordingStore
from tests.media.files import half_second_parts
from tests.media.indexed import Library
from tests.media.kept import NOW, Kept, unindexed

DAYS, HOURS = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(params=["index", "folders"])
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Library]:
    """Stores with an index, or without one."""
    if request.param == "folders":
        yield unindexed(tmp_path)
        return
    library = Library.at(tmp_path)
    async with library.running():
        await library.settled()
        yield library


def by_age(library: Library, days: float, **limits: int) -> Kept:
    return Kept(library, recordings=Limits(max_age_s=days * 86_400, **limits))


# Each limit.


async def test_nothing_goes_where_nothing_is_configured(library: Library) -> None:
    kept = Kept(library)
    kept.record("camera0", 900 * DAYS)
    assert await kept.clean() == 0


async def test_recordings_that_are_too_old_go(library: Library) -> None:
    kept = by_age(library, 7)
    kept.record("camera0", 8 * DAYS)
    kept.record("camera1", 9 * DAYS)
    stays = kept.record("camera0", 6 * DAYS)
    assert await kept.clean_all() == Freed(2, 10)
    assert await kept.recorded() == {stays}


async def test_a_recording_is_kept_for_exactly_its_age(library: Library) -> None:
    kept = by_age(library, 7)
    stays = kept.record("camera0", 7 * DAYS)
    kept.record("camera1", 7 * DAYS + timedelta(seconds=1))
    kept.record("camera1", HOURS)
    assert await kept.clean() == 1
    assert stays in await kept.recorded()


async def test_snapshots_that_are_too_old_go(library: Library) -> None:
    kept = Kept(library, snapshots=Limits(max_age_s=7 * 86_400))
    kept.shoot("camera0", 8 * DAYS)
    stays = kept.shoot("camera0", 6 * DAYS)
    recording = kept.record("camera0", 8 * DAYS)
    kept.record("camera0", HOURS)
    assert await kept.clean_all() == Freed(1, 5)
    assert (await kept.shot(), recording in await kept.recorded()) == ({stays}, True)


async def test_the_number_is_counted_for_each_camera_and_each_kind(library: Library) -> None:
    kept = Kept(library, recordings=Limits(max_count=2), snapshots=Limits(max_count=1))
    names = [kept.record("camera0", hours * HOURS) for hours in (4, 3, 2, 1)]
    other = kept.record("camera1", 9 * HOURS)
    shots = [kept.shoot(camera, hours * HOURS) for hours in (2, 1) for camera in ("camera0", "camera1")]
    assert await kept.clean() == 4
    assert await kept.recorded() == {*names[2:], other}
    assert await kept.shot() == set(shots[2:])


async def test_the_oldest_go_until_the_size_is_right_and_no_more(library: Library) -> None:
    kept = Kept(library, recordings=Limits(max_bytes=25), snapshots=Limits(max_bytes=10))
    names = [kept.record(f"camera{hours % 2}", hours * HOURS, size_bytes=10) for hours in (4, 3, 2, 1)]
    shots = [kept.shoot("camera0", hours * HOURS) for hours in (3, 2, 1)]
    assert await kept.clean_all() == Freed(3, 25)
    assert await kept.recorded() == set(names[2:])
    assert await kept.shot() == set(shots[1:])
    assert await kept.clean_all() == Freed()


async def test_a_size_for_all_media_takes_the_oldest_of_both_kinds(library: Library) -> None:
    kept = Kept(library)
    for hours in (8, 6):
        kept.record("camera0", hours * HOURS, size_bytes=10_000)
    recording = kept.record("camera0", 2 * HOURS, size_bytes=10_000)
    kept.shoot("camera0", 7 * HOURS, size_bytes=10_000)
    shot = kept.shoot("camera0", 1 * HOURS, size_bytes=10_000)
    await kept.policy("size", max_size_gb=25_000 / 1e9)
    assert await kept.clean() == 3
    assert (await kept.recorded(), await kept.shot()) == ({recording}, {shot})


async def test_one_larger_than_the_limit_goes_once_it_has_ended(library: Library) -> None:
    """A limit that one recording exceeds leaves none: the disk is not the agent's alone."""
    kept = Kept(library, recordings=Limits(max_bytes=100))
    name = kept.record("camera0", HOURS, ended=False, size_bytes=200)
    old = kept.record("camera0", 2 * HOURS)
    assert await kept.clean() == 1
    assert await kept.recorded() == {name}
    stored = await kept.recordings.find(name)
    kept.recordings.save(stored.note.model_copy(update={"ended_at": NOW}))
    assert await kept.clean() == 1
    assert old not in await kept.recorded()


# Files that stay.


async def test_one_that_never_ended_stays_and_is_not_counted(library: Library) -> None:
    kept = Kept(library, recordings=Limits(max_count=1))
    unended = kept.record("camera0", 4 * HOURS, ended=False)
    old, stays = kept.record("camera0", 5 * HOURS), kept.record("camera0", 3 * HOURS)
    assert await kept.clean() == 1
    assert await kept.recorded() == {unended, stays}
    assert old not in await kept.recorded()


@pytest.mark.parametrize("limits", [Limits(max_age_s=86_400.0), Limits(max_count=1), Limits(max_bytes=5)])
async def test_the_recording_under_way_stays_whatever_its_note_says(library: Library, limits: Limits) -> None:
    kept = Kept(library, recordings=limits)
    used = kept.record("camera0", 9 * DAYS)
    old = kept.record("camera1", 9 * DAYS)
    kept.record("camera0", HOURS)
    kept.record("camera1", HOURS)
    kept.under_way.notes["camera0"] = (await kept.recordings.find(used)).note
    await kept.clean()
    assert used in await kept.recorded()
    assert old not in await kept.recorded()


@pytest.mark.parametrize("wanted", ["{id}", "{id}.mp4", "{id}/2026-11-22_00-00-00-000000.mp4"])
async def test_a_recording_that_is_downloaded_stays_until_the_download_ends(
    library: Library, wanted: str
) -> None:
    kept = Kept(library, recordings=Limits(max_count=1))
    used, old = kept.record("camera0", 3 * HOURS), kept.record("camera0", 2 * HOURS)
    stays = kept.record("camera0", HOURS)
    (segment,) = (await kept.recordings.find(used)).segments
    await half_second_parts(segment.path, duration_s=1)
    _, opened = kept.downloads.open("recordings", wanted.format(id=used))
    with opened:
        await kept.clean()
        assert await kept.recorded() == {used, stays}
        assert opened.read(0, 10)
    assert await kept.clean() == 1
    assert await kept.recorded() == {stays}
    assert old not in await kept.recorded()


async def test_a_snapshot_that_is_downloaded_stays_and_no_newer_one_goes_in_its_place(
    library: Library,
) -> None:
    kept = Kept(library, snapshots=Limits(max_bytes=10))
    used, second, third = (kept.shoot("camera0", hours * HOURS) for hours in (3, 2, 1))
    _, opened = kept.downloads.open("snapshots", used)
    with opened:
        assert await kept.clean() == 0
    assert await kept.clean() == 1
    assert await kept.shot() == {second, third}


async def test_a_snapshot_that_is_being_written_stays(library: Library) -> None:
    kept = Kept(library, snapshots=Limits(max_count=1, max_bytes=5))
    stays = kept.shoot("camera0", timedelta())
    partial = kept.snapshots.root / "camera0" / ".partial-abc"
    partial.write_bytes(b"half of a picture")
    os.utime(partial, (0, 0))
    kept.shoot("camera0", HOURS)
    assert await kept.clean() == 1
    assert (await kept.shot(), partial.exists()) == ({stays}, True)


async def test_only_our_files_are_deleted(library: Library, tmp_path: Path) -> None:
    kept = Kept(library, recordings=Limits(max_count=1), snapshots=Limits(max_count=1))
    old, stays = kept.record("camera0", 9 * DAYS), kept.record("camera0", DAYS)
    for hours in (2, 1):
        kept.shoot("camera0", hours * HOURS)
    theirs = kept.recordings.root / "camera0" / old / "notes.txt"
    outside = tmp_path / "outside.jpg"
    for path in (theirs, outside, kept.recordings.root / "camera0" / "holiday.mp4"):
        path.write_text("not ours")
    (kept.snapshots.root / "camera0" / "0.jpg").symlink_to(outside)
    (kept.snapshots.root / "camera7").symlink_to(kept.snapshots.root / "camera0")
    assert await kept.clean() == 2
    assert await kept.recorded() == {stays}
    assert [each.name for each in theirs.parent.iterdir()] == ["notes.txt"]
    assert (kept.recordings.root / "camera0" / "holiday.mp4").exists()
    assert outside.read_text() == "not ours"


class Stuck(RecordingStore):
    """Store of recordings of which the kernel lets some not be deleted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.stuck: set[str] = set()

    def delete(self, stored: StoredRecording) -> None:
        if stored.note.id in self.stuck:
            raise StorageFailed("Could not delete a recording: permission denied.", reason="not_writable")
        super().delete(stored)


@pytest.mark.parametrize("limits", [Limits(max_count=2), Limits(max_bytes=10)], ids=["count", "size"])
async def test_those_that_cannot_be_deleted_do_not_raise_the_limit(tmp_path: Path, limits: Limits) -> None:
    library = unindexed(tmp_path)
    library.recordings = store = Stuck(tmp_path / "recordings")
    kept = Kept(library, recordings=limits)
    ids = [kept.record("camera0", hours * HOURS) for hours in (5, 4, 3, 2, 1)]
    store.stuck = {ids[0]}
    assert (await kept.clean_all()).files == 3
    assert await kept.recorded() == {ids[0], ids[4]}


async def test_a_file_that_cannot_be_deleted_is_told_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = unindexed(tmp_path)
    library.recordings = store = Stuck(tmp_path / "recordings")
    kept = Kept(library, recordings=Limits(max_bytes=5))
    store.stuck = {kept.record("camera0", hours * HOURS) for hours in (3, 2)}
    kept.record("camera0", HOURS)
    for _ in range(3):
        await kept.clean()
    (error,) = [each.message for each in caplog.records if each.levelname == "ERROR"]
    assert "permission denied" in error
    assert kept.told_of_failures == [error]
    store.stuck.clear()
    await kept.clean()
    assert kept.told_of_failures == [error, ""]


async def test_a_cleanup_without_the_limit_by_age_does_not_end_what_that_found(tmp_path: Path) -> None:
    library = unindexed(tmp_path)
    library.recordings = store = Stuck(tmp_path / "recordings")
    kept = Kept(library, recordings=Limits(max_age_s=7 * 86_400.0, max_bytes=10**9))
    store.stuck = {kept.record("camera0", 9 * DAYS)}
    kept.record("camera0", HOURS)
    async with kept.running():
        for _ in range(3):
            await kept.clock.advance(WATCH_S)
            await kept.settled()
    assert len(kept.told_of_failures) == 1


async def test_on_a_read_only_disk_nothing_is_tried(library: Library) -> None:
    kept = Kept(library, recordings=Limits(max_count=1), snapshots=Limits(max_count=1))
    for hours in (3, 2, 1):
        kept.shoot("camera0", hours * HOURS)
        kept.record("camera0", hours * HOURS)
    await kept.settled()

    def refuse() -> None:
        raise StorageFailed("The disk for recordings is mounted read-only.", reason="read_only")

    kept.recordings.media = replace(kept.recordings.media, check_writable=refuse)
    cleaned = (await kept.cleanup()).cleaned
    assert [each.reason for each in cleaned.problems] == ["read_only"]
    assert (cleaned.freed.files, cleaned.freed.failed) == (2, 0), "the snapshots are on another disk"
    assert len(await kept.recorded()) == 3


async def test_one_that_cannot_be_deleted_keeps_no_other(tmp_path: Path) -> None:
    library = unindexed(tmp_path)
    library.recordings = store = Stuck(tmp_path / "recordings")
    kept = by_age(library, 7)
    stuck = kept.record("camera0", 10 * DAYS)
    store.stuck = {stuck}
    kept.record("camera1", 9 * DAYS)
    stays = kept.record("camera0", DAYS)
    cleaned = await kept.clean_all()
    assert (cleaned.files, cleaned.size_bytes, cleaned.failed) == (1, 5, 1)
    assert cleaned.fault.startswith(f"{stuck}: Could not delete a recording: permission denied.")
    assert await kept.recorded() == {stuck, stays}


async def test_a_missing_disk_of_one_kind_keeps_nothing_of_the_other(library: Library) -> None:
    kept = Kept(library, recordings=Limits(max_count=1), snapshots=Limits(max_count=1))
    for hours in (2, 1):
        kept.shoot("camera0", hours * HOURS)
        kept.record("camera0", hours * HOURS)
    await kept.settled()

    def gone() -> None:
        raise StorageFailed("The disk for recordings is not mounted.", reason="disk_missing")

    shelf = kept.recordings.media.shelf
    shelf.check = gone  # type: ignore[method-assign]
    kept.recordings.media = replace(kept.recordings.media, check_writable=gone)
    cleanup = await kept.cleanup()
    assert cleanup.cleaned.freed.files == 1
    assert [each.reason for each in cleanup.cleaned.problems] == ["disk_missing"]
    async with kept.retried():
        with pytest.raises(StorageFailed):
            await kept.retention.cleanup()


# The times that count.


async def test_the_age_counts_from_the_note_and_not_from_the_files(library: Library) -> None:
    kept = by_age(library, 7)
    old, new = kept.record("camera0", 9 * DAYS), kept.record("camera0", DAYS)
    for name, age in ((old, 0), (new, 400)):  # copied today; written by a clock of last year
        written_s = (NOW - age * DAYS).timestamp()
        for segment in (kept.recordings.root / "camera0" / name).glob("*.mp4"):
            os.utime(segment, (written_s, written_s))
    assert await kept.clean() == 1
    assert await kept.recorded() == {new}


async def test_a_long_recording_counts_from_its_end(library: Library) -> None:
    kept = by_age(library, 7)
    name = kept.record("camera0", 400 * DAYS, length=399 * DAYS)
    assert await kept.clean() == 0
    assert await kept.recorded() == {name}


async def test_a_clock_that_was_never_set_gave_no_age(library: Library) -> None:
    kept = Kept(library, recordings=Limits(max_age_s=7 * 86_400), snapshots=Limits(max_age_s=7 * 86_400))
    since = NOW - datetime(1970, 1, 1, tzinfo=UTC)
    kept.record("camera0", since)
    kept.shoot("camera0", since)
    kept.record("camera0", HOURS)
    assert await kept.clean() == 0


@pytest.mark.parametrize("limits", [Limits(max_count=2), Limits(max_bytes=10)])
async def test_those_from_the_future_are_older_than_those_made_since(
    library: Library, limits: Limits
) -> None:
    kept = Kept(library, recordings=limits)
    for days in (-800, -900):
        kept.record("camera0", days * DAYS)
    new = [kept.record("camera0", hours * HOURS) for hours in (3, 2, 1)]
    assert await kept.clean() == 3
    assert await kept.recorded() == set(new[1:])


# The clock.


@pytest.fixture
async def kept(library: Library) -> Kept:
    """Two recordings of which none is too old, and a clock that has been looked at."""
    kept = by_age(library, 30)
    kept.record("camera0", 5 * DAYS)
    kept.record("camera0", DAYS)
    return kept


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("days", [800, 31, -400])
async def test_a_step_of_the_clock_suspends_deletion_by_age(kept: Kept, restart: bool, days: int) -> None:
    assert await kept.clean() == 0
    before = await kept.recorded()
    kept.clock.step_wall_clock(days * 86_400)
    if restart:
        kept.restarted()
    assert [await kept.clean(), await kept.clean()] == [0, 0]
    assert await kept.recorded() == before
    (told,) = kept.told
    assert told.startswith(f"The clock was set {'forward' if days > 0 else 'back'} by {abs(days)} days.")
    assert "Nothing is deleted by age" in told


@pytest.mark.parametrize(
    "limits", [Limits(max_age_s=30 * 86_400, max_count=1), Limits(max_age_s=30 * 86_400, max_bytes=9)]
)
@pytest.mark.parametrize("days", [800, -400])
async def test_a_wrong_clock_does_not_keep_the_disk_from_being_freed(
    library: Library, limits: Limits, days: int
) -> None:
    """The order stays right while all times are wrong by the same amount; the newest stays."""
    kept = Kept(library, recordings=limits)
    newest = kept.record("camera0", HOURS)
    await kept.clean()
    kept.clock.step_wall_clock(days * 86_400)
    made = kept.record("camera0", -days * DAYS)
    assert await kept.clean() == 1
    assert await kept.recorded() == {made}
    assert kept.told[-1]
    assert newest not in await kept.recorded()


async def test_deletion_goes_on_when_the_clock_is_put_right(kept: Kept) -> None:
    await kept.clean()
    kept.clock.step_wall_clock(800 * 86_400)
    await kept.clean()
    kept.clock.step_wall_clock(-800 * 86_400)
    old = kept.record("camera0", 31 * DAYS)
    assert await kept.clean() == 1
    assert old not in await kept.recorded()
    assert kept.told[-1] == ""


async def test_a_clock_that_stays_as_it_is_is_believed_in_the_end(kept: Kept) -> None:
    await kept.clean()
    kept.clock.step_wall_clock(800 * 86_400)
    for _ in range(4):
        assert await kept.clean() == 0
        kept.clock.jump(STEADY_S / 4)
        kept.restarted()
    assert await kept.clean() == 2


async def test_each_further_step_begins_the_wait_anew(kept: Kept) -> None:
    await kept.clean()
    for days in (800, -300, 90):
        kept.clock.step_wall_clock(days * 86_400)
        for _ in range(3):
            assert await kept.clean() == 0
            kept.clock.jump(STEADY_S / 4)


async def test_a_host_that_slept_or_was_off_for_a_while_has_a_good_clock(kept: Kept) -> None:
    await kept.clean()
    kept.clock.jump(20 * 86_400)  # suspended: the time since boot goes on
    await kept.clean()
    kept.host.boot(off_s=6 * 86_400)
    assert await kept.clean() == 1
    assert kept.told == []


async def test_a_host_that_was_off_for_long_has_to_run_for_a_while(kept: Kept) -> None:
    await kept.clean()
    for looks in (3, 2):
        kept.host.boot(off_s=90 * 86_400)
        for _ in range(looks):
            assert await kept.clean() == 0
            kept.clock.jump(STEADY_S / 4)
    assert kept.told[0].startswith("The clock says that this host was off for 90 days.")
    assert await kept.clean() == 2


async def test_a_small_correction_is_no_step(kept: Kept) -> None:
    await kept.clean()
    kept.clock.step_wall_clock(40)
    kept.record("camera0", 31 * DAYS)
    assert await kept.clean() == 1


@pytest.mark.parametrize("ages", [(40, 50), (40, -1), (1, -1)])
async def test_without_a_known_time_the_recordings_may_contradict_the_clock(
    library: Library, ages: tuple[int, ...]
) -> None:
    """The first run of this version, with a wrong clock: all are too old, or one is from the future."""
    kept = by_age(library, 30)
    names = {kept.record("camera0", age * DAYS) for age in ages}
    assert await kept.clean() == 0
    assert await kept.recorded() == names
    assert len(kept.told) == 1


async def test_the_last_recording_goes_when_it_is_too_old(library: Library) -> None:
    kept = by_age(library, 7)
    kept.record("camera0", 5 * DAYS)
    await kept.clean()
    kept.clock.jump(3 * 86_400)
    assert await kept.clean() == 1


async def test_a_clock_that_was_not_set_yet_is_no_measure_for_the_one_that_is(library: Library) -> None:
    kept = by_age(library, 7)
    back_s = (NOW - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    kept.clock.step_wall_clock(-back_s)
    await kept.clean()
    assert kept.told[0].startswith("The clock has not been set: it shows the year 1970.")
    kept.clock.step_wall_clock(back_s)
    kept.record("camera0", 8 * DAYS)
    kept.record("camera0", DAYS)
    assert await kept.clean() == 1


async def test_a_reading_that_cannot_be_stored_keeps_nothing_from_being_deleted(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk needs deletion most; here a folder stands where the backup of the file should be."""
    kept = by_age(library, 7)
    kept.record("camera0", DAYS)
    assert await kept.clean() == 0
    (library.folder / f"{CLOCK_FILE}.bak").mkdir()
    kept.record("camera0", 9 * DAYS)
    assert await kept.clean() == 1
    assert CLOCK_FILE in caplog.text


async def test_a_minute_ahead_is_no_doubt_about_the_clock_and_more_is(library: Library) -> None:
    kept = Kept(library, recordings=Limits(max_count=1))
    ahead = kept.record("camera0", timedelta(seconds=-60))
    kept.record("camera0", DAYS)

    async def notes() -> list[str]:
        newest = [each.note for each in await kept.recordings.all()]
        return [contradiction(newest, now=NOW, max_age_s=7 * 86_400)]

    assert await notes() == [""]
    kept.record("camera1", timedelta(seconds=-61))
    assert await notes() != [""]
    assert await kept.clean() == 1
    assert ahead in await kept.recorded(), "the one ahead counts as the newest"


# When it happens.


@pytest.mark.parametrize("limits", [Limits(max_age_s=2 * 86_400.0), Limits(max_count=1), Limits(max_bytes=5)])
async def test_any_limit_alone_is_applied_at_start(library: Library, limits: Limits) -> None:
    kept = Kept(library, recordings=limits)
    kept.record("camera0", 3 * DAYS)
    stays = kept.record("camera0", DAYS)
    async with kept.running():
        assert await kept.recorded() == {stays}


async def test_a_recording_that_ends_and_a_snapshot_too_many_start_a_cleanup(library: Library) -> None:
    """No time passes but what an index that is unsettled again takes."""
    kept = Kept(library, recordings=Limits(max_count=1), snapshots=Limits(max_count=1))
    kept.record("camera0", 2 * HOURS)
    kept.shoot("camera0", 2 * HOURS)
    async with kept.running(), kept.retried():
        recording, shot = kept.record("camera0", HOURS), kept.shoot("camera0", HOURS)
        for topic, read, stays in (
            ("recording.stop", kept.recorded, recording),
            ("snapshot.taken", kept.shot, shot),
        ):
            kept.bus.publish(topic, None)
            with anyio.fail_after(20):
                while await read() != {stays}:
                    await anyio.sleep(0.01)


async def test_a_recording_that_grows_past_the_size_frees_its_room_while_it_goes_on(library: Library) -> None:
    kept = Kept(library, recordings=Limits(max_bytes=100))
    kept.record("camera0", 2 * HOURS, size_bytes=40)
    stays = kept.record("camera0", HOURS, size_bytes=40)
    grows = kept.record("camera1", timedelta(), ended=False, size_bytes=20)
    stored = await kept.recordings.find(grows)
    kept.under_way.notes["camera1"] = stored.note
    async with kept.running():
        assert len(await kept.recorded()) == 3
        with stored.segments[0].path.open("ab") as file:
            file.write(b"m" * 30)
        with anyio.fail_after(20):
            while await kept.recorded() != {stays, grows}:
                await kept.clock.advance(WATCH_S)
                await anyio.sleep(0.01)


async def test_by_age_it_happens_on_schedule(library: Library) -> None:
    kept = by_age(library, 7)
    kept.record("camera0", 7 * DAYS - timedelta(seconds=PAUSE_S / 2))
    stays = kept.record("camera0", DAYS)
    async with kept.running():
        assert len(await kept.recorded()) == 2
        with anyio.fail_after(20):
            while await kept.recorded() != {stays}:
                await kept.clock.advance(PAUSE_S)
                await anyio.sleep(0.01)


async def test_a_recording_of_a_camera_that_is_being_started_or_stopped_is_waited_for(
    library: Library,
) -> None:
    kept = Kept(library, recordings=Limits(max_count=1))
    for hours in (2, 1):
        kept.record("camera0", hours * HOURS)
    await kept.settled()
    async with kept.retried(), anyio.create_task_group() as tasks:
        async with kept.under_way.locks.hold(CameraId("camera0")):
            await tasks.start(kept.retention.run)
            await anyio.wait_all_tasks_blocked()
            assert len(await kept.recorded()) == 2
        with anyio.fail_after(20):
            while len(await kept.recorded()) != 1:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
