"""Recordings that a killed or hastily ended agent left on a real server that still records."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.models import CameraId
from agent_core.config.sections import RecordingsConfig
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.paths import PathManager
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.recordings.models import RecordingFormat, RecordingNote
from agent_core.recordings.resumption import Resumption
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


@asynccontextmanager
async def watched(plane: Plane, client: MediaServerClient, note: RecordingNote) -> AsyncIterator[None]:
    """The server records, as it was told, because somebody reads the stream."""
    recording = recording_conf("fmp4", plane.files.record_path(note), RecordingsConfig())
    await PathManager(client).ensure(CAMERA, plane.paths.plan.conf(camera(CAMERA), recording))
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
    resumption = Resumption(
        plane.recordings, plane.files, plane.paths, recovered=anyio.sleep_forever, clock=SystemClock()
    )
    async with watched(plane, media_client, note):
        with anyio.fail_after(20):
            await resumption.run()
        conf = await media_client.path_config(CAMERA)
        assert conf is not None
        assert conf.record is False
    assert (await plane.files.find(note.id)).note.ended_at is not None


async def test_a_clock_that_was_set_back_makes_no_recording_endless(plane: Plane) -> None:
    """A host without a clock of its own begins in the past; the duration then counts from now on."""
    note = left_behind(plane, timedelta(days=-1), duration_s=2.0)
    with plane.bus.subscribe(lambda event: event.topic == "recording.stop") as events:
        await plane.recordings.resume(camera(CAMERA), plane.files.read(note))
        assert (await next_state(events, "recording.stop")).recording == note.id


async def test_one_before_a_later_one_is_not_gone_on_with(plane: Plane) -> None:
    """Its end was not noted, on a full disk; a camera has one recording at a time, so it has ended."""
    note = left_behind(plane, timedelta(minutes=30), duration_s=None)
    left_behind(plane, timedelta(minutes=20), ended_at=datetime.now(UTC), reason="")
    resumption = Resumption(
        plane.recordings, plane.files, plane.paths, recovered=anyio.sleep_forever, clock=SystemClock()
    )
    with anyio.fail_after(20):
        await resumption.run()
    assert plane.recordings.active(CAMERA) is None
    assert (await plane.files.find(note.id)).note.reason == "interrupted"
