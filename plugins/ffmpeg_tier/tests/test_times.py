"""Times, level and bytes of a frame socket's stream, frame by frame: each is offered after the last was published."""

import io
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteReceiveStream
from anyio.streams.buffered import BufferedByteReceiveStream
from PIL import Image

from agent_core.plugin import FrameSocket
from agent_core.plugin.frames import BrokerSettings, FrameBroker, FrameServer
from agent_core.plugin.processes import child
from agent_core.testing import SimulatedClock
from agent_core.testing.scripted_producer import ScriptedProducer
from agent_core.testing.wall_clock import ProgramWallClock
from ffmpeg_tier import FfmpegTierSettings, publisher

SIZE = (640, 480)
UNEVEN_S = (0.004, 0.1, 1 / 30, 0.25, 0.011, 1 / 60, 0.7, 1 / 15)
#: One tick of the stream's 90 kHz clock, twice: a difference of two rounded times.
TOLERANCE_S = 2 / 90_000


def pictures(count: int) -> list[bytes]:
    """Return JPEGs with enough movement for an encoder to spend its bits on."""
    made = []
    for number in range(count):
        output = io.BytesIO()
        Image.linear_gradient("L").resize(SIZE).rotate(number * 7).convert("RGB").save(output, "JPEG")
        made.append(output.getvalue())
    return made


PICTURES = pictures(30)


def intervals(fps: float, count: int) -> list[float]:
    return [1 / fps] * count


class Published:
    """Publisher's FFmpeg with a camera in simulated time."""

    def __init__(self, output: ByteReceiveStream, producer: ScriptedProducer, clock: SimulatedClock) -> None:
        self._output = BufferedByteReceiveStream(output)
        self._producer = producer
        self._clock = clock
        self._picture = itertools.cycle(PICTURES)
        self._unit_s = 0.0
        self.times_s: list[float] = []
        self.captured_s: list[float] = []
        self.size_bytes = 0

    async def shoot(self, interval_s: float) -> None:
        """Let `interval_s` pass, offer a frame and wait until FFmpeg has published it."""
        await self._clock.advance(interval_s)
        sink = await self._producer.until_streaming()
        captured_s = self._clock.monotonic_s()
        sink.offer(next(self._picture), captured_s=captured_s)
        self.captured_s.append(captured_s)
        while not (line := await self._line())[:1].isdigit():
            if line.startswith("#tb"):
                numerator, denominator = line.split()[-1].split("/")
                self._unit_s = int(numerator) / int(denominator)
        fields = line.split(",")
        self.times_s.append(int(fields[2]) * self._unit_s)
        self.size_bytes += int(fields[4])

    async def _line(self) -> str:
        return (await self._output.receive_until(b"\n", 1000)).decode()

    def assert_exact(self) -> None:
        captured_s = [after - before for before, after in pairwise(self.captured_s)]
        published_s = [after - before for before, after in pairwise(self.times_s)]
        assert published_s == pytest.approx(captured_s, abs=TOLERANCE_S)


@asynccontextmanager
async def published(
    program: str, folder: Path, fps: float, *, server_fps: bool = True, **settings: object
) -> AsyncIterator[Published]:
    """Run the publisher's command with its stream written to `folder` and its times printed."""
    clock, producer = SimulatedClock(), ScriptedProducer()
    broker = FrameBroker(producer, clock=clock, settings=BrokerSettings(stall_s=1e6, first_frame_s=1e6))
    path = folder / "s"
    told = {"fps": fps} if server_fps else {}
    command = publisher(FrameSocket(path, *SIZE, fps), FfmpegTierSettings.model_validate(settings), program)
    assert command is not None
    encode = command.argv[: command.argv.index("rtsp") - 1]
    both = f"[f=h264:flush_packets=1]{folder / 'stream.h264'}|[f=framecrc:flush_packets=1]pipe:1"
    with anyio.fail_after(50):
        async with anyio.create_task_group() as tg:
            await tg.start(broker.run)
            await tg.start(FrameServer(broker, path, clock=clock, **told).run)
            async with child([*encode, "-f", "tee", both]) as process:
                assert process.stdout is not None
                await producer.until_streaming()
                await anyio.wait_all_tasks_blocked()
                yield Published(process.stdout, producer, clock)
            tg.cancel_scope.cancel()


def level(folder: Path) -> float:
    """Return the level in the first sequence parameter set (H.264, 7.3.2.1.1), such as 3.1."""
    data = (folder / "stream.h264").read_bytes()
    return data[data.index(b"\0\0\1\x67") + 6] / 10


@pytest.mark.parametrize("fps", [0.2, 15, 30, 60])
async def test_each_frame_is_published_at_once_with_its_own_time(
    program: str, tmp_path: Path, fps: float
) -> None:
    """The first frame does not wait for a second one, and no frame for the next."""
    async with published(program, tmp_path, fps) as stream:
        for interval_s in intervals(fps, 20):
            await stream.shoot(interval_s)
    stream.assert_exact()


async def test_a_camera_that_is_slow_to_start_is_waited_for(program: str, tmp_path: Path) -> None:
    """FFmpeg 9 leaves at its first time-out, here a sixth of a second, if it has not got the stream's beginning."""
    async with published(program, tmp_path, 30, network_timeout_s=0.5) as stream:
        await anyio.sleep(1)
        for interval_s in intervals(30, 3):
            await stream.shoot(interval_s)
    stream.assert_exact()


@pytest.mark.parametrize("server_fps", [True, False])
async def test_an_uneven_rate_keeps_its_times(program: str, tmp_path: Path, server_fps: bool) -> None:
    async with published(program, tmp_path, 30, server_fps=server_fps) as stream:
        for interval_s in UNEVEN_S * 3:
            await stream.shoot(interval_s)
    stream.assert_exact()


@pytest.mark.parametrize("offset_s", [-3600, 7200])
async def test_a_wall_clock_that_is_set_changes_no_time(
    program: str, tmp_path: Path, offset_s: float
) -> None:
    wall_clock = ProgramWallClock(tmp_path)
    async with published(wall_clock.wrapped(program), tmp_path, 30) as stream:
        for new_offset_s in (0, offset_s, 0):
            wall_clock.set(new_offset_s)
            for interval_s in (*intervals(30, 8), 0.2):
                await stream.shoot(interval_s)
    stream.assert_exact()


@pytest.mark.parametrize("fps", [15, 30, 60])
async def test_the_encoder_plans_for_the_cameras_rate(program: str, tmp_path: Path, fps: float) -> None:
    """A wrong rate shows in the level (640x480 needs at most 3.1) and in the bytes per second."""
    intervals_s = intervals(fps, 3 * round(fps))
    async with published(program, tmp_path, fps, bitrate_kbps=400) as stream:
        for interval_s in intervals_s:
            await stream.shoot(interval_s)
    assert 2.1 <= level(tmp_path) <= 3.1
    assert stream.size_bytes * 8 / sum(intervals_s) == pytest.approx(400e3, rel=0.25)


async def test_a_server_that_was_not_told_the_rate_lets_the_encoder_plan_sensibly(
    program: str, tmp_path: Path
) -> None:
    async with published(program, tmp_path, 30, server_fps=False) as stream:
        for interval_s in intervals(30, 10):
            await stream.shoot(interval_s)
    assert 2.1 <= level(tmp_path) <= 3.1
