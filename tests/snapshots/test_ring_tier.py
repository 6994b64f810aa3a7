"""Tier 0 and a camera whose exposure has to settle."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from agent_core.base.clock import SystemClock
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    DetectedCamera,
    Fingerprint,
    Picture,
    SettledBy,
    Settlement,
)
from agent_core.plugin import CaptureRequest
from agent_core.plugin.frames import BrokerSettings, FrameBroker, FrameSink
from agent_core.snapshots.ring_tier import RingTier
from agent_core.testing.scripted_producer import ScriptedProducer, a_jpeg

CLOCK = SystemClock()
DARK, LIGHT = a_jpeg(shade=5), a_jpeg(shade=200)


class Bench:
    def __init__(self, sink: FrameSink, camera: Camera) -> None:
        self._sink = sink
        self._camera = camera

    def offer(self, data: bytes, *, settled: bool, settlement: Settlement | None = None) -> None:
        now_s = CLOCK.monotonic_s()
        self._sink.offer(data, captured_s=now_s, settled=settled, settlement=settlement)

    async def capture(self, patience_s: float, *, max_age_s: float = 60.0) -> Picture:
        now_s = CLOCK.monotonic_s()
        return await RingTier(CLOCK).capture(
            self._camera, CaptureRequest(now_s - max_age_s, now_s + patience_s)
        )


@asynccontextmanager
async def streaming() -> AsyncIterator[Bench]:
    producer = ScriptedProducer()
    broker = FrameBroker(producer, clock=CLOCK, settings=BrokerSettings())
    detected = DetectedCamera("k", "Front", Fingerprint("x"), None, frames=broker)
    async with anyio.create_task_group() as tg:
        await tg.start(broker.run)
        with broker.demand(), anyio.fail_after(30):
            sink = await producer.until_streaming()
            yield Bench(sink, Camera(CameraId("camera0"), CameraStatus.CONNECTED, 0.0, detected))
        tg.cancel_scope.cancel()


async def test_a_picture_waits_for_the_exposure_to_settle() -> None:
    async with streaming() as bench:
        bench.offer(DARK, settled=False)
        taken: list[Picture] = []

        async def take() -> None:
            taken.append(await bench.capture(30))

        async with anyio.create_task_group() as tg:
            tg.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            assert taken == []
            bench.offer(LIGHT, settled=True)
        assert [(each.data, each.settled) for each in taken] == [(LIGHT, True)]


async def test_at_the_deadline_it_is_taken_as_it_is_and_says_so() -> None:
    async with streaming() as bench:
        bench.offer(DARK, settled=False)
        picture = await bench.capture(0.3)
        assert (picture.data, picture.settled) == (DARK, False)


async def test_the_picture_tells_how_the_exposure_settled() -> None:
    settlement = Settlement(SettledBy.LIMIT, 3.0)
    async with streaming() as bench:
        bench.offer(DARK, settled=True, settlement=settlement)
        assert (await bench.capture(30)).settlement == settlement
        bench.offer(LIGHT, settled=True)
        assert (await bench.capture(30)).settlement is None


async def test_a_settled_frame_of_the_ring_serves_at_once() -> None:
    async with streaming() as bench:
        bench.offer(LIGHT, settled=True)
        assert (await bench.capture(0.0)).settled
