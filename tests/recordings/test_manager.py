"""Recordings over a real server: single-flight, evidence, ends of every kind."""

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.errors import AgentError, InvalidState
from agent_core.base.models import CameraId
from agent_core.media.fmp4 import is_finished
from agent_core.mediamtx.client import MediaServerClient
from agent_core.recordings.active import Active
from agent_core.recordings.models import RecordingFormat, RecordingState
from agent_core.testing.mediamtx import MediaServerUnderTest
from tests.media_plane import Plane, camera, next_state, publisher_argv, running_plane

CAMERA = CameraId("camera0")
#: A publisher that runs and publishes nothing.
SILENT = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
async def plane(media_server: MediaServerUnderTest, tmp_path: Path) -> AsyncIterator[Plane]:
    async with running_plane(media_server, tmp_path) as plane:
        yield plane


async def start(
    plane: Plane, name: str = "camera0", *, duration_s: float | None = None, wait: bool = True
) -> Active:
    with anyio.fail_after(20):
        return await plane.recordings.start(
            camera(name), duration_s=duration_s, form=RecordingFormat.FMP4, wait=wait
        )


async def recorded_now(client: MediaServerClient) -> bool:
    conf = await client.path_config("camera0")
    return conf is not None and bool(conf.record)


async def test_recording_means_bytes_on_disk(plane: Plane, media_client: MediaServerClient) -> None:
    active = await start(plane)
    assert active.state is RecordingState.RECORDING
    assert active.measured.size_bytes > 0
    assert plane.recordings.active(CAMERA) is active
    assert await recorded_now(media_client)
    stopped = await plane.recordings.stop(CAMERA)
    assert stopped.reason == ""
    assert stopped.stored.size_bytes == plane.files.read(active.note).size_bytes
    assert sum(stopped.durations_s) > 0
    assert plane.recordings.active(CAMERA) is None
    assert not await recorded_now(media_client)
    assert (await plane.files.find(active.note.id)).note.ended_at == stopped.ended_at


async def test_a_file_that_appears_with_an_earlier_time_is_the_newest(plane: Plane) -> None:
    """The clock was set back: its name and its times are those of the past, and only the agent saw it appear."""
    active = await start(plane)
    (first,) = plane.files.read(active.note).segments
    late = first.path.with_name("2020-01-01_00-00-00-000000Z.mp4")
    shutil.copy(first.path, late)
    with anyio.fail_after(20):
        while not (await plane.files.find(active.note.id)).note.order:
            await anyio.sleep(0.05)
    stopped = await plane.recordings.stop(CAMERA)
    stored = await plane.files.find(active.note.id)
    assert [each.name for each in stopped.stored.segments] == [first.name, late.name]
    assert [each.name for each in stored.segments] == [first.name, late.name]
    download = plane.files.resolve(active.note.id)
    assert download is not None
    assert (download.download_name, download.next_name) == (first.name, f"{active.note.id}/{late.name}")


async def test_cameras_record_side_by_side(plane: Plane) -> None:
    first, second = await start(plane), await start(plane, "camera1")
    assert {first.note.camera, second.note.camera} == {"camera0", "camera1"}
    assert (await plane.recordings.stop(CAMERA)).stored.segments
    assert second.state is RecordingState.RECORDING


async def test_one_of_many_who_start_at_once(plane: Plane) -> None:
    refusals: list[str | None] = []

    async def attempt() -> None:
        try:
            await start(plane, wait=False)
        except InvalidState as error:
            refusals.append(error.reason)

    async with anyio.create_task_group() as tg:
        for _ in range(10):
            tg.start_soon(attempt)
    assert refusals == ["already_recording"] * 9
    assert len(await plane.files.all()) == 1


async def test_who_waits_is_told_when_somebody_stops_it(plane: Plane) -> None:
    refusals: list[str | None] = []

    async def wait() -> None:
        with pytest.raises(InvalidState) as caught:
            await start(plane)
        refusals.append(caught.value.reason)

    with plane.bus.subscribe(lambda _: True) as events:
        async with anyio.create_task_group() as tg:
            tg.start_soon(wait)
            await next_state(events, "recording.state")
            stopped = await plane.recordings.stop(CAMERA)
    assert refusals == ["stopped"]
    assert stopped.stored.segments == ()
    assert stopped.reason == "stopped_before_first_picture"


async def test_a_start_that_is_cancelled_leaves_nothing(
    plane: Plane, media_client: MediaServerClient
) -> None:
    for turns in range(0, 60, 4):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tg:
                tg.start_soon(_cancel_after, scope, turns)
                await start(plane, wait=False)
                tg.cancel_scope.cancel()
        if plane.recordings.active(CAMERA) is None:
            assert await plane.files.all() == []
            if await recorded_now(
                media_client
            ):  # the server took the cancelled request last: the keeper's work
                await plane.paths.keep(camera("camera0"), (await plane.paths.configured())["camera0"])
            assert not await recorded_now(media_client)
        else:
            await plane.recordings.stop(CAMERA)
            for each in await plane.files.all():
                shutil.rmtree(each.folder)


async def _cancel_after(scope: anyio.CancelScope, turns: int) -> None:
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_a_deadline_counts_from_the_first_picture(plane: Plane) -> None:
    with plane.bus.subscribe(lambda _: True) as events:
        active = await start(plane, duration_s=1.5, wait=False)
        await next_state(events, "recording.start")
        ended = await next_state(events, "recording.stop")
    assert ended.recording == active.note.id
    assert 1.0 <= ended.duration_s <= 6  # on a loaded machine the publisher lags behind, and so does the end
    assert plane.recordings.active(CAMERA) is None


async def test_no_picture_in_time_is_an_error_with_the_streams_reason(plane: Plane) -> None:
    plane.argv = ("false",)
    with plane.bus.subscribe(lambda _: True) as events:
        with pytest.raises(AgentError) as caught:
            await start(plane)
        assert (await next_state(events, "recording.error")).reason == "start_timed_out"
        assert (await next_state(events, "recording.stop")).reason == "start_timed_out"
    assert caught.value.reason == "start_timed_out"
    assert caught.value.data()["dependency"] == "stream"
    assert await plane.files.all() == []
    assert plane.recordings.active(CAMERA) is None


async def test_a_folder_that_is_removed_under_it_hurts_nobody_else(plane: Plane) -> None:
    first, second = await start(plane), await start(plane, "camera1")
    shutil.rmtree(plane.files.root / "camera0" / first.note.id)
    with plane.bus.subscribe(lambda event: event.topic == "recording.error") as events:
        failed = await next_state(events, "recording.error")
    assert failed.recording == first.note.id
    stopped = await plane.recordings.stop(CAMERA)
    assert stopped.stored.segments == ()
    assert stopped.reason
    assert second.state is RecordingState.RECORDING


async def test_a_disk_that_goes_away_hurts_nobody_else(plane: Plane) -> None:
    """A link to itself, which nobody can open, stands for a disk that was pulled out."""
    second = await start(plane, "camera1")
    with plane.bus.subscribe(lambda event: event.topic == "recording.stop") as events:
        first = await start(plane, duration_s=5)
        folder = plane.files.root / "camera0" / first.note.id
        folder.rename(folder.with_name("elsewhere"))
        folder.symlink_to(folder)
        ended = await next_state(events, "recording.stop")
    assert ended.recording == first.note.id
    assert ended.reason == "storage_failed"
    assert plane.recordings.active(CAMERA) is None
    assert second.state is RecordingState.RECORDING


async def test_the_end_of_the_agent_suspends_every_recording(
    media_server: MediaServerUnderTest, tmp_path: Path
) -> None:
    with ExitStack() as listening:
        async with running_plane(media_server, tmp_path) as plane:
            notes = [(await start(plane, name)).note for name in ("camera0", "camera1")]
            events = listening.enter_context(
                plane.bus.subscribe(lambda event: event.topic == "recording.state")
            )
        told = [await next_state(events, "recording.state") for _ in notes]
    assert {each.recording for each in told} == {note.id for note in notes}
    assert {(each.state, each.reason) for each in told} == {(RecordingState.SUSPENDED, "agent_stopping")}
    for note in notes:
        stored = await plane.files.find(note.id)
        assert (stored.note.ended_at, stored.note.reason) == (None, "")
        assert stored.note.seen_at
        assert stored.note.first_at
        assert stored.note.started_at < stored.note.first_at < stored.note.seen_at
        assert sum(await plane.files.durations_s(stored)) > 0
        assert is_finished(stored.segments[-1].path)


async def test_the_end_of_the_agent_ends_every_recording_where_that_is_configured(
    media_server: MediaServerUnderTest, tmp_path: Path
) -> None:
    with ExitStack() as listening:
        async with running_plane(media_server, tmp_path, on_stop="end") as plane:
            note = (await start(plane)).note
            events = listening.enter_context(
                plane.bus.subscribe(lambda event: event.topic == "recording.stop")
            )
        assert (await next_state(events, "recording.stop")).reason == "agent_ended"
    stored = await plane.files.find(note.id)
    assert stored.note.ended_at
    assert stored.note.reason == "agent_ended"
    assert sum(await plane.files.durations_s(stored)) > 0


async def test_a_caller_that_waits_is_told_that_the_agent_stops(
    media_server: MediaServerUnderTest, tmp_path: Path
) -> None:
    refusals: list[str | None] = []

    async def wait(plane: Plane) -> None:
        with pytest.raises(InvalidState) as caught:
            await start(plane)
        refusals.append(caught.value.reason)

    async with anyio.create_task_group() as tg:
        async with running_plane(media_server, tmp_path) as plane:
            plane.argv = SILENT
            with plane.bus.subscribe(lambda _: True) as events:
                tg.start_soon(wait, plane)
                await next_state(events, "recording.state")
    assert refusals == ["suspended"]
    (kept,) = await plane.files.all()
    assert kept.note.ended_at is None
    with pytest.raises(InvalidState) as caught:
        await start(plane, "camera1")
    assert caught.value.reason == "agent_stopping"


async def test_starts_that_are_stopped_at_once_leave_nothing(plane: Plane) -> None:
    plane.argv = SILENT
    with plane.bus.subscribe(lambda event: event.topic == "recording.stop") as events:
        for _ in range(8):
            active = await start(plane, wait=False)
            stopped = await plane.recordings.stop(CAMERA)
            assert stopped.reason == "stopped_before_first_picture"
            assert (await next_state(events, "recording.stop")).recording == active.note.id
    assert await plane.files.all() == []
    assert list((plane.files.root / "camera0").iterdir()) == []


def once(marker: Path) -> tuple[str, ...]:
    """A publisher that publishes for two seconds, and fails whenever it is started again."""
    words = [each.replace("rate=15", "rate=15:duration=2") for each in publisher_argv()]
    program = (
        f"import os, sys; os.path.exists({str(marker)!r}) and sys.exit(1); open({str(marker)!r}, 'w').close(); "
        f"os.execv({words[0]!r}, [*{words!r}, sys.argv[1]])"
    )
    return (sys.executable, "-c", program)


async def test_a_recording_that_is_stopped_while_it_fails_says_why(plane: Plane, tmp_path: Path) -> None:
    plane.argv = once(tmp_path / "marker")
    with plane.bus.subscribe(lambda event: event.topic == "recording.error") as events:
        active = await start(plane)
        failed = await next_state(events, "recording.error")
    stopped = await plane.recordings.stop(CAMERA)
    assert stopped.stored.segments
    assert stopped.reason == failed.reason
    assert (await plane.files.find(active.note.id)).note.reason == failed.reason


async def test_stopping_what_does_not_record(plane: Plane) -> None:
    with pytest.raises(InvalidState) as caught:
        await plane.recordings.stop(CAMERA)
    assert caught.value.reason == "not_recording"
    assert caught.value.suggestion
