"""Readers while other things happen: checks during evictions and requests, and what counts as the agent's own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import CameraId, CaptureRequest
from agent_core.testing import FakeStreams, SimulatedClock
from rtsp_tier.decoder import DecoderClient, VideoSource, WorkerLimits
from rtsp_tier.messages import Configure
from rtsp_tier.tiers import CodedPictures, ResidentsPolicy, View

PROGRAM = Path(__file__).with_name("fake_worker.py")
LIMITS = WorkerLimits(start_s=20.0, silence_s=10.0, check_s=5.0, memory_bytes=200 << 20, idle_s=600.0)
A, B, C = (CameraId(f"camera{number}") for number in range(3))


class AskedStreams(FakeStreams):
    """Streams that count the questions for other users, and answer them after `answers`."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.asked: list[CameraId] = []
        self.answers = anyio.Event()

    async def has_other_users(self, camera: CameraId) -> bool:
        self.asked.append(camera)
        await self.answers.wait()
        return await super().has_other_users(camera)


@dataclass
class Bench:
    """Pictures of three live streams, with readers that run and a clock that stands still."""

    pictures: CodedPictures
    streams: AskedStreams
    clock: SimulatedClock

    async def take(self, camera: CameraId, fault: str = "") -> None:
        now_s = self.clock.monotonic_s()
        stream = self.streams.serve(camera, f"rtsp://127.0.0.1:9/{fault or camera}")
        stream.watch(now_s)
        source = VideoSource.of_stream(stream.seen())
        await self.pictures.take(View(camera), source, CaptureRequest(now_s, now_s + 600))


@asynccontextmanager
async def bench(folder: Path, policy: ResidentsPolicy) -> AsyncIterator[Bench]:
    clock = SimulatedClock()
    streams = AskedStreams(clock)
    words = (sys.executable, str(PROGRAM), "good", str(folder / "worker.log"))
    decoder = DecoderClient(
        words, configure=Configure(0.5, 4.0, 4.0, 8 << 20, 90), limits=LIMITS, clock=clock
    )
    pictures = CodedPictures(decoder, streams, policy=policy, clock=clock)
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tasks:
            await tasks.start(decoder.run)
            await tasks.start(pictures.run)
            yield Bench(pictures, streams, clock)
            tasks.cancel_scope.cancel()


async def test_a_reader_may_be_evicted_while_another_one_is_checked(tmp_path: Path) -> None:
    async with bench(tmp_path, ResidentsPolicy(limit=2, within_s=10, ttl_s=60, alone_s=5)) as it:
        for camera in (A, A, B, B):
            await it.take(camera)
        it.clock.jump(1)
        await it.take(A)
        it.clock.jump(11)  # both are due, and B's picture is older than any that admits a reader
        while it.streams.asked != [A]:
            await anyio.sleep(0.01)
        await it.take(C)
        await it.take(C)
        assert [it.streams.readers[camera] for camera in (A, B, C)] == [1, 0, 1]
        it.streams.answers.set()
        await it.clock.advance(0)
        await it.take(C)
        assert it.streams.asked == [A]


@pytest.mark.parametrize("alone_s", [0, 5])
async def test_while_a_picture_is_taken_its_reader_is_left_alone_and_looked_at_rarely(
    tmp_path: Path, alone_s: float
) -> None:
    async with bench(tmp_path, ResidentsPolicy(limit=1, within_s=10, ttl_s=60, alone_s=alone_s)) as it:
        it.streams.answers.set()
        await it.take(A)
        async with anyio.create_task_group() as tg:
            tg.start_soon(it.take, A, "slow")
            await it.clock.advance(10)
            await it.take(B)  # wakes the checks
            sleeps = len(it.clock.sleeps)
            await it.clock.advance(10)
            assert it.streams.readers[A] == 1
            assert it.streams.asked == []
            assert len(it.clock.sleeps) - sleeps <= 11
            tg.cancel_scope.cancel()


@pytest.mark.parametrize(("fault", "readers"), [("unconnected", 0), ("slow", 1)])
@pytest.mark.parametrize("is_resident", [False, True])
async def test_a_reader_is_the_agents_own_only_while_it_is_connected(
    tmp_path: Path, fault: str, readers: int, *, is_resident: bool
) -> None:
    """One that is counted earlier hides a viewer, and the stream that the viewer watches could end."""
    async with bench(tmp_path, ResidentsPolicy(limit=1, within_s=10, ttl_s=60, alone_s=5)) as it:
        if is_resident:
            await it.take(A)
        async with anyio.create_task_group() as tg:
            tg.start_soon(it.take, A, fault)
            await anyio.wait_all_tasks_blocked()
            await it.take(B)  # the worker answers in order
            assert it.streams.readers[A] == readers
            tg.cancel_scope.cancel()
        assert it.streams.readers[A] == (readers if is_resident else 0)
