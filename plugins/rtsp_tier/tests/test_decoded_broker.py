"""Tier 0 of cameras with coded video, with the real broker and its frame socket."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import (
    Camera,
    CapturedAtSource,
    CaptureFailed,
    DetectedCamera,
    Fingerprint,
    FrameSocket,
    Picture,
    VideoCodec,
)
from agent_core.plugin.frames import BrokerSettings, BrokerState, FrameBroker, FrameServer
from agent_core.snapshots.facts import FactSource
from agent_core.snapshots.ladder import SnapshotLadder, Still
from agent_core.testing import FakeAgent, SystemClock, as_camera
from agent_core.testing.waiting import eventually
from rtsp_tier.component import RtspTierComponent
from rtsp_tier.settings import RtspTierSettings
from tests.odd.coded_camera import number_in
from tests.odd.coded_producer import NumberedProducer, access_units

LIMIT_S = 30.0


@dataclass
class Rig:
    """Camera with a broker, and the ladder of an agent that has this tier only."""

    producer: NumberedProducer
    broker: FrameBroker
    camera: Camera
    ladder: SnapshotLadder

    async def take(self, *, max_age_s: float = 0.0, deadline_s: float = LIMIT_S) -> Still:
        return await self.ladder.take(self.camera, max_age_s=max_age_s, deadline_s=deadline_s)

    def check_honest(self, picture: Picture) -> None:
        """Fail if the picture was taken before it says."""
        assert picture.captured_s <= self.producer.exposed_s[number_in(picture.data)] + 1e-5


@asynccontextmanager
async def rig(
    folder: Path,
    producer: NumberedProducer,
    *,
    codec: str = "h264",
    fps: float = 25.0,
    keep_warm_s: float = 5.0,
    resident_readers: int = 4,
    **limits: float,
) -> AsyncIterator[Rig]:
    clock, video = SystemClock(), VideoCodec(codec)
    broker = FrameBroker(producer, clock=clock, settings=BrokerSettings(**limits), codec=video)  # type: ignore[arg-type] # times
    socket = FrameSocket(folder / "camera0.sock", 288, 96, fps, video)
    detected = DetectedCamera("0", "Test", Fingerprint("test", "0"), socket, device=broker)
    settings = RtspTierSettings(keep_warm_s=keep_warm_s, resident_readers=resident_readers)
    component = RtspTierComponent.assemble(FakeAgent(folder, clock=clock), settings)
    ladder = SnapshotLadder([component.decoded], budgets_s=(LIMIT_S,), clock=clock, facts=FactSource())
    server = FrameServer(broker, socket.path, clock=clock, fps=fps)
    async with anyio.create_task_group() as tasks:
        for each in (component, broker, server):
            await tasks.start(each.run)
        yield Rig(producer, broker, as_camera(detected, "camera0"), ladder)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("codec", "group"), [("h264", 8), ("h264", 80), ("h265", 8), ("h265", 80)])
@pytest.mark.parametrize("has_device_times", [True, False])
async def test_pictures_are_as_new_as_asked_and_no_older_than_they_say(
    tmp_path: Path, codec: str, group: int, *, has_device_times: bool
) -> None:
    producer = NumberedProducer(access_units(codec, group=group), has_device_times=has_device_times)
    source = CapturedAtSource.DEVICE if has_device_times else CapturedAtSource.ARRIVAL
    async with rig(tmp_path, producer, codec=codec) as bench:
        for max_age_s in (0.0, 1.0, 60.0, 0.0, 0.0):
            asked_s = time.monotonic()
            still = await bench.take(max_age_s=max_age_s)
            assert (still.rank, still.tier, still.attempts) == (0, "decoded_frames", ())
            assert still.picture.captured_at_source is source
            assert still.picture.captured_s >= asked_s - max_age_s
            if has_device_times:
                bench.check_honest(still.picture)
    assert producer.starts == 1


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("codec", "readers"), [("h264", 4), ("h264", 0), ("h265", 4), ("h265", 0)])
async def test_whatever_happens_no_picture_is_older_than_it_says(
    tmp_path: Path, codec: str, readers: int
) -> None:
    """Requests of any age at any time, while pictures are lost, the camera starts anew and its clock is set."""
    chance = random.Random(readers)
    producer = NumberedProducer(access_units(codec, group=20))
    async with rig(
        tmp_path, producer, codec=codec, resident_readers=readers, keep_warm_s=0.2, warm_ttl_s=0.2
    ) as bench:
        for _ in range(12):
            producer.losses = chance.choice((0, 0, 1, 3, 30))
            producer.clock_ahead_s = chance.choice((0.0, 0.0, -0.3, -5.0))
            max_age_s = chance.choice((0.0, 0.0, 0.3, 1.0, 5.0))
            asked_s = time.monotonic()
            picture = (await bench.take(max_age_s=max_age_s)).picture
            assert picture.captured_s >= asked_s - max_age_s
            bench.check_honest(picture)
            await anyio.sleep(chance.choice((0.0, 0.0, 0.1, 0.7)))


async def test_a_cold_camera_is_waited_for_until_it_has_settled(tmp_path: Path) -> None:
    producer = NumberedProducer(access_units(), settles_after=20)
    async with rig(tmp_path, producer) as bench:
        picture = (await bench.take()).picture
        assert picture.settled
        assert number_in(picture.data) >= 20
        bench.check_honest(picture)


async def test_before_the_deadline_a_picture_is_taken_as_it_is(tmp_path: Path) -> None:
    producer = NumberedProducer(access_units(), settles_after=1 << 30)
    async with rig(
        tmp_path, producer, fps=0.25
    ) as bench:  # so that the time for it is long on a busy host, too
        still = await bench.take(deadline_s=18.0)
        assert not still.picture.settled
        bench.check_honest(still.picture)


async def test_the_camera_is_released_after_the_last_picture(tmp_path: Path) -> None:
    async with rig(
        tmp_path, NumberedProducer(access_units()), keep_warm_s=0.1, warm_ttl_s=0.1, parked_ttl_s=0.1
    ) as bench:
        for starts in (1, 2):
            await bench.take()
            assert bench.producer.starts == starts

            async def is_cold() -> bool:
                return bench.broker.state is BrokerState.COLD

            await eventually(is_cold, timeout_s=LIMIT_S)


@pytest.mark.parametrize(
    ("faults", "reason"), [({"is_silent": True}, "camera_stalled"), ({"skips": 1}, "no_key_frame")]
)
async def test_a_camera_without_pictures_or_key_frames_says_so_itself(
    tmp_path: Path, faults: dict[str, int], reason: str
) -> None:
    producer = NumberedProducer(access_units(group=80, pictures=80), **faults)  # type: ignore[arg-type] # one of them
    async with rig(tmp_path, producer, first_frame_s=1.0, stall_s=1.0, key_frame_s=1.0) as bench:
        with pytest.raises(CaptureFailed) as caught:
            await bench.take(deadline_s=15.0)
        assert caught.value.reason == reason


async def test_a_camera_that_stalls_amid_pictures_says_so_and_serves_again(tmp_path: Path) -> None:
    async with rig(tmp_path, NumberedProducer(access_units()), stall_s=0.5, first_frame_s=0.5) as bench:
        await bench.take()
        bench.producer.is_silent = True
        with pytest.raises(CaptureFailed) as caught:
            await bench.take(deadline_s=10.0)
        assert caught.value.reason == "camera_stalled"
        bench.producer.is_silent = False

        async def has_recovered() -> bool:
            try:
                bench.check_honest((await bench.take()).picture)
            except CaptureFailed:
                return False
            return True

        await eventually(has_recovered, timeout_s=LIMIT_S)
