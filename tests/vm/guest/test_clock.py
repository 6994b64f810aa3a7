"""The machine's clock is set while a camera streams and records, as on boards without a clock of their own."""

import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from tests.vm.guest.cameras import PlugWebcam, Root
from tests.vm.guest.monitor import Lines
from tests.vm.guest.test_whole_agent import LAYOUT, LIMIT_S, Machine, machine, plays

HOUR_S = 3600
#: Packets of the stream, of five each second, that must come after each jump.
PACKETS = 15


@asynccontextmanager
async def packets(url: str) -> AsyncIterator[Lines]:
    """Yield the times of the stream's packets, as a player reads them."""
    options = ("-v", "error", "-rtsp_transport", "tcp", "-show_entries", "packet=pts_time", "-of", "csv=p=0")
    argv = ("ffprobe", *options, url)
    async with await anyio.open_process(argv, stdout=subprocess.PIPE, stderr=None) as process:
        try:
            yield Lines(process.stdout)
        finally:
            if process.returncode is None:
                process.kill()


async def times_s(lines: Lines) -> list[float]:
    """Return the times of the next packets; the first ones of a stream have none."""
    found: list[float] = []
    with anyio.fail_after(LIMIT_S):
        while len(found) < PACKETS:
            if told := re.match(r"\d+\.\d+", await lines.next()):
                found.append(float(told[0]))
    return found


async def grows(agent: Machine, recording: str) -> None:
    """Wait until the recording has more data than now."""
    before = sum(each.stat().st_size for each in agent.segments(recording))
    with anyio.fail_after(LIMIT_S):
        while sum(each.stat().st_size for each in agent.segments(recording)) <= before:
            await anyio.sleep(0.2)


@asynccontextmanager
async def clock_set(root: Root) -> AsyncIterator[list[int]]:
    """Yield a list of the jumps made, and take them back at the end."""
    jumps: list[int] = []
    try:
        yield jumps
    finally:
        with anyio.CancelScope(shield=True):
            await set_clock(root, -sum(jumps))


async def set_clock(root: Root, jump_s: int) -> None:
    await root.run("date", "--set", f"{jump_s:+d} seconds")


@pytest.mark.timeout(400)
async def test_a_stream_and_a_recording_go_on_when_the_clock_is_set(
    webcam: PlugWebcam, root: Root, tmp_path: Path
) -> None:
    async with webcam(LAYOUT), machine(tmp_path) as agent, clock_set(root) as jumps:
        await agent.until("get_camera_status", status="CONNECTED")
        stream = await agent.call("start_streaming")
        recording = (await agent.call("start_recording", wait=True))["filename"]
        async with packets(stream["stream_url"]) as lines:
            seen = await times_s(lines)
            for jump_s in (-HOUR_S, 2 * HOUR_S):
                jumps.append(jump_s)
                await set_clock(root, jump_s)
                seen += await times_s(lines)
                await grows(agent, recording)
                assert (await agent.call("get_camera_status"))["is_recording"]
                assert (await agent.snapshot())["age_ms"] < 60_000
        stopped = await agent.call("stop_recording")
        assert all(0 < later - earlier < 60 for earlier, later in pairwise(seen)), seen
        assert 3 * PACKETS / 5 - 3 < stopped["duration"] < 600
        for segment in agent.segments(recording):
            await plays(segment)
