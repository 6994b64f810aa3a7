"""Recordings, decoded by FFmpeg."""

import os
import re
import signal
from itertools import pairwise
from typing import Any

import anyio
import pytest

from agent_core.plugin.processes import child

pytestmark = pytest.mark.timeout(120)


async def test_recording_starts_and_stops_without_disturbing_a_reader(media: Any, rtsp: Any) -> None:
    await media.add("cam", recordPartDuration="250ms")
    async with media.publishing("cam", 30), rtsp() as client:
        await client.play("cam")
        await media.patch("cam", record=True)
        (file,) = await media.recorded("cam")
        listed = (await media.api.get("/v3/recordings/get/cam")).json()
        await anyio.sleep(2)
        await media.patch("cam", record=False)
        await media.finished(file)
        await media.patch(
            "cam", record=True, recordPath=f"{media.server.recordings}/%path/other/%Y-%m-%d_%H-%M-%S-%f"
        )
        await media.recorded("cam/other")
        await media.patch("cam", record=False)
        with anyio.fail_after(10):
            found = [await client.packet() for _ in range(150)]
    numbers = [int.from_bytes(one.payload[2:4], "big") for one in found]
    assert {(after - before) & 0xFFFF for before, after in pairwise(numbers)} == {1}
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{6}\.mp4", file.name)
    start = listed["segments"][0]["start"]
    assert re.sub(r"\D", "", start).ljust(20, "0") == re.sub(r"\D", "", file.stem)
    await media.decodes(file)
    assert 1.9 < await media.duration_s(file) < 4


async def test_a_segment_is_deleted(media: Any) -> None:
    await media.add("cam", record=True, recordPartDuration="250ms")
    async with media.publishing("cam"):
        await media.recorded("cam")
    await media.until("/v3/paths/get/cam", {"ready": False})
    start = (await media.api.get("/v3/recordings/get/cam")).json()["segments"][0]["start"]
    query = {"path": "cam", "start": start}
    response = await media.api.delete("/v3/recordings/deletesegment", params=query)
    assert (response.status_code, response.text) == (200, '{"status":"ok"}')
    response = await media.api.delete("/v3/recordings/deletesegment", params=query)
    assert response.status_code == 400
    assert response.json()["error"].startswith("remove /")
    assert response.json()["error"].endswith(": no such file or directory")
    response = await media.api.delete("/v3/recordings/deletesegment", params={"path": "cam", "start": "soon"})
    assert response.json()["error"].startswith("invalid 'start' parameter: parsing time \"soon\"")
    assert (await media.api.get("/v3/recordings/list")).json()["items"] == []


async def test_deleting_a_path_ends_its_recording_and_hides_its_recordings(media: Any, rtsp: Any) -> None:
    await media.add("cam", record=True, recordPartDuration="250ms")
    async with media.publishing("cam"), rtsp() as client:
        await client.play("cam")
        (file,) = await media.recorded("cam")
        assert (await media.api.delete("/v3/config/paths/delete/cam")).status_code == 200
        await client.ended()
    await media.finished(file)
    response = await media.api.get("/v3/recordings/get/cam")
    assert (response.status_code, response.json()["error"]) == (400, "path 'cam' is not configured")


async def test_three_segments(media: Any) -> None:
    await media.add("cam", record=True, recordPartDuration="250ms", recordSegmentDuration="2s")
    async with media.publishing("cam", 15):
        files = await media.recorded("cam", 3)
        await media.patch("cam", record=False)
        await media.finished(files[2])
    for file in files:
        await media.decodes(file)
        assert (await media.packets(str(file)))[0][2], "a segment starts with a key frame"
    lengths = [await media.duration_s(file) for file in files]
    assert all(1.95 < length < 2.8 for length in lengths[:2])
    listed = (await media.api.get("/v3/recordings/get/cam")).json()["segments"]
    assert len(listed) == 3


@pytest.mark.parametrize(
    ("rate", "filters"),
    [(5, ()), (15, ()), (30, ()), (30, ("-vf", "select='if(lt(mod(t,2),1),not(mod(n,6)),1)'"))],
)
async def test_a_recording_lasts_as_long_as_the_clock_says(
    media: Any, rate: int, filters: tuple[str, ...]
) -> None:
    await media.add("cam", record=True, recordPartDuration="250ms")
    async with media.publishing("cam", rate, *filters):
        (file,) = await media.recorded("cam")
        await anyio.sleep(3.5)
        before_s = anyio.current_time()
        await media.patch("cam", record=False)
        await media.finished(file)
        wall = (file.stat().st_mtime - media.started(file)) - (anyio.current_time() - before_s)
    # On a busy machine the first picture arrives late and the next ones catch up.
    assert abs(await media.duration_s(file) - wall) < 1.0 + 1 / rate


async def test_mpegts(media: Any) -> None:
    await media.add("cam", record=True, recordFormat="mpegts", recordPartDuration="250ms")
    async with media.publishing("cam", 30):
        (file,) = await media.recorded("cam")
        await anyio.sleep(2)
    await media.until("/v3/paths/get/cam", {"ready": False})
    assert file.suffix == ".ts"
    assert (await media.packets(str(file)))[0][2]
    assert 1.5 < await media.duration_s(file) < 6


async def test_a_killed_publisher_leaves_a_complete_file(media: Any) -> None:
    await media.add("cam", record=True, recordPartDuration="250ms")
    async with child(media.publisher_argv(f"{media.server.rtsp_url}/cam")) as process:
        (file,) = await media.recorded("cam")
        os.killpg(process.pid, signal.SIGKILL)
        await media.until("/v3/paths/get/cam", {"ready": False})
    await media.finished(file)
    await media.decodes(file)


REORDERING = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-pix_fmt", "yuv420p", "-forced-idr", "1")
H265 = (
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:bframes=0",
    "-forced-idr",
    "1",
)


@pytest.mark.parametrize("encoder", [REORDERING, H265], ids=["reordering", "h265"])
@pytest.mark.parametrize("record_format", ["fmp4", "mpegts"])
async def test_other_encoders(media: Any, encoder: tuple[str, ...], record_format: str) -> None:
    await media.add("cam", record=True, recordFormat=record_format, recordPartDuration="250ms")
    async with media.publishing("cam", 30, encoder=encoder):
        (file,) = await media.recorded("cam")
        await anyio.sleep(2)
    await media.until("/v3/paths/get/cam", {"ready": False})
    if record_format == "fmp4":
        await media.finished(file)
        await media.decodes(file)
    times = sorted(time for time, _, _ in await media.packets(str(file)))
    assert len(times) > 45
    steps = [after - before for before, after in pairwise(times)]
    assert max(steps) < 0.2
    assert min(steps) > 0.02
