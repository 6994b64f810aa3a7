import io
import os
import shutil
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from PIL import Image

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.errors import CaptureFailed, StartFailed, StorageFailed
from agent_core.base.socket_place import LOOK_S
from agent_core.plugin import ffmpeg, jpeg
from agent_core.plugin.frames import BrokerSettings, BrokerState, FrameBroker, FrameServer
from agent_core.testing import SimulatedClock
from agent_core.testing.matroska import SentHeader, frames_of, header_of
from agent_core.testing.scripted_producer import ScriptedProducer, a_jpeg

CLOCK = SystemClock()


class Bench:
    def __init__(self, path: Path, settings: BrokerSettings, clock: Clock = CLOCK) -> None:
        self.path = path
        self.clock = clock
        self.producer = ScriptedProducer()
        self.broker = FrameBroker(self.producer, clock=clock, settings=settings)
        self.server = FrameServer(self.broker, path, clock=clock, fps=20)

    def offer(self, data: bytes) -> None:
        self.producer.sink.offer(data, captured_s=self.clock.monotonic_s())

    async def keep_offering(self, data: bytes) -> None:
        """Offer `data` at a camera's pace until cancelled: when the server accepts a client is not known here."""
        while True:
            self.offer(data)
            await anyio.sleep(0.02)

    async def connect(self) -> SocketStream:
        return await anyio.connect_unix(self.path)


@asynccontextmanager
async def serving(path: Path, settings: BrokerSettings | None = None) -> AsyncIterator[Bench]:
    bench = Bench(path, settings or BrokerSettings())
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tg:
            await tg.start(bench.broker.run)
            await tg.start(bench.server.run)
            yield bench
            tg.cancel_scope.cancel()


async def receive_all(client: SocketStream) -> bytes:
    """Everything up to the server's closing."""
    output = bytearray()
    try:
        while True:
            output += await client.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return bytes(output)


class Received:
    """Stream that a client has received so far."""

    def __init__(self, client: SocketStream) -> None:
        self._client = client
        self.data = bytearray()

    def frames(self) -> list[bytes]:
        return [frame.data for frame in frames_of(bytes(self.data))]

    async def frame(self, number: int) -> bytes:
        """Return frame `number`, counted from 0, as soon as it is here whole."""
        while len(found := self.frames()) <= number:
            self.data += await self._client.receive()
        return found[number]


def frames_in(data: bytes) -> list[bytes]:
    return [frame.data for frame in frames_of(data)]


async def test_a_client_is_demand_and_gets_each_frame_whole(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench:
        client = await bench.connect()
        async with client:
            await bench.producer.until_streaming()
            await anyio.wait_all_tasks_blocked()
            received = Received(client)
            for number, shade in enumerate((10, 100, 200)):
                data = a_jpeg(shade=shade)
                bench.offer(data)
                assert await received.frame(number) == data


async def test_the_stream_is_matroska_with_the_size_rate_and_times_of_the_frames(tmp_path: Path) -> None:
    clock = SimulatedClock()
    bench = Bench(tmp_path / "s", BrokerSettings(), clock)
    async with anyio.create_task_group() as tg:
        await tg.start(bench.broker.run)
        await tg.start(bench.server.run)
        async with await bench.connect() as client:
            await bench.producer.until_streaming()
            await anyio.wait_all_tasks_blocked()
            received = Received(client)
            for number, pause_s in enumerate((0.5, 0.05, 1.25)):
                await clock.advance(pause_s)
                bench.offer(a_jpeg(160, 120))
                await received.frame(number)
        tg.cancel_scope.cancel()
    stream = bytes(received.data)
    assert header_of(stream) == SentHeader("matroska", "V_MJPEG", 1000, 50_000_000, 160, 120)
    first_us = round(SimulatedClock().monotonic_s() * 1e6)
    assert [frame.time - first_us for frame in frames_of(stream)] == [500_000, 550_000, 1_800_000]


async def test_a_client_is_closed_when_the_size_of_the_frames_changes(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench:
        async with await bench.connect() as client:
            await bench.producer.until_streaming()
            await anyio.wait_all_tasks_blocked()
            received = Received(client)
            bench.offer(a_jpeg(160, 120))
            await received.frame(0)
            bench.offer(a_jpeg(320, 240))
            assert await receive_all(client) == b""
        async with await bench.connect() as client, anyio.create_task_group() as tg:
            tg.start_soon(bench.keep_offering, a_jpeg(320, 240))
            assert await Received(client).frame(0) == a_jpeg(320, 240)
            tg.cancel_scope.cancel()


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, fps: float) -> None:
    bench = Bench(tmp_path / "s", BrokerSettings())
    with pytest.raises(ValueError, match="must be above 0"):
        FrameServer(bench.broker, tmp_path / "s", clock=CLOCK, fps=fps)


async def test_a_stream_does_not_wait_for_the_exposure_to_settle(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench, await bench.connect() as client:
        sink = await bench.producer.until_streaming()
        await anyio.wait_all_tasks_blocked()
        dark = a_jpeg(shade=5)
        sink.offer(dark, captured_s=CLOCK.monotonic_s(), settled=False)
        assert await Received(client).frame(0) == dark


async def test_the_first_frame_is_not_older_than_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench:
        old, new = a_jpeg(shade=1), a_jpeg(shade=250)
        with bench.broker.demand():
            await bench.producer.until_streaming()
            bench.offer(old)
        client = await bench.connect()
        async with client, anyio.create_task_group() as tg:
            tg.start_soon(bench.keep_offering, new)
            assert await Received(client).frame(0) == new
            tg.cancel_scope.cancel()


async def test_a_slow_client_gets_fewer_frames_not_older_ones_and_slows_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench:
        slow, quick = await bench.connect(), await bench.connect()
        async with slow, quick:
            await bench.producer.until_streaming()
            await anyio.wait_all_tasks_blocked()
            sent = [a_jpeg(320, 240, shade=shade) for shade in range(250)]
            received, late = Received(quick), Received(slow)
            for number, data in enumerate(sent):
                bench.offer(data)
                assert await received.frame(number) == data
            while sent[-1] not in late.frames():
                late.data += await slow.receive()
        got = late.frames()
        numbers = [sent.index(data) for data in got]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == len(sent) - 1
        assert len(numbers) < len(sent) / 2


async def test_clients_are_closed_when_the_producer_hangs(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", BrokerSettings(first_frame_s=0.2, stall_s=0.2)) as bench:
        client = await bench.connect()
        async with client:
            await bench.producer.until_streaming()
            await anyio.wait_all_tasks_blocked()
            bench.offer(a_jpeg())
            assert frames_in(await receive_all(client)) == [a_jpeg()]
        assert bench.broker.stats.stalls == 1


async def test_a_client_that_does_not_read_is_closed_with_the_others(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench:
        client = await bench.connect()
        async with client:
            await bench.producer.until_streaming()
            await anyio.wait_all_tasks_blocked()
            noise = io.BytesIO()
            Image.frombytes("RGB", (640, 480), os.urandom(640 * 480 * 3)).save(noise, "JPEG")
            bench.offer(noise.getvalue())
            await anyio.wait_all_tasks_blocked()
            bench.producer.end(CaptureFailed("Unplugged."))
            await anyio.wait_all_tasks_blocked()
            received = await receive_all(client)
            assert len(received) < len(noise.getvalue())


async def test_a_client_during_a_failure_is_closed_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", BrokerSettings(backoff_s=30, backoff_limit_s=30)) as bench:
        bench.producer.park_error = CaptureFailed("Busy.")
        for _ in range(2):
            client = await bench.connect()
            async with client:
                assert frames_in(await receive_all(client)) == []


async def test_a_client_that_is_gone_before_it_was_served_does_no_harm(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench:
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(bench.path))
        async with await bench.connect() as other:
            await bench.producer.until_streaming()
            await anyio.wait_all_tasks_blocked()
            bench.offer(a_jpeg())
            assert await Received(other).frame(0) == a_jpeg()


async def test_the_end_of_a_client_ends_its_demand(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", BrokerSettings(warm_ttl_s=0.05)) as bench:
        client = await bench.connect()
        async with client:
            await bench.producer.until_streaming()
        await bench.producer.until_idle()
        await anyio.wait_all_tasks_blocked()
        assert bench.broker.state is BrokerState.PARKED


async def test_a_client_that_talks_is_closed(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench:
        client = await bench.connect()
        async with client:
            await client.send(b"GET / HTTP/1.1\r\n\r\n")
            assert frames_in(await receive_all(client)) == []


async def test_clients_are_closed_at_shutdown_and_the_socket_is_gone(tmp_path: Path) -> None:
    async with anyio.create_task_group() as readers:
        async with serving(tmp_path / "s") as bench:
            client = await bench.connect()
            readers.start_soon(receive_all, client)
            await bench.producer.until_streaming()
        assert not (tmp_path / "s").exists()
    await client.aclose()


@pytest.mark.parametrize("steps", range(8))
async def test_ended_while_it_starts_it_leaves_no_socket(tmp_path: Path, steps: int) -> None:
    bench = Bench(tmp_path / "s", BrokerSettings())
    async with anyio.create_task_group() as tg:
        tg.start_soon(bench.server.run)
        while not bench.path.exists():
            await anyio.lowlevel.checkpoint()
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        tg.cancel_scope.cancel()
    assert not bench.path.exists()


async def test_the_socket_is_for_the_owner_and_the_group(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench:
        assert stat.S_IMODE(bench.path.stat().st_mode) == 0o660


async def test_a_socket_that_a_killed_agent_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with serving(path) as bench, await bench.connect() as client:
        assert client.extra(SocketAttribute.family) is socket.AF_UNIX  # noqa: S610 - anyio's


async def test_too_long_an_address_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    bench = Bench(tmp_path / ("x" * 200), BrokerSettings())
    with pytest.raises(StartFailed) as caught:
        await bench.server.run()
    assert caught.value.reason == "socket_path_too_long"
    assert "runtime_dir" in caught.value.suggestion
    assert str(tmp_path) not in caught.value.details


async def test_ffmpeg_reads_the_socket(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as bench, anyio.create_task_group() as tg:
        output = bytearray()

        async def grab() -> None:
            read = (
                "-fpsprobesize",
                "0",
                "-rw_timeout",
                "4000000",
                "-f",
                "matroska",
                "-i",
                f"unix:{bench.path}",
            )
            copy = (
                "-frames:v",
                "5",
                "-fps_mode",
                "passthrough",
                "-c:v",
                "copy",
                "-f",
                "image2pipe",
                "pipe:1",
            )
            output.extend(await ffmpeg.run(ffmpeg.locate(), (*read, *copy)))
            tg.cancel_scope.cancel()

        tg.start_soon(grab)
        await bench.producer.until_streaming()
        shade = 0
        while True:
            if bench.producer.streaming:
                bench.offer(a_jpeg(160, 120, shade=shade % 256))
            shade += 1
            await anyio.sleep(0.02)
    got = bytes(output).split(b"\xff\xd8\xff")[1:]  # there are no thumbnails inside
    assert len(got) == 5
    sizes = [jpeg.inspect(b"\xff\xd8\xff" + each) for each in got]
    assert {(each.width, each.height) for each in sizes} == {(160, 120)}


@pytest.mark.parametrize("how", ["socket", "folder", "renamed", "replaced"])
async def test_a_socket_that_vanishes_is_made_again_and_nobody_is_cut_off(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SimulatedClock()
    path = tmp_path / "run" / "s"
    bench = Bench(path, BrokerSettings(stall_s=1e6, first_frame_s=1e6), clock)
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tg:
            await tg.start(bench.broker.run)
            await tg.start(bench.server.run)
            async with await bench.connect() as early:
                await bench.producer.until_streaming()
                vanish(path, how)
                await clock.advance(LOOK_S)
                async with await bench.connect() as late:
                    await anyio.wait_all_tasks_blocked()
                    bench.offer(a_jpeg())
                    assert [await Received(each).frame(0) for each in (early, late)] == [a_jpeg(), a_jpeg()]
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            tg.cancel_scope.cancel()
    assert not path.exists()
    assert len([each for each in caplog.records if "has vanished" in each.message]) == 1


def vanish(path: Path, how: str) -> None:
    if how == "folder":
        shutil.rmtree(path.parent)
        return
    path.rename(path.with_name("elsewhere")) if how == "renamed" else path.unlink()
    if how == "replaced":
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))


async def test_a_socket_that_cannot_be_made_again_is_a_problem_of_the_camera(tmp_path: Path) -> None:
    clock = SimulatedClock()
    bench = Bench(tmp_path / "run" / "s", BrokerSettings(), clock)
    problems: list[StorageFailed] = []

    async def serve(*, task_status: TaskStatus[None]) -> None:
        try:
            await bench.server.run(task_status=task_status)
        except* StorageFailed as group:
            problems.extend(error for error in group.exceptions if isinstance(error, StorageFailed))

    with anyio.fail_after(40):
        async with anyio.create_task_group() as tg:
            await tg.start(serve)
            shutil.rmtree(tmp_path / "run")
            (tmp_path / "run").write_text("in the way")
            await clock.advance(LOOK_S)
    assert len(problems) == 1
