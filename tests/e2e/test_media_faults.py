"""Faults around a stream and a recording: clients are told, nothing hangs, and the recording continues when it can."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import child
from tests.media_servers import running_server

from .media import (
    LOST,
    Rig,
    decoded,
    gone,
    in_order,
    is_gapless,
    media_rig,
    next_event,
    publishers,
    read_stream,
    saw_the_same,
)

if TYPE_CHECKING:
    from virtual_camera import burnt_in

Observe = Callable[[str], None]
QUICK: dict[str, Any] = {
    "recordings": {"stall_s": 2, "start_timeout_s": 5},
    "media_server": {"start_timeout_s": 3},
}
TOPICS = ["recording.error", "recording.stop", "recording_status_update"]


@pytest.fixture
async def rig(server_kind: str, tmp_path: Path, observe: Observe) -> AsyncIterator[Rig]:
    async with media_rig(server_kind, tmp_path, observe, **QUICK) as rig:
        yield rig


@pytest.mark.parametrize("fault", ["stall", "vanish"])
async def test_a_camera_that_falls_silent_is_said_and_goes_on_in_a_new_segment(
    server_kind: str, tmp_path: Path, observe: Observe, fault: str
) -> None:
    async with media_rig(server_kind, tmp_path, observe, **QUICK) as rig:
        async with rig.agent.client() as watcher, watcher.subscribe(TOPICS) as events:
            started = await rig.call("start_recording", wait=True)
            await rig.call("start_streaming")
            (publisher,) = publishers()
            await rig.fault(fault)
            await gone([publisher], within_s=6)
            await rig.until("get_stream_status", ready=False)
            error = await next_event(events, "recording.error")
            assert error["filename"] == started["filename"]
            assert error["reason"]
            described = await rig.call("get_recording_info", None, filename=started["filename"])
            assert described["reason"] == error["reason"]
            await rig.fault(fault, enabled=False)
            await next_event(
                events, "recording_status_update", status="RECORDING", filename=started["filename"]
            )
        await anyio.sleep(1)
        recording = await rig.call("stop_recording")
        assert recording["filename"] == started["filename"]
        assert len(recording["segments"]) >= 2
        assert in_order([await decoded(each) for each in rig.segments(recording)])
        left = publishers()
    assert not [pid for pid in left if pid in publishers()]


async def test_a_stalled_reader_costs_the_others_nothing(rig: Rig) -> None:
    await rig.call("start_recording", wait=True)
    url = (await rig.call("get_stream_url"))["stream_url"]
    words = [ffmpeg.locate(), "-rtsp_transport", "tcp", "-i", url, "-f", "null", "-"]
    seen: list[list[burnt_in.Mark]] = []

    async def read() -> None:
        seen.append(await read_stream(url, frames=90))

    async with child(words) as stalled, anyio.create_task_group() as tg:
        await rig.until("get_stream_url", active_consumers=1)
        stalled.send_signal(signal.SIGSTOP)
        tg.start_soon(read)
        tg.start_soon(read)
    recording = await rig.call("stop_recording")
    assert len(seen) == 2
    recorded = [mark for each in rig.segments(recording) for mark in await decoded(each)]
    assert all(map(is_gapless, [*seen, recorded]))
    assert saw_the_same(*seen, recorded)


async def test_a_killed_publisher_costs_little_and_is_replaced(rig: Rig) -> None:
    started = await rig.call("start_recording", wait=True)
    await anyio.sleep(LOST.total_seconds() + 1)
    (publisher,) = publishers()
    killed_at = datetime.now(UTC)
    os.kill(publisher, signal.SIGKILL)
    with anyio.fail_after(20):
        while len(rig.segments(started)) < 2:
            await anyio.sleep(0.05)
    recording = await rig.call("stop_recording")
    parts = [await decoded(each) for each in rig.segments(recording)]
    assert parts[0][-1].drawn_at >= killed_at - LOST
    assert in_order(parts)


async def test_a_recording_is_stopped_while_the_media_server_is_gone(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with running_server(server_kind, tmp_path / "media_server") as server:
        async with media_rig(server_kind, tmp_path, observe, server=server, **QUICK) as rig:
            await rig.call("start_recording", wait=True)
            server.signal(signal.SIGKILL)
            recording = await rig.call("stop_recording")
            error = await rig.refused("start_recording")
            assert error.code == -32050
            assert error.reason in {"connection_refused", "circuit_open"}
            assert not (await rig.call("get_camera_status"))["is_recording"]
            assert len(list((rig.recordings / "camera0").iterdir())) == 1
            assert is_gapless(await decoded(rig.segments(recording)[0]))


def fill(disk: Path) -> Path:
    status = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (status.f_bavail * status.f_frsize))
    return ballast


async def test_a_disk_that_fills_up(
    server_kind: str, tmp_path: Path, observe: Observe, tmpfs: Callable[[str], Path]
) -> None:
    disk = tmpfs("size=8m")
    storage = {"recordings_dir": disk / "recordings"}
    async with media_rig(server_kind, tmp_path, observe, storage=storage, **QUICK) as rig:
        async with rig.agent.client() as watcher, watcher.subscribe(TOPICS) as events:
            started = await rig.call("start_recording", wait=True)
            ballast = fill(disk)
            error = await next_event(events, "recording.error")
            assert (error["filename"], error["reason"]) == (started["filename"], "disk_full")
            ballast.unlink()
            await next_event(events, "recording_status_update", status="RECORDING")
            fill(disk)
            recording = await rig.call("stop_recording")
            assert recording["reason"] == "disk_full"
            assert (await next_event(events, "recording.stop"))["reason"] == "disk_full"
            described = await rig.call("get_recording_info", None, filename=started["filename"])
            assert (described["complete"], described["reason"]) == (True, "disk_full")
            assert all(each["file_size"] for each in recording["segments"])
            listed = {each["filename"]: each["duration"] for each in recording["segments"]}
            playable = [file for file in rig.segments(recording) if listed.get(file.name)]
            assert len(playable) >= 2  # between them are those that the server could not write
            before = sorted(disk.rglob("*"))
            refused = await rig.refused("start_recording")
            assert (refused.code, refused.reason) == (-32050, "disk_full")
            assert refused.data["dependency"] == "storage"
            assert sorted(disk.rglob("*")) == before
        assert in_order([await decoded(each) for each in playable])


async def test_a_folder_that_cannot_be_written(
    server_kind: str, tmp_path: Path, observe: Observe, tmpfs: Callable[[str], Path]
) -> None:
    disk = tmpfs("size=8m,ro")
    storage = {"recordings_dir": disk / "recordings"}
    async with media_rig(server_kind, tmp_path, observe, storage=storage, **QUICK) as rig:
        error = await rig.refused("start_recording")
        assert (error.code, error.reason) == (-32050, "read_only")
        assert (await rig.call("list_recordings"))["files"] == []
        assert not (await rig.call("get_camera_status"))["is_recording"]
