"""Recordings that a killed or hastily ended agent left on a real server that still records."""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from agent_core.base.clock import SystemClock
from agent_core.base.models import CameraId
from agent_core.config.sections import RecordingsConfig
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.paths import PathManager
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.recordings.manager import RecordingManager
from agent_core.recordings.models import RecordingFormat, RecordingNote
from agent_core.recordings.resumption import Resumption
from agent_core.recordings.store import RecordingStore
from agent_core.streams.plan import recording_conf
from agent_core.testing.mediamtx import MediaServerUnderTest
from agent_core.testing.waiting import eventually
from tests.media_plane import Plane, camera, next_state, running_plane

CAMERA = CameraId("camera0")


@pytest.fixture
async def plane(media_server: MediaServerUnderTest, tmp_path: Path) -> AsyncIterator[Plane]:
    async with running_plane(media_server, tmp_path) as plane:
        yield plane


def left_behind(plane: Plane, age: timedelta, **changes: object) -> RecordingNote:
    note = plane.files.create(CAMERA, RecordingFormat.FMP4, datetime.now(UTC) - age, duration_s=60)
    note = note.model_copy(update=changes)
    plane.files.save(note)
    return note


def with_media(plane: Plane, note: RecordingNote, age: timedelta = timedelta()) -> RecordingNote:
    """The note of a recording that has a file, written so long ago."""
    segment = plane.files.folder(note) / "2026-11-22_00-00-00-000000.mp4"
    segment.write_bytes(b"media")
    written_s = (datetime.now(UTC) - age).timestamp()
    os.utime(segment, (written_s, written_s))
    return note


def resumption(
    plane: Plane, recordings: RecordingManager | None = None, *, within_s: float = 7200
) -> Resumption:
    return Resumption(
        recordings or plane.recordings,
        plane.files,
        plane.paths,
        within_s=within_s,
        recovered=anyio.sleep_forever,
        clock=SystemClock(),
    )


@asynccontextmanager
async def watched(plane: Plane, client: MediaServerClient, note: RecordingNote) -> AsyncIterator[None]:
    """The server records, as it was told, because somebody reads the stream."""
    recording = recording_conf("fmp4", plane.files.record_path(note), RecordingsConfig())
    await PathManager(client).ensure(
        CAMERA, plane.paths.plan.conf(camera(CAMERA), recording, rtsp_url="rtsp://127.0.0.1:1")
    )
    async with anyio.create_task_group() as viewers:
        await viewers.start(Hold(f"{plane.server.rtsp_url}/{CAMERA}").run)

        async def is_written() -> bool:
            return plane.files.read(note).size_bytes > 0

        await eventually(is_written)
        yield
        viewers.cancel_scope.cancel()


@pytest.mark.parametrize("ended", [False, True])
async def test_what_is_over_is_not_recorded_on(
    plane: Plane, media_client: MediaServerClient, *, ended: bool
) -> None:
    age = timedelta(hours=1)
    said = {"ended_at": datetime.now(UTC) - age, "reason": "agent_ended"} if ended else {}
    note = left_behind(plane, age, **said)
    async with watched(plane, media_client, note):
        with anyio.fail_after(20):
            await resumption(plane).run()
        conf = await media_client.path_config(CAMERA)
        assert conf is not None
        assert conf.record is False
    closed = (await plane.files.find(note.id)).note
    assert closed.reason == ("agent_ended" if ended else "interrupted")
    assert closed.ended_at is not None
    assert not ended or closed == note, "what an older version closed stays as it was"


async def test_a_clock_that_was_set_back_makes_no_recording_endless(plane: Plane) -> None:
    """A host without a clock of its own begins in the past; the duration then counts from now on."""
    note = left_behind(plane, timedelta(days=-1), duration_s=2.0)
    with plane.bus.subscribe(lambda event: event.topic == "recording.stop") as events:
        await plane.recordings.resume(camera(CAMERA), plane.files.read(note))
        assert (await next_state(events, "recording.stop")).recording == note.id


async def test_one_before_a_later_one_is_not_gone_on_with(plane: Plane) -> None:
    """Its end was not noted, on a full disk; a camera has one recording at a time, so it has ended."""
    note = with_media(plane, left_behind(plane, timedelta(minutes=30), duration_s=None))
    left_behind(plane, timedelta(minutes=20), ended_at=datetime.now(UTC), reason="")
    with anyio.fail_after(20):
        await resumption(plane).run()
    assert plane.recordings.active(CAMERA) is None
    assert (await plane.files.find(note.id)).note.reason == "interrupted"


async def test_one_that_was_interrupted_too_long_ago_is_ended(plane: Plane) -> None:
    note = with_media(
        plane, left_behind(plane, timedelta(hours=2), duration_s=None), age=timedelta(minutes=61)
    )
    with plane.bus.subscribe(lambda event: event.topic == "recording.stop") as events:
        with anyio.fail_after(20):
            await resumption(plane, within_s=3600).run()
        told = await next_state(events, "recording.stop")
    assert (told.recording, told.reason) == (note.id, "resume_timed_out")
    closed = await plane.files.find(note.id)
    assert closed.note.reason == "resume_timed_out"
    assert closed.note.ended_at == closed.modified_at


@pytest.mark.parametrize("seen", [True, False], ids=["suspended", "killed"])
async def test_one_that_was_interrupted_lately_continues(plane: Plane, *, seen: bool) -> None:
    """Of a camera that was silent for an hour before, only the note says how long ago the agent ran."""
    lately = {"seen_at": datetime.now(UTC) - timedelta(minutes=1)} if seen else {}
    note = left_behind(plane, timedelta(hours=3), duration_s=None, **lately)
    with_media(plane, note, age=timedelta(hours=2) if seen else timedelta(minutes=1))
    with anyio.fail_after(20):
        await resumption(plane, within_s=3600).run()
    active = plane.recordings.active(CAMERA)
    assert active is not None
    assert active.note.id == note.id


async def test_a_duration_counts_from_the_first_picture_also_over_a_restart(plane: Plane) -> None:
    note = left_behind(plane, timedelta(minutes=10), duration_s=60)
    with anyio.fail_after(20):
        await resumption(plane).run()
    active = plane.recordings.active(CAMERA)
    assert active is not None
    assert active.note.id == note.id


async def test_a_duration_counts_from_the_first_picture_that_the_note_tells(plane: Plane) -> None:
    first_at = datetime.now(UTC) - timedelta(seconds=10)
    note = left_behind(plane, timedelta(minutes=10), duration_s=60, first_at=first_at)
    with_media(plane, note)
    with anyio.fail_after(20):
        await resumption(plane).run()
    assert plane.recordings.active(CAMERA) is not None


async def test_one_whose_camera_stays_away_is_ended_after_a_while(plane: Plane) -> None:
    note = with_media(plane, left_behind(plane, timedelta(minutes=1), duration_s=None))
    plane.cameras.disconnected("test", "camera0", "unplugged")
    with plane.bus.subscribe(lambda event: event.topic == "recording.stop") as events:
        async with anyio.create_task_group() as tg:
            await tg.start(resumption(plane, within_s=2).run)
            told = await next_state(events, "recording.stop")
            tg.cancel_scope.cancel()
    assert (told.recording, told.reason) == (note.id, "resume_timed_out")


@pytest.mark.parametrize("by", ["stop", "start"])
async def test_a_client_ends_one_that_waits_to_continue(plane: Plane, by: str) -> None:
    note = with_media(plane, left_behind(plane, timedelta(minutes=1), duration_s=None))
    plane.cameras.disconnected("test", "camera0", "unplugged")
    async with anyio.create_task_group() as tg:
        await tg.start(resumption(plane).run)
        assert plane.recordings.is_expected(plane.files.read(note))
        if by == "stop":
            assert (await plane.recordings.stop(CAMERA)).stored.note.id == note.id
        else:
            await plane.recordings.start(
                camera("camera0"), duration_s=None, form=RecordingFormat.FMP4, wait=False
            )
        closed = await plane.files.find(note.id)
        assert closed.note.reason == "interrupted"
        plane.cameras.connected("test", camera("camera0").detected)
    active = plane.recordings.active(CAMERA)
    assert (active is None) is (by == "stop")
    assert (await plane.files.find(note.id)).note == closed.note


class Held(RecordingStore):
    """A store on a slow disk: a recording's note is there before `create` returns."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.is_made, self.may_return = threading.Event(), threading.Event()

    def create(
        self, camera: CameraId, form: RecordingFormat, started_at: datetime, duration_s: float | None = None
    ) -> RecordingNote:
        note = super().create(camera, form, started_at, duration_s)
        self.is_made.set()
        assert self.may_return.wait(20)
        return note


async def test_one_that_a_client_is_starting_is_not_taken_for_one_left_behind(plane: Plane) -> None:
    """Its note is on disk before the media server has answered: the search at start finds it."""
    files = Held(plane.files.root)
    recordings = RecordingManager(
        plane.streams, plane.paths, files, settings=RecordingsConfig(), events=plane.bus, clock=SystemClock()
    )
    start = partial(
        recordings.start, camera("camera0"), duration_s=None, form=RecordingFormat.FMP4, wait=False
    )
    async with anyio.create_task_group() as manager:
        await manager.start(recordings.run)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tg:
                tg.start_soon(start)
                await to_thread.run_sync(files.is_made.wait)
                await tg.start(resumption(plane, recordings).run)
                files.may_return.set()
        active = recordings.active(CAMERA)
        assert active is not None
        found = await files.find(active.note.id)
        assert found.note.ended_at is None
        assert not recordings.is_expected(found)
        manager.cancel_scope.cancel()


async def test_one_without_media_that_is_over_is_deleted(plane: Plane) -> None:
    note = left_behind(plane, timedelta(hours=2), duration_s=None)
    with plane.bus.subscribe(lambda event: event.topic == "recording.stop") as events:
        with anyio.fail_after(20):
            await resumption(plane, within_s=3600).run()
        assert (await next_state(events, "recording.stop")).recording == note.id
    assert await plane.files.all() == []
    assert list((plane.files.root / "camera0").iterdir()) == []
