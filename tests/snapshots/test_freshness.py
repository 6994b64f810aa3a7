"""Freshness and deadlines of the whole ladder, with random tiers against true exposure times.

The event loop has a virtual time: time-outs, pauses and the clock pass as the tiers want it, and no time is waited.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import CaptureFailed
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    CapturedAtSource,
    DetectedCamera,
    DeviceState,
    FfmpegInput,
    Fingerprint,
    Frame,
    FrameSocket,
    MediaInput,
    Picture,
    PictureFormat,
)
from agent_core.mediamtx.link import ServerState
from agent_core.plugin import CaptureRequest, LiveStream, TierNeed, TierUnavailable
from agent_core.snapshots.facts import FactSource
from agent_core.snapshots.history import FORGET_AFTER_S, PROBE_AFTER_S
from agent_core.snapshots.ladder import AllTiersFailed, SnapshotLadder, Still
from agent_core.testing.scripted_producer import a_jpeg

from .ranked_tier import RankedTier

CAMERA = CameraId("camera0")
JPEG = a_jpeg()
SOCKET = FrameSocket(Path("/nonexistent/frames"), 64, 48, 30.0)
#: Delay between an exposure and the arrival of its picture that the tiers of foreign cameras allow for.
ALLOWANCE_S = 0.3
#: Time beyond the deadline that scheduling may take; virtual time passes only in waits.
MARGIN_S = 1e-6


class _Jumping(selectors.DefaultSelector):
    """Selector that sets the time forward instead of waiting for nothing."""

    now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class LoopClock:
    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.monotonic_s())

    async def sleep(self, duration_s: float) -> None:
        await anyio.sleep(duration_s)


CLOCK = LoopClock()


def in_virtual_time(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    anyio.run(scenario, backend_options={"loop_factory": VirtualLoop})


@dataclass
class World:
    """Truth that no part of the agent sees: the camera's device, its stream, and the media server."""

    rng: random.Random
    device: DeviceState = field(default_factory=DeviceState)
    server_state: ServerState = ServerState.UP
    live_since_s: float | None = None
    media_input: MediaInput = SOCKET

    def known(self, camera: CameraId) -> LiveStream | None:
        return LiveStream(self.live_since_s, "rtsp://127.0.0.1/camera0")

    def shake(self) -> None:
        """Change something, as the world does."""
        now_s = CLOCK.monotonic_s()
        is_live = self.rng.random() < 0.6
        self.live_since_s = (self.live_since_s or now_s) if is_live else None
        self.server_state = self.rng.choice([ServerState.UP] * 5 + [ServerState.DOWN, ServerState.ABSENT])
        busy = CaptureFailed("Held.", reason="device_busy") if self.rng.random() < 0.3 else None
        changed = (busy is None) is not (self.device.problem is None)
        self.device = DeviceState(
            is_streaming=busy is None and self.rng.random() < 0.5,
            problem=busy,
            since_s=now_s if changed else self.device.since_s,
            is_refusing=busy is not None and self.rng.random() < 0.7,
        )


@dataclass(frozen=True)
class TruePicture(Picture):
    """Picture that knows its true exposure."""

    exposed_s: float = 0.0


class RandomTier(RankedTier):
    """Tier whose duration and failures are random; its pictures are as old as buffers make them.

    A tier of our own camera knows the exposure. A foreign one estimates it: arrival less the allowance, while the true
    delay is anything up to that.

    Attributes:
        slowness_s: mean duration of the attempts.
        failing: share of the attempts that fail.
        reasons: words of the failures.
        staleness: share of the pictures that come from a buffer; the tier says how old they are.
    """

    def __init__(self, rank: int, needs: TierNeed, world: World, *, is_foreign: bool) -> None:
        super().__init__(rank)
        self.needs = needs  # type: ignore[misc]
        self._world = world
        self._is_foreign = is_foreign
        self.slowness_s = 0.1
        self.failing = self.staleness = 0.2
        self.reasons = ["dark", "device_busy", "timed_out"]
        self.started_s: list[float] = []

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        now_s, rng = CLOCK.monotonic_s(), self._world.rng
        assert now_s < request.deadline_s, "asked when its time was up"
        self.started_s.append(now_s)
        await anyio.sleep(rng.expovariate(1 / self.slowness_s))
        if rng.random() < self.failing:
            kind = rng.choice([CaptureFailed, TierUnavailable])
            raise kind("It failed.", reason=rng.choice(self.reasons))
        return self._picture(request)

    def _picture(self, request: CaptureRequest) -> TruePicture:
        arrived_s, rng = CLOCK.monotonic_s(), self._world.rng
        delay_s = rng.uniform(0, ALLOWANCE_S)
        if rng.random() < self.staleness:  # it keeps an old picture, and says so
            arrived_s -= rng.uniform(0, 2)
        exposed_s = arrived_s - delay_s
        known_s = arrived_s - ALLOWANCE_S if self._is_foreign else exposed_s
        source = CapturedAtSource.ESTIMATED if self._is_foreign else CapturedAtSource.DEVICE
        return TruePicture(JPEG, PictureFormat.JPG, 64, 48, known_s, source, exposed_s=exposed_s)


class Device:
    """Frame reader whose device is the world's."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def device(self) -> DeviceState:
        return self._world.device

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> Frame:
        raise NotImplementedError


def camera(world: World) -> Camera:
    detected = DetectedCamera("k", "Front", Fingerprint("x"), world.media_input, frames=Device(world))
    return Camera(CAMERA, CameraStatus.CONNECTED, 1.0, detected)


NEEDS = (TierNeed.FRAMES, TierNeed.INPUT, TierNeed.LIVE_STREAM, TierNeed.STREAM)


def tiers_of(world: World) -> list[RandomTier]:
    return [
        RandomTier(rank, needs, world, is_foreign=world.rng.random() < 0.5)
        for rank, needs in enumerate(NEEDS)
    ]


def ladder_of(world: World, tiers: list[RandomTier]) -> SnapshotLadder:
    budgets_s = [world.rng.uniform(0.2, 6.0) for _ in tiers]
    return SnapshotLadder(tiers, budgets_s=budgets_s, clock=CLOCK, facts=FactSource(world))


async def check_one(
    ladder: SnapshotLadder, world: World, max_age_s: float, deadline_s: float
) -> Still | None:
    """Take one picture and compare it with the truth."""
    called_s = CLOCK.monotonic_s()
    still = None
    try:
        still = await ladder.take(camera(world), max_age_s=max_age_s, deadline_s=deadline_s)
    except AllTiersFailed as error:
        assert len(error.attempts) == 4, "each tier says why"
        assert all(each.reason and each.details for each in error.attempts)
    except CaptureFailed as error:
        assert error.reason == "deadline_exceeded"
    assert CLOCK.monotonic_s() <= called_s + deadline_s + MARGIN_S
    if still is not None:
        assert isinstance(still.picture, TruePicture)
        assert still.picture.exposed_s >= called_s - max_age_s
    return still


@pytest.mark.parametrize("seed", range(20))
def test_no_picture_is_older_than_allowed_and_no_call_outlives_its_deadline(seed: int) -> None:
    async def scenario() -> None:
        rng = random.Random(seed)
        world = World(rng)
        tiers = tiers_of(world)
        ladder = ladder_of(world, tiers)
        taken = [0]

        async def call() -> None:
            max_age_s, deadline_s = rng.choice([0.0, 0.2, 1.0, 5.0]), rng.choice([0.05, 0.5, 3.0, 12.0])
            taken[0] += await check_one(ladder, world, max_age_s, deadline_s) is not None

        for _ in range(60):
            world.shake()
            for tier in tiers:
                tier.slowness_s, tier.failing = rng.choice([0.01, 0.1, 1.0, 8.0]), rng.choice([0, 0.2, 0.9])
            async with anyio.create_task_group() as tg:
                for _ in range(rng.choice([1, 1, 1, 4])):
                    tg.start_soon(call)
            await anyio.sleep(rng.choice([0, 0.1, 2.0, 70.0]))
        assert taken[0] > 10
        assert sum(each.attempts for each in ladder.metrics) == sum(len(tier.started_s) for tier in tiers)

    in_virtual_time(scenario)


@pytest.mark.parametrize("seed", range(20))
def test_a_tier_that_works_again_is_used_again(seed: int) -> None:
    """Whatever was learned, a cheap tier that works is back at its place after the longest memory at the latest."""

    async def scenario() -> None:
        rng = random.Random(1000 + seed)
        world = World(rng)
        world.live_since_s = CLOCK.monotonic_s()
        tiers = tiers_of(world)
        ladder = ladder_of(world, tiers)
        for tier in tiers:
            tier.slowness_s, tier.failing = rng.choice([0.01, 1.0, 8.0]), rng.choice([0, 0.5, 1.0])
        for _ in range(40):
            await check_one(ladder, world, rng.choice([0.2, 2.0]), rng.choice([0.5, 10.0]))
            await anyio.sleep(rng.choice([0, 1.0]))
        world.device = DeviceState()
        first, *others = tiers
        first.slowness_s, first.failing, first.staleness = 0.001, 0.0, 0.0
        for tier in others:
            tier.slowness_s, tier.failing = 0.002, 0.0
        until_s = CLOCK.monotonic_s() + FORGET_AFTER_S + PROBE_AFTER_S
        ranks = []
        while CLOCK.monotonic_s() < until_s:
            still = await check_one(ladder, world, 2.0, 0.5)
            ranks.append(still.rank if still else None)
            await anyio.sleep(20.0)
        assert ranks[-1] == 0

    in_virtual_time(scenario)


@pytest.mark.parametrize("seed", range(20))
def test_the_only_tier_that_works_gets_enough_of_a_usual_deadline(seed: int) -> None:
    """Failing and hanging tiers before it leave it time, whichever tier it is and whatever was learned."""

    async def scenario() -> None:
        rng = random.Random(2000 + seed)
        world = World(rng, live_since_s=CLOCK.monotonic_s(), media_input=FfmpegInput(("-i", "x")))
        tiers = tiers_of(world)
        ladder = SnapshotLadder(tiers, budgets_s=(5.0, 6.0, 6.0, 10.0), clock=CLOCK, facts=FactSource(world))
        for _ in range(15):
            working = rng.choice(tiers)
            for tier in tiers:
                tier.slowness_s, tier.failing, tier.reasons = rng.choice([0.01, 1e6]), 1.0, ["dark"]
            working.slowness_s, working.failing = 0.001, 0.0
            still = await check_one(ladder, world, 60.0, 10.0)
            assert still is not None
            assert still.rank == working.rank
            await anyio.sleep(rng.choice([0, 1.0, 30.0]))

    in_virtual_time(scenario)
