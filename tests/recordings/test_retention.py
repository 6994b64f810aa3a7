"""Which recordings go, and that nothing else does."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.events import EventBus
from agent_core.base.host_times import HostTimes
from agent_core.base.models import CameraId
from agent_core.config import RecordingsConfig
from agent_core.recordings.clock_trust import CLOCK_FILE, FIRST_VERSION, STEADY_S, ClockTrust
from agent_core.recordings.models import RecordingFormat, StoredRecording
from agent_core.recordings.retention import RecordingCleaner, contradiction, expired
from agent_core.recordings.store import RecordingStore
from agent_core.testing import SimulatedClock

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Shelf:
    """Recordings with one small segment each, made and ended `age` ago."""

    def __init__(self, folder: Path) -> None:
        self.store = RecordingStore(folder)

    def put(self, camera: str, age: timedelta, *, ended: bool = True) -> str:
        note = self.store.create(CameraId(camera), RecordingFormat.FMP4, NOW - age)
        segment = self.store.root / camera / note.id / "2026-11-22_00-00-00-000000.mp4"
        segment.write_bytes(b"media")
        made_s = (NOW - age).timestamp()
        os.utime(segment, (made_s, made_s))
        if ended:
            self.store.save(note.model_copy(update={"ended_at": NOW - age}))
        return note.id

    async def expired(
        self, *, days: float | None = None, count: int | None = None, in_use: str = ""
    ) -> list[str]:
        gone = expired(
            await self.store.all(),
            now=NOW,
            max_age_s=None if days is None else days * 86_400,
            max_count=count,
            in_use=lambda each: each.note.id == in_use,
        )
        return [each.note.id for each in gone]

    async def ids(self) -> list[str]:
        return [each.note.id for each in await self.store.all()]


class Host:
    """A host's clocks; `set_back` and `boot` do what the names say."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.boot_id, self._booted_s = "first", 0.0

    def times(self) -> HostTimes:
        passed_s = self.clock.monotonic_s()
        return HostTimes(self.boot_id, passed_s, passed_s - self._booted_s, self.clock.now())

    def boot(self, *, off_s: float) -> None:
        self.clock.jump(off_s)
        self.boot_id, self._booted_s = f"after {self.boot_id}", self.clock.monotonic_s()


class Cleaning:
    """A cleaner, its host's clocks and what it tells."""

    def __init__(self, store: RecordingStore, **settings: Any) -> None:
        self.store, self.settings = store, RecordingsConfig(**settings)
        self.clock = SimulatedClock(NOW)
        self.host = Host(self.clock)
        self.bus = EventBus(self.clock)
        self.told: list[str] = []
        self.in_use: list[tuple[str, str]] = []
        self.cleaner = self.restarted()

    def restarted(self) -> RecordingCleaner:
        days = self.settings.max_age_days
        path = self.store.root.parent / CLOCK_FILE
        self.cleaner = RecordingCleaner(
            self.store,
            settings=self.settings,
            in_use=lambda camera, recording: (camera, recording) in self.in_use,
            trust=ClockTrust(path, max_age_s=None if days is None else days * 86_400, times=self.host.times),
            events=self.bus,
            tell=self.told.append,
            clock=self.clock,
        )
        return self.cleaner


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "recordings")


async def test_nothing_goes_where_nothing_is_configured(shelf: Shelf) -> None:
    shelf.put("camera0", timedelta(days=900))
    assert await shelf.expired() == []


async def test_what_is_too_old_goes_oldest_first(shelf: Shelf) -> None:
    old, older = shelf.put("camera0", timedelta(days=8)), shelf.put("camera1", timedelta(days=9))
    shelf.put("camera0", timedelta(days=6))
    assert await shelf.expired(days=7) == [older, old]


async def test_the_number_is_counted_for_each_camera(shelf: Shelf) -> None:
    names = [shelf.put("camera0", timedelta(hours=hours)) for hours in (4, 3, 2, 1)]
    shelf.put("camera1", timedelta(hours=9))
    assert await shelf.expired(count=2) == names[:2]


async def test_one_in_use_or_never_ended_stays_and_is_not_counted(shelf: Shelf) -> None:
    old = shelf.put("camera0", timedelta(hours=5))
    shelf.put("camera0", timedelta(hours=4), ended=False)
    used = shelf.put("camera0", timedelta(hours=3))
    assert await shelf.expired(count=1, in_use=used) == []
    assert await shelf.expired(count=1) == [old]
    assert await shelf.expired(days=0.01, in_use=used) == [old]


async def test_only_our_files_are_deleted(shelf: Shelf) -> None:
    old, kept = shelf.put("camera0", timedelta(days=9)), shelf.put("camera0", timedelta(days=1))
    theirs = shelf.store.root / "camera0" / old / "notes.txt"
    theirs.write_text("not ours")
    (shelf.store.root / "camera0" / "holiday.mp4").write_text("not ours either")
    cleaner = Cleaning(shelf.store, max_age_days=7).cleaner
    assert await cleaner.clean() == [old]
    assert [each.note.id for each in await shelf.store.all()] == [kept]
    assert theirs.read_text() == "not ours"
    assert [each.name for each in theirs.parent.iterdir()] == ["notes.txt"]
    assert (shelf.store.root / "camera0" / "holiday.mp4").exists()


async def test_one_that_cannot_be_deleted_keeps_no_other(shelf: Shelf) -> None:
    stuck, old = shelf.put("camera0", timedelta(days=10)), shelf.put("camera1", timedelta(days=9))
    kept = shelf.put("camera0", timedelta(days=1))

    class Busy(RecordingStore):
        """The kernel's no to deleting a file."""

        def delete(self, stored: StoredRecording) -> None:
            if stored.note.id == stuck:
                raise StorageFailed("Could not delete a recording: permission denied.", reason="not_writable")
            super().delete(stored)

    cleaner = Cleaning(Busy(shelf.store.root), max_age_days=7).cleaner
    assert await cleaner.clean() == [old]
    assert [each.note.id for each in await shelf.store.all()] == [kept, stuck]


@pytest.mark.parametrize("settings", [{"max_count": 1}, {"max_age_days": 2}])
async def test_either_limit_alone_keeps_the_cleaner_at_work(shelf: Shelf, settings: dict[str, int]) -> None:
    shelf.put("camera0", timedelta(days=3))
    kept = shelf.put("camera0", timedelta(days=1))
    cleaner = Cleaning(shelf.store, **settings).cleaner
    async with anyio.create_task_group() as tg:
        await tg.start(cleaner.run)
        with anyio.fail_after(20):
            while [each.note.id for each in await shelf.store.all()] != [kept]:
                await anyio.sleep(0.01)
        tg.cancel_scope.cancel()


async def test_without_a_limit_the_cleaner_ends_at_once(shelf: Shelf) -> None:
    cleaner = Cleaning(shelf.store).cleaner
    with anyio.fail_after(20):
        await cleaner.run()


# The times that count.


async def test_the_age_counts_from_the_note_and_not_from_the_files(shelf: Shelf) -> None:
    old, new = shelf.put("camera0", timedelta(days=9)), shelf.put("camera0", timedelta(days=1))
    for name, age in ((old, 0), (new, 400)):  # copied today; written by a clock of last year
        written_s = (NOW - timedelta(days=age)).timestamp()
        for segment in (shelf.store.root / "camera0" / name).glob("*.mp4"):
            os.utime(segment, (written_s, written_s))
    assert await shelf.expired(days=7) == [old]


async def test_one_that_ended_after_the_clock_was_put_right_is_new(shelf: Shelf) -> None:
    name = shelf.put("camera0", timedelta(days=400), ended=False)
    stored = await shelf.store.find(name)
    shelf.store.save(stored.note.model_copy(update={"ended_at": NOW}))
    assert await shelf.expired(days=7) == []


async def test_a_note_of_a_clock_that_was_never_set_has_no_age(shelf: Shelf) -> None:
    shelf.put("camera0", NOW - datetime(1970, 1, 1, tzinfo=UTC))
    assert await shelf.expired(days=7) == []


async def test_one_from_the_future_is_older_than_those_made_since(shelf: Shelf) -> None:
    future = shelf.put("camera0", timedelta(days=-800))
    new = [shelf.put("camera0", timedelta(hours=hours)) for hours in (3, 2, 1)]
    assert await shelf.expired(count=2) == [future, new[0]]


# The clock.


@pytest.fixture
def cleaning(shelf: Shelf) -> Cleaning:
    """With two recordings of which none is too old, and a clock that has been looked at."""
    shelf.put("camera0", timedelta(days=5))
    shelf.put("camera0", timedelta(days=1))
    return Cleaning(shelf.store, max_age_days=30)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("days", [800, 31, -400])
async def test_a_step_of_the_clock_suspends_deletion(
    shelf: Shelf, cleaning: Cleaning, restart: bool, days: int
) -> None:
    assert await cleaning.cleaner.clean() == []
    before = await shelf.ids()
    cleaning.clock.step_wall_clock(days * 86_400)
    if restart:
        cleaning.restarted()
    assert await cleaning.cleaner.clean() == await cleaning.cleaner.clean() == []
    assert await shelf.ids() == before
    (told,) = cleaning.told
    assert told.startswith(f"The clock was set {'forward' if days > 0 else 'back'} by {abs(days)} days.")
    assert "No recording is deleted" in told


async def test_deletion_goes_on_when_the_clock_is_put_right(shelf: Shelf, cleaning: Cleaning) -> None:
    await cleaning.cleaner.clean()
    cleaning.clock.step_wall_clock(800 * 86_400)
    await cleaning.cleaner.clean()
    cleaning.clock.step_wall_clock(-800 * 86_400)
    old = shelf.put("camera0", timedelta(days=31))
    assert await cleaning.cleaner.clean() == [old]
    assert cleaning.told[-1] == ""


async def test_a_clock_that_stays_as_it_is_is_believed_in_the_end(shelf: Shelf, cleaning: Cleaning) -> None:
    await cleaning.cleaner.clean()
    cleaning.clock.step_wall_clock(800 * 86_400)
    for _ in range(4):
        assert await cleaning.cleaner.clean() == []
        cleaning.clock.jump(STEADY_S / 4)
        cleaning.restarted()
    assert len(await cleaning.cleaner.clean()) == 2


async def test_each_further_step_begins_the_wait_anew(cleaning: Cleaning) -> None:
    await cleaning.cleaner.clean()
    for days in (800, -300, 90):
        cleaning.clock.step_wall_clock(days * 86_400)
        for _ in range(3):
            assert await cleaning.cleaner.clean() == []
            cleaning.clock.jump(STEADY_S / 4)


async def test_a_host_that_slept_or_was_off_for_a_while_has_a_good_clock(
    shelf: Shelf, cleaning: Cleaning
) -> None:
    await cleaning.cleaner.clean()
    cleaning.clock.jump(20 * 86_400)  # suspended: the time since boot goes on
    await cleaning.cleaner.clean()
    cleaning.host.boot(off_s=6 * 86_400)
    assert len(await cleaning.cleaner.clean()) == 1
    assert cleaning.told == []


async def test_a_host_that_was_off_for_long_has_to_run_for_a_while(shelf: Shelf, cleaning: Cleaning) -> None:
    await cleaning.cleaner.clean()
    for looks in (3, 2):
        cleaning.host.boot(off_s=90 * 86_400)
        for _ in range(looks):
            assert await cleaning.cleaner.clean() == []
            cleaning.clock.jump(STEADY_S / 4)
    assert cleaning.told[0].startswith("The clock says that this host was off for 90 days.")
    assert len(await cleaning.cleaner.clean()) == 2


async def test_a_small_correction_is_no_step(shelf: Shelf, cleaning: Cleaning) -> None:
    await cleaning.cleaner.clean()
    cleaning.clock.step_wall_clock(40)
    old = shelf.put("camera0", timedelta(days=31))
    assert await cleaning.cleaner.clean() == [old]


@pytest.mark.parametrize("ages", [(40, 50), (40, -1), (1, -1)])
async def test_without_a_known_time_the_recordings_may_contradict_the_clock(
    shelf: Shelf, ages: tuple[int, ...]
) -> None:
    """The first run of this version, with a wrong clock: all are too old, or one is from the future."""
    names = [shelf.put("camera0", timedelta(days=age)) for age in ages]
    cleaning = Cleaning(shelf.store, max_age_days=30)
    assert await cleaning.cleaner.clean() == []
    assert set(await shelf.ids()) == set(names)
    assert len(cleaning.told) == 1


async def test_the_last_recording_goes_when_it_is_too_old(shelf: Shelf) -> None:
    shelf.put("camera0", timedelta(days=5))
    cleaning = Cleaning(shelf.store, max_age_days=7)
    await cleaning.cleaner.clean()
    cleaning.clock.jump(3 * 86_400)
    assert len(await cleaning.cleaner.clean()) == 1


async def test_a_clock_that_was_not_set_yet_is_no_measure_for_the_one_that_is(shelf: Shelf) -> None:
    cleaning = Cleaning(shelf.store, max_age_days=7)
    back_s = (NOW - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    cleaning.clock.step_wall_clock(-back_s)
    await cleaning.cleaner.clean()
    assert cleaning.told[0].startswith("The clock has not been set: it shows the year 1970.")
    cleaning.clock.step_wall_clock(back_s)
    old = shelf.put("camera0", timedelta(days=8))
    shelf.put("camera0", timedelta(days=1))
    assert await cleaning.cleaner.clean() == [old]


async def test_a_reading_that_cannot_be_stored_keeps_nothing_from_being_deleted(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk needs deletion most; here a folder stands where the backup of the file should be."""
    kept = shelf.put("camera0", timedelta(days=1))
    cleaning = Cleaning(shelf.store, max_age_days=7)
    assert await cleaning.cleaner.clean() == []
    (shelf.store.root.parent / f"{CLOCK_FILE}.bak").mkdir()
    old = shelf.put("camera0", timedelta(days=9))
    assert await cleaning.cleaner.clean() == [old]
    assert await shelf.ids() == [kept]
    assert CLOCK_FILE in caplog.text


async def test_a_recording_that_ends_starts_a_cleanup(shelf: Shelf) -> None:
    cleaning = Cleaning(shelf.store, max_count=2)
    kept = [shelf.put("camera0", timedelta(hours=hours)) for hours in (2, 1)]
    async with anyio.create_task_group() as tg:
        await tg.start(cleaning.cleaner.run)
        with anyio.fail_after(20):
            while not cleaning.clock.sleeps:
                await anyio.sleep(0.01)
            new = shelf.put("camera0", timedelta())
            cleaning.bus.publish("recording.stop", None)  # no time passes
            while await shelf.ids() != [new, kept[1]]:
                await anyio.sleep(0.01)
        tg.cancel_scope.cancel()


async def test_a_recording_is_kept_for_exactly_its_age(shelf: Shelf) -> None:
    shelf.put("camera0", timedelta(days=7))
    old = shelf.put("camera1", timedelta(days=7, seconds=0.5))
    assert await shelf.expired(days=7) == [old]


async def test_the_cleaner_spares_the_recording_of_a_camera_that_is_in_use(shelf: Shelf) -> None:
    used, old = shelf.put("camera0", timedelta(days=9)), shelf.put("camera1", timedelta(days=9))
    shelf.put("camera0", timedelta(days=1))
    cleaning = Cleaning(shelf.store, max_age_days=7)
    cleaning.in_use = [("camera0", used), ("camera0", old), ("camera1", used)]
    assert await cleaning.cleaner.clean() == [old]


async def test_the_age_in_days_is_exact(shelf: Shelf) -> None:
    shelf.put("camera0", timedelta(days=1))
    old = shelf.put("camera0", timedelta(days=1, seconds=0.5))
    cleaning = Cleaning(shelf.store, max_age_days=1)
    assert await cleaning.cleaner.clean() == [old]


async def test_a_minute_ahead_is_no_doubt_about_the_clock_and_more_is(shelf: Shelf) -> None:
    ahead = shelf.put("camera0", timedelta(seconds=-60))
    kept = shelf.put("camera0", timedelta(days=1))
    assert await shelf.expired(count=1) == [kept], "the one ahead counts as the newest"
    assert contradiction(await shelf.store.all(), [], now=NOW) == ""
    shelf.put("camera1", timedelta(seconds=-61))
    assert contradiction(await shelf.store.all(), [], now=NOW) != ""
    assert ahead in await shelf.ids()


async def test_any_number_of_ends_during_a_cleanup_start_one_more(shelf: Shelf) -> None:
    class Slow(RecordingStore):
        """Each listing waits for a permit."""

        begun, permits = 0, anyio.Semaphore(0)

        async def all(
            self,
            camera: CameraId | None = None,
            *,
            keep: Callable[[StoredRecording], bool] | None = None,
        ) -> list[StoredRecording]:
            self.begun += 1
            await self.permits.acquire()
            return await super().all(camera, keep=keep)

    store = Slow(shelf.store.root)
    cleaning = Cleaning(store, max_count=2)
    async with anyio.create_task_group() as tg:
        await tg.start(cleaning.cleaner.run)
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            cleaning.bus.publish("recording.stop", None)
        with anyio.fail_after(20):
            for begun in (1, 2):
                while store.begun < begun:
                    await anyio.sleep(0.01)
                store.permits.release()
            while not cleaning.clock.sleeps:
                await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        assert store.begun == 2
        tg.cancel_scope.cancel()


async def test_a_recording_of_the_first_day_of_this_agent_has_an_age(shelf: Shelf) -> None:
    first = shelf.put("camera0", NOW - FIRST_VERSION)
    shelf.put("camera1", NOW - FIRST_VERSION + timedelta(seconds=1))
    assert await shelf.expired(days=7) == [first]


async def test_a_contradiction_is_a_sentence(shelf: Shelf) -> None:
    shelf.put("camera0", timedelta(days=9))
    found = await shelf.store.all()
    assert contradiction(found, found, now=NOW) == "By the clock, every recording is too old."
    assert contradiction(found, [], now=NOW) == ""
    later = NOW - timedelta(days=10)
    assert contradiction(found, [], now=later) == "The clock is behind the time of a recording."
