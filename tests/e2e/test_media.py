"""Streams and recordings of a camera through the whole agent, on each media server."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_core.client import AgentClient
from virtual_camera import burnt_in

from .media import (
    CAMERA,
    Rig,
    counters,
    decoded,
    ends,
    is_gapless,
    media_rig,
    read_stream,
    saw_the_same,
)

Observe = Callable[[str], None]


@pytest.fixture
async def rig(server_kind: str, tmp_path: Path, observe: Observe) -> AsyncIterator[Rig]:
    settings: dict[str, Any] = {"recordings": {"segment_duration_s": 2}, "media_server": {"close_after_s": 1}}
    async with media_rig(server_kind, tmp_path, observe, **settings) as rig:
        yield rig


RATES: tuple[dict[str, Any], ...] = (
    {"name": "Slow", "id": "camera0", "fps": 5},
    {"name": "Usual", "id": "camera1", "fps": 15},
    {"name": "Fast", "id": "camera2", "fps": 30},
    {"name": "Varying", "id": "camera3", "fps": 15, "drop_rate": 0.4},
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "length_s", [20, pytest.param(185, marks=pytest.mark.release)], ids=["short", "three minutes"]
)
async def test_recordings_last_as_long_as_the_clock_says(
    server_kind: str, tmp_path: Path, observe: Observe, length_s: int
) -> None:
    """Whatever the rate; and none is cut by the reset that a drift of more than 5 s or 10 s causes.

    The clock is the one burnt into the pictures: what comes later than it was taken, on a busy machine, is as long.
    """
    cameras = tuple({**CAMERA, **each} for each in RATES)
    async with media_rig(server_kind, tmp_path, observe, cameras=cameras) as rig:
        devices = [each["id"] for each in cameras]
        for device in devices:
            await rig.call("start_recording", device, wait=True)
        await anyio.sleep(length_s)
        for device in devices:
            recording = await rig.call("stop_recording", device)
            (segment,) = rig.segments(recording)
            first, last = await ends(segment)
            clock_s = (last.drawn_at - first.drawn_at).total_seconds()
            assert clock_s > length_s, device
            assert recording["segments"][0]["duration"] == pytest.approx(clock_s, abs=0.5), device


async def test_snapshot_stream_and_recording_show_the_same_frames(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    snapshots: list[burnt_in.Mark] = []

    async def photograph(rig: Rig) -> None:
        for _ in range(10):
            snapshot = await rig.call("take_snapshot", max_age_ms=0)
            snapshots.append(burnt_in.read(Path(snapshot["file_path"]).read_bytes()))
            await anyio.sleep(0.15)

    async with media_rig(server_kind, tmp_path, observe) as rig:
        started = await rig.call("start_recording", wait=True)
        url = (await rig.call("get_stream_url"))["stream_url"]
        async with anyio.create_task_group() as tg:
            tg.start_soon(photograph, rig)
            streamed = await read_stream(url, frames=45)
        recording = await rig.call("stop_recording")
        assert recording["filename"] == started["filename"]
        (segment,) = rig.segments(recording)
        recorded = await decoded(segment)
    assert is_gapless(recorded)
    assert is_gapless(streamed)
    drawn = {mark.counter: mark.drawn_at for mark in recorded}
    assert saw_the_same(streamed, recorded)
    found = [seen for seen in (*streamed, *snapshots) if seen.counter in drawn]
    assert len(found) >= len(streamed)
    assert all(drawn[seen.counter] == seen.drawn_at for seen in found)
    assert len(set(counters(snapshots))) == 10


async def test_a_recording_of_several_segments_plays_and_is_downloaded(rig: Rig) -> None:
    started = await rig.call("start_recording", wait=True)
    with anyio.fail_after(20):
        while len(rig.segments(started)) < 3:
            await anyio.sleep(0.05)
    info = await rig.call("get_recording_info", None, filename=started["filename"])
    assert not info["complete"]
    recording = await rig.call("stop_recording")
    info = await rig.call("get_recording_info", None, filename=started["filename"])
    listed = await rig.call("list_recordings")
    files = rig.segments(recording)
    assert info["complete"]
    assert [each["filename"] for each in recording["segments"]] == [each.name for each in files]
    assert recording["file_size"] == sum(each.stat().st_size for each in files) == info["file_size"]
    assert [each["filename"] for each in listed["files"]] == [started["filename"]]
    assert recording["duration"] == round(listed["files"][0]["duration"]) == round(info["duration"])
    marks = [mark for each in files for mark in await decoded(each)]
    assert len(files) >= 3
    assert is_gapless(marks)
    contents = [each.read_bytes() for each in files]
    assert await downloads(rig, f"/files/recordings/{started['filename']}") == contents
    assert await signed_downloads(rig, info["segments"]) == contents


async def signed_downloads(rig: Rig, described: list[dict[str, Any]]) -> list[bytes]:
    """The files of the segments, by their links alone."""
    async with httpx.AsyncClient(base_url=rig.agent.http_url, timeout=30) as http:
        answers = [await http.get(each["download_url"]) for each in described]
    assert [answer.status_code for answer in answers] == [200] * len(described)
    return [answer.content for answer in answers]


async def downloads(rig: Rig, url: str) -> list[bytes]:
    """The file at `url` and those that `Link` names after it."""
    found = []
    token = rig.agent.token()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=rig.agent.http_url, timeout=30) as http:
        answer = await http.get(url, headers=headers)
        while True:
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "video/mp4"
            found.append(answer.content)
            following = answer.links.get("next")
            if following is None:
                return found
            answer = await http.get(following["url"], headers=headers)


async def test_an_open_recording_is_downloaded_while_it_grows(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with media_rig(server_kind, tmp_path, observe) as rig:
        started = await rig.call("start_recording", wait=True)
        await anyio.sleep(1)
        async with httpx.AsyncClient(base_url=rig.agent.http_url, timeout=30) as http:
            answer = await http.get((await info(rig, started))["download_url"])
        got = answer.content
        assert len(got) == int(answer.headers["content-length"])
        with anyio.fail_after(20):
            while (await info(rig, started))["file_size"] <= len(got):
                await anyio.sleep(0.05)
        recording = await rig.call("stop_recording")
        (segment,) = rig.segments(recording)
        assert 0 < len(got) < segment.stat().st_size
        (tmp_path / "got.mp4").write_bytes(got)
        assert is_gapless(await decoded(tmp_path / "got.mp4"))


async def info(rig: Rig, recording: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await rig.call("get_recording_info", None, filename=recording["filename"])
    return found


async def test_of_two_who_start_at_once_one_starts(rig: Rig) -> None:
    outcomes: list[Any] = []

    async def start() -> None:
        try:
            async with rig.agent.client() as client:
                outcomes.append(await client.call("start_recording", device="camera0"))
        except Exception as error:  # noqa: BLE001 - judged below
            outcomes.append(error)

    async with anyio.create_task_group() as tg:
        tg.start_soon(start)
        tg.start_soon(start)
    (started,) = [each for each in outcomes if isinstance(each, dict)]
    (failed,) = [each for each in outcomes if not isinstance(each, dict)]
    assert (failed.code, failed.reason) == (-32020, "already_recording")
    assert failed.data["allowed_states"] == ["IDLE"]
    assert failed.suggestion
    recording = await rig.call("stop_recording")
    assert recording["filename"] == started["filename"]
    error = await rig.refused("stop_recording")
    assert (error.code, error.reason) == (-32020, "not_recording")


async def test_stopping_before_the_first_picture_gives_no_segments_and_says_why(rig: Rig) -> None:
    started = await rig.call("start_recording")
    recording = await rig.call("stop_recording")
    assert started["status"] == "STARTING"
    assert (recording["segments"], recording["duration"], recording["file_size"]) == ([], 0, 0)
    assert recording["reason"] == "stopped_before_first_picture"
    assert (await rig.call("list_recordings", None))["files"] == []
    error = await rig.refused("get_recording_info", None, filename=started["filename"])
    assert error.code == -32010


async def test_a_storm_of_starts_and_stops_leaves_only_what_can_be_downloaded(rig: Rig) -> None:
    for _ in range(20):
        await rig.call("start_recording")
        while_it_starts = (await rig.call("list_recordings", None))["files"]
        await rig.call("stop_recording")
        await downloadable(rig, while_it_starts)
    await downloadable(rig, (await rig.call("list_recordings", None))["files"])
    assert (
        len(list((rig.recordings / "camera0").iterdir()))
        == (await rig.call("list_recordings", None))["total"]
    )


async def downloadable(rig: Rig, files: list[dict[str, Any]]) -> None:
    """Each link leads to a file that is not empty; a recording without one has none yet."""
    async with httpx.AsyncClient(base_url=rig.agent.http_url, timeout=30) as http:
        for each in files:
            if each.get("download_url"):
                answer = await http.head(each["download_url"])
                assert answer.status_code == 200, each
                assert int(answer.headers["content-length"]) > 0, each
            else:
                assert each["file_size"] == 0


async def test_the_end_of_the_third_recording_makes_the_first_go(
    server_kind: str, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    async with media_rig(server_kind, tmp_path, observe, recordings={"max_count": 2}) as rig:
        made = []
        for _ in range(3):
            made.append((await rig.call("start_recording", wait=True))["filename"])
            await rig.call("stop_recording")
        with anyio.fail_after(20):
            while (listed := await rig.call("list_recordings", None))["total"] > 2:
                await anyio.sleep(0.05)
        assert [each["filename"] for each in listed["files"]] == made[:0:-1]


async def test_a_second_of_recording_ends_by_itself(rig: Rig) -> None:
    events: list[tuple[str, str]] = []
    async with rig.agent.client() as watcher:
        topics = ["recording.start", "recording.stop", "recording.error", "recording_status_update"]
        async with watcher.subscribe(topics, device="camera0") as seen:
            started = await rig.call("start_recording", duration=1)
            assert started["auto_stop"]
            with anyio.fail_after(20):
                async for event in seen:
                    assert event.params["filename"] == started["filename"]
                    assert event.params["device"] == "camera0"
                    events.append((event.topic, event.params["status"]))
                    if len(events) == 5:
                        break
    assert [each for each in events if each[0] == "recording_status_update"] == [
        ("recording_status_update", status) for status in ("STARTING", "RECORDING", "STOPPED")
    ]
    assert [each for each in events if each[0] != "recording_status_update"] == [
        ("recording.start", "STARTED"),
        ("recording.stop", "STOPPED"),
    ]
    described = await info(rig, started)
    assert described["complete"]
    assert 0.5 <= described["duration"] <= 5.0
    assert not (await rig.call("get_camera_status"))["is_recording"]


async def test_mpegts_is_recorded_when_asked_for(rig: Rig) -> None:
    await rig.call("start_recording", format="mpegts", wait=True)
    await anyio.sleep(1)
    recording = await rig.call("stop_recording")
    assert recording["format"] == "mpegts"
    (segment,) = rig.segments(recording)[:1]
    assert segment.suffix == ".ts"
    assert is_gapless(await decoded(segment))


async def test_a_hold_belongs_to_who_took_it(rig: Rig) -> None:
    async with rig.agent.client() as other:
        first = await rig.call("start_streaming")
        second = await call(other, "start_streaming")
        assert first["status"] == second["status"] == "STARTED"
        assert first["auto_close_after"] == "1s"
        assert (await call(other, "stop_streaming"))["stream_continues"]
        error = None
        try:
            await call(other, "stop_streaming")
        except Exception as caught:  # noqa: BLE001 - judged below
            error = caught
        assert getattr(error, "code", None) == -32020
        assert (await rig.call("get_stream_status"))["status"] == "ACTIVE"
    stopped = await rig.call("stop_streaming")
    assert not stopped["stream_continues"]


async def call(client: AgentClient, method: str) -> Any:
    with anyio.fail_after(30):
        return await client.call(method, device="camera0")


async def test_a_stream_stays_warm_for_a_while_and_then_ends(rig: Rig) -> None:
    await rig.call("start_streaming")
    await rig.call("stop_streaming")
    assert (await rig.call("get_stream_status"))["ready"]
    await rig.until("get_stream_status", ready=False, status="INACTIVE")
    again = await rig.call("start_streaming")
    assert (await rig.call("get_stream_url"))["available"]
    assert again["stream_url"].startswith("rtsp://127.0.0.1:")


async def test_a_closed_connection_lets_go_of_its_hold(rig: Rig) -> None:
    async with rig.agent.client() as other:
        await call(other, "start_streaming")
        assert (await rig.call("get_stream_status"))["status"] == "ACTIVE"
    await rig.until("get_stream_status", ready=False, status="INACTIVE")
