"""The ladder of tiers, and one capture for many callers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import CaptureFailed
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    CapturedAtSource,
    DetectedCamera,
    Fingerprint,
    Picture,
    PictureFormat,
)
from agent_core.plugin import CaptureRequest, SnapshotTier, TierUnavailable
from agent_core.snapshots.ladder import AllTiersFailed, SnapshotLadder, Still
from agent_core.testing import SimulatedClock
from agent_core.testing.scripted_producer import a_jpeg

from .ranked_tier import RankedTier

CLOCK = SystemClock()
JPEG = a_jpeg()
Script = Callable[[CaptureRequest], Awaitable[Picture]]


def camera(status: CameraStatus = CameraStatus.CONNECTED) -> Camera:
    return Camera(CameraId("camera0"), status, 0.0, DetectedCamera("k", "Front", Fingerprint("x"), None))


def picture(captured_s: float) -> Picture:
    return Picture(JPEG, PictureFormat.JPG, 4, 3, captured_s, CapturedAtSource.DEVICE)


class Scripted(RankedTier):
    def __init__(self, rank: int, script: Script, *, supports: bool = True) -> None:
        super().__init__(rank)
        self._script = script
        self._supports = supports
        self.requests: list[CaptureRequest] = []

    def supports(self, camera: Camera) -> bool:
        return self._supports

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        self.requests.append(request)
        return await self._script(request)


async def good(request: CaptureRequest) -> Picture:
    await anyio.lowlevel.checkpoint()
    return picture(CLOCK.monotonic_s())


async def unavailable(request: CaptureRequest) -> Picture:
    raise TierUnavailable("No stream is live.")


async def broken(request: CaptureRequest) -> Picture:
    raise CaptureFailed("The device is in use.", reason="device_busy", suggestion="Close it.")


async def buggy(request: CaptureRequest) -> Picture:
    raise ZeroDivisionError


async def hanging(request: CaptureRequest) -> Picture:
    await anyio.sleep_forever()
    raise AssertionError


async def stale(request: CaptureRequest) -> Picture:
    return picture(request.not_before_s - 0.001)


def manager(*tiers: SnapshotTier, budget_s: float = 5.0) -> SnapshotLadder:
    return SnapshotLadder(tiers, budgets_s=(budget_s,) * 4, clock=CLOCK)


async def take(snapshots: SnapshotLadder, *, max_age_s: float = 0.5, deadline_s: float = 10.0) -> Still:
    with anyio.fail_after(20):
        return await snapshots.take(camera(), max_age_s=max_age_s, deadline_s=deadline_s)


async def test_the_lowest_rank_that_works_serves_and_the_others_say_why() -> None:
    tiers = [
        Scripted(3, good),
        Scripted(2, broken),
        Scripted(0, unavailable),
        Scripted(1, good, supports=False),
    ]
    still = await take(manager(*tiers))
    assert (still.rank, still.tier) == (3, "tier3")
    assert [(each.rank, each.reason) for each in still.attempts] == [
        (0, "tier_unavailable"),
        (2, "device_busy"),
    ]


@pytest.mark.parametrize(
    ("script", "reason"),
    [(buggy, "tier_error"), (stale, "too_old"), (hanging, "timed_out"), (broken, "device_busy")],
)
async def test_whatever_a_tier_does_costs_only_its_attempt(script: Script, reason: str) -> None:
    still = await take(manager(Scripted(0, script), Scripted(1, good), budget_s=0.05))
    assert still.rank == 1
    assert still.attempts[0].reason == reason


async def test_when_none_serves_the_error_says_why_each_did_not() -> None:
    with pytest.raises(AllTiersFailed) as caught:
        await take(manager(Scripted(0, broken), Scripted(2, unavailable)))
    assert caught.value.reason == "device_busy"
    assert [(each.rank, each.reason) for each in caught.value.attempts] == [
        (0, "device_busy"),
        (2, "tier_unavailable"),
    ]


@pytest.mark.parametrize(
    ("script", "fault", "next_step"),
    [
        (stale, "gave a picture of camera0 that was 0.001 s older than allowed.", "max_age_ms"),
        (hanging, "gave no picture of camera0 within 0.1 s.", "deadline_ms"),
        (buggy, "failed: it raised ZeroDivisionError.", "plugin's author"),
    ],
)
async def test_a_failure_names_the_tier_the_fault_and_the_next_step(
    script: Script, fault: str, next_step: str
) -> None:
    with pytest.raises(AllTiersFailed) as caught:
        await take(manager(Scripted(0, script), budget_s=0.1))
    assert caught.value.details == f"camera0 gave no picture: The tier tier0 {fault}"
    assert next_step in (caught.value.suggestion or "")


async def test_no_tier_at_all_is_said() -> None:
    with pytest.raises(AllTiersFailed) as caught:
        await take(manager())
    assert caught.value.reason == "no_tier"


async def test_a_disconnected_camera_is_not_tried() -> None:
    tier = Scripted(0, good)
    with pytest.raises(CaptureFailed) as caught:
        await manager(tier).take(camera(CameraStatus.DISCONNECTED), max_age_s=0, deadline_s=1)
    assert caught.value.reason == "camera_disconnected"
    assert tier.requests == []


async def test_the_deadline_bounds_all_tiers_together() -> None:
    clock, given_s = SimulatedClock(), list[float]()

    async def uses_all(request: CaptureRequest) -> Picture:
        given_s.append(request.deadline_s - clock.monotonic_s())
        clock.jump(given_s[-1])
        raise CaptureFailed("Slow.", reason="slow")

    tiers = [Scripted(rank, uses_all) for rank in range(3)]
    ladder = SnapshotLadder(tiers, budgets_s=(2.0,) * 4, clock=clock)
    with pytest.raises(AllTiersFailed) as caught:
        await take(ladder, deadline_s=3.0)
    assert [(each.rank, each.reason) for each in caught.value.attempts] == [
        (0, "slow"),
        (1, "slow"),
        (2, "slow"),
    ]
    assert max(given_s) <= 2.0
    assert sum(given_s) == pytest.approx(3.0)


async def test_fifty_callers_need_two_captures_and_each_gets_a_fresh_enough_picture() -> None:
    release = anyio.Event()

    async def gated(request: CaptureRequest) -> Picture:
        await release.wait()
        return picture(max(CLOCK.monotonic_s(), request.not_before_s))

    tier = Scripted(0, gated)
    snapshots = manager(tier)
    stills: list[tuple[float, Still]] = []

    async def call() -> None:
        called_s = CLOCK.monotonic_s()
        stills.append((called_s, await take(snapshots, max_age_s=0)))

    async with anyio.create_task_group() as tg:
        for _ in range(50):
            tg.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert len(stills) == 50
    assert len(tier.requests) <= 2
    assert all(still.picture.captured_s >= called_s for called_s, still in stills)


async def test_a_picture_exposed_before_the_call_is_not_shared() -> None:
    release = anyio.Event()

    async def exposed_at_once(request: CaptureRequest) -> Picture:
        captured_s = CLOCK.monotonic_s()
        await release.wait()
        return picture(captured_s)

    tier = Scripted(0, exposed_at_once)
    snapshots = manager(tier)
    results: list[Still] = []

    async def call() -> None:
        results.append(await take(snapshots, max_age_s=0))

    async with anyio.create_task_group() as tg:
        tg.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        tg.start_soon(call)  # called after the first capture's exposure
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert len(tier.requests) == 2


async def test_a_failure_is_shared_by_those_who_called_before_it_began() -> None:
    release = anyio.Event()

    async def failing(request: CaptureRequest) -> Picture:
        await release.wait()
        raise CaptureFailed("Gone.")

    tier = Scripted(0, failing)
    snapshots = manager(tier)
    failures: list[CaptureFailed] = []

    async def call() -> None:
        try:
            await take(snapshots)
        except CaptureFailed as error:
            failures.append(error)

    async with anyio.create_task_group() as tg:
        for _ in range(20):
            tg.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert len(failures) == 20
    assert len(tier.requests) <= 2


@dataclass
class Queue:
    """Callers behind a capture that holds the camera until `release`; a tier whose picture is as old as it may be.

    A picture exposed after `new_s` never comes, unless the request has more than 5 s.
    """

    clock: SimulatedClock
    release: anyio.Event
    requests: list[CaptureRequest]
    results: dict[str, str]
    snapshots: SnapshotLadder
    tasks: anyio.abc.TaskGroup

    async def call(self, name: str, *, max_age_s: float, deadline_s: float) -> None:
        async def run() -> None:
            try:
                await self.snapshots.take(camera(), max_age_s=max_age_s, deadline_s=deadline_s)
                self.results[name] = "picture"
            except CaptureFailed as error:
                self.results[name] = error.reason

        self.tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        await self.clock.advance(0.01)


@asynccontextmanager
async def queue() -> AsyncIterator[Queue]:
    """Give a queue whose first caller has just begun; afterwards release it and wait for all."""
    clock, release, requests = SimulatedClock(), anyio.Event(), list[CaptureRequest]()
    new_s = clock.monotonic_s() - 1.0

    async def old_soon_or_new_late(request: CaptureRequest) -> Picture:
        requests.append(request)
        await release.wait()
        if request.not_before_s > new_s and request.deadline_s - clock.monotonic_s() < 5.0:
            clock.jump(request.deadline_s - clock.monotonic_s())
            raise CaptureFailed("No new frame came.", reason="camera_silent")
        return picture(request.not_before_s)

    snapshots = SnapshotLadder([Scripted(0, old_soon_or_new_late)], budgets_s=(60.0,), clock=clock)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            made = Queue(clock, release, requests, {}, snapshots, tasks)
            await made.call("first", max_age_s=20.0, deadline_s=60.0)
            yield made
            release.set()


async def test_a_caller_that_allows_old_pictures_does_not_fail_for_one_that_does_not() -> None:
    async with queue() as it:
        await it.call("lenient", max_age_s=5.0, deadline_s=0.3)
        await it.call("strict", max_age_s=0.0, deadline_s=30.0)
    assert it.results == {"first": "picture", "lenient": "picture", "strict": "picture"}
    assert len(it.requests) == 3


async def test_the_failure_of_a_strict_or_hasty_caller_is_its_own() -> None:
    async with queue() as it:
        await it.call("strict", max_age_s=0.0, deadline_s=2.0)
        await it.call("lenient", max_age_s=5.0, deadline_s=3.0)
        await it.call("hasty", max_age_s=0.0, deadline_s=4.0)
        await it.call("patient", max_age_s=0.0, deadline_s=30.0)
    assert it.results == {
        "first": "picture",
        "strict": "camera_silent",
        "lenient": "picture",
        "hasty": "camera_silent",
        "patient": "picture",
    }


@pytest.mark.parametrize("deadline_s", [2.0, 30.0])
async def test_callers_of_one_kind_share_a_capture_whatever_becomes_of_it(deadline_s: float) -> None:
    async with queue() as it:
        for number in range(20):
            await it.call(str(number), max_age_s=0.0, deadline_s=deadline_s)
    assert len(set(it.results.values()) - {"picture"}) == (deadline_s == 2.0)
    assert len(it.requests) == 2


async def test_a_cancelled_caller_does_not_take_the_others_with_it() -> None:
    started = anyio.Event()
    release = anyio.Event()

    async def gated(request: CaptureRequest) -> Picture:
        started.set()
        await release.wait()
        return await good(request)

    snapshots = manager(Scripted(0, gated))
    results: list[Still] = []

    async def call() -> None:
        results.append(await take(snapshots))

    async with anyio.create_task_group() as tg:
        leader = anyio.CancelScope()

        async def lead() -> None:
            with leader:
                await call()

        tg.start_soon(lead)
        await started.wait()
        tg.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        leader.cancel()
        release.set()
    assert len(results) == 1


async def test_who_waits_behind_a_capture_has_a_deadline_too() -> None:
    snapshots = manager(Scripted(0, hanging))
    async with anyio.create_task_group() as tg:

        async def block() -> None:
            with pytest.raises(AllTiersFailed):
                await take(snapshots, deadline_s=1.0)

        tg.start_soon(block)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(CaptureFailed) as caught:
            await take(snapshots, deadline_s=0.05)
    assert caught.value.reason == "deadline_exceeded"


def _wrong(**fields: object) -> Callable[[], object]:
    return lambda: replace(picture(CLOCK.monotonic_s()), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "returned",
    [
        lambda: None,
        lambda: JPEG,
        lambda: Picture,
        _wrong(data=b"not a picture"),
        _wrong(data=JPEG[:-2]),
        _wrong(data=JPEG, format=PictureFormat.PNG),
        _wrong(data="text"),
        _wrong(format="jpg"),
        _wrong(width="4"),
        _wrong(height=0),
        _wrong(captured_s=None),
        _wrong(captured_s=float("nan")),
        _wrong(captured_at_source="device"),
    ],
)
async def test_a_tier_that_returns_garbage_is_named_and_the_next_serves(
    returned: Callable[[], object],
) -> None:
    async def garbage(request: CaptureRequest) -> Picture:
        return returned()  # type: ignore[return-value]

    still = await take(manager(Scripted(0, garbage), Scripted(1, good)))
    assert still.tier == "tier1"
    (attempt,) = still.attempts
    assert attempt.reason == "tier_error"
    assert attempt.details.startswith("The tier tier0 failed: it returned ")


@pytest.mark.parametrize(
    "error", [SystemExit(0), KeyboardInterrupt(), BaseExceptionGroup("x", [SystemExit(1)])]
)
async def test_a_tier_that_would_end_the_agent_costs_only_its_attempt(error: BaseException) -> None:
    async def leaving(request: CaptureRequest) -> Picture:
        raise error

    still = await take(manager(Scripted(0, leaving), Scripted(1, good)))
    assert (still.tier, still.attempts[0].reason) == ("tier1", "tier_error")


@pytest.mark.parametrize("answer", [None, "yes", ValueError("bug"), SystemExit(0)])
async def test_a_tier_that_cannot_say_what_it_supports_costs_only_its_attempt(answer: object) -> None:
    class Unsure(Scripted):
        def supports(self, camera: Camera) -> bool:
            if isinstance(answer, BaseException):
                raise answer
            return answer  # type: ignore[return-value]

    still = await take(manager(Unsure(0, good), Scripted(1, good)))
    assert (still.tier, still.attempts[0].reason) == ("tier1", "tier_error")
    assert "The tier tier0" in still.attempts[0].details


async def test_attempts_and_the_whole_climb_are_timed_from_their_own_beginnings() -> None:
    clock = SimulatedClock()

    async def slowly_broken(request: CaptureRequest) -> Picture:
        await clock.advance(0.25)
        raise CaptureFailed("Gone.")

    async def slowly_good(request: CaptureRequest) -> Picture:
        await clock.advance(0.5)
        return picture(clock.monotonic_s())

    tiers = [Scripted(rank, slowly_broken) for rank in (0, 1)]
    snapshots = SnapshotLadder([*tiers, Scripted(2, slowly_good)], budgets_s=(20.0,) * 4, clock=clock)
    still = await take(snapshots)
    assert [each.duration_s for each in still.attempts] == [0.25, 0.25]
    assert still.duration_s == 1.0


async def test_a_failure_serves_a_call_of_the_moment_at_which_it_began() -> None:
    release = anyio.Event()

    async def failing(request: CaptureRequest) -> Picture:
        await release.wait()
        raise CaptureFailed("Gone.")

    async def call() -> None:
        with pytest.raises(CaptureFailed):
            await take(snapshots)

    tier = Scripted(0, failing)
    snapshots = SnapshotLadder([tier], budgets_s=(20.0,) * 4, clock=SimulatedClock())
    async with anyio.create_task_group() as tg:
        for _ in range(5):
            tg.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert len(tier.requests) == 1


async def test_the_error_lists_each_attempt_and_has_the_suggestion_of_the_last() -> None:
    clock = SimulatedClock()

    async def fails(_: CaptureRequest) -> Picture:
        clock.jump(2.5)
        raise CaptureFailed("Dark.", reason="dark", suggestion="Switch on the light.")

    ladder = SnapshotLadder([Scripted(1, fails)], budgets_s=(20.0,) * 4, clock=clock)
    with pytest.raises(AllTiersFailed) as caught:
        await take(ladder)
    assert caught.value.data()["tiers_tried"] == [
        {"tier": 1, "name": "tier1", "reason": "dark", "details": "Dark.", "ms": 2500}
    ]
    assert caught.value.suggestion == "Switch on the light."


async def test_a_tier_is_given_the_camera_its_own_deadline_and_the_age() -> None:
    clock = SimulatedClock()
    given: list[tuple[Camera, CaptureRequest]] = []
    asked: list[Camera] = []

    class Noting(Scripted):
        def supports(self, camera: Camera) -> bool:
            asked.append(camera)
            return True

        async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
            given.append((camera, request))
            return picture(request.not_before_s)

    now_s = clock.monotonic_s()
    ladder = SnapshotLadder([Noting(1, good)], budgets_s=(1.0, 3.0, 9.0), clock=clock)
    still = await take(ladder, max_age_s=0.5, deadline_s=10.0)
    assert given == [(camera(), CaptureRequest(now_s - 0.5, now_s + 3.0))]
    assert asked == [camera()]
    assert still.picture.captured_s == now_s - 0.5, "a picture exactly as old as allowed serves"
    ladder = SnapshotLadder([Noting(7, good)], budgets_s=(1.0, 3.0, 9.0), clock=clock)
    await take(ladder, deadline_s=20.0)
    await take(ladder, deadline_s=2.0)
    assert [request.deadline_s for _, request in given[1:]] == [now_s + 9.0, now_s + 2.0]


async def test_no_tier_is_asked_when_the_time_is_up() -> None:
    clock = SimulatedClock()

    async def slow(_: CaptureRequest) -> Picture:
        clock.jump(10.0)
        raise CaptureFailed("Dark.", reason="dark")

    tier = Scripted(1, good)
    with pytest.raises(AllTiersFailed) as caught:
        await take(SnapshotLadder([Scripted(0, slow), tier], budgets_s=(20.0,), clock=clock), deadline_s=10.0)
    assert [each.reason for each in caught.value.attempts] == ["dark", "deadline_exceeded"]
    assert tier.requests == []


async def test_a_caller_that_cannot_get_its_turn_in_time_is_told() -> None:
    release = anyio.Event()

    async def slow(_: CaptureRequest) -> Picture:
        await release.wait()
        return picture(CLOCK.monotonic_s())

    snapshots = manager(Scripted(0, slow), budget_s=20.0)
    async with anyio.create_task_group() as tg:
        tg.start_soon(take, snapshots)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(CaptureFailed) as caught:
            await take(snapshots, deadline_s=0.05)
        release.set()
    assert caught.value.reason == "deadline_exceeded"


async def test_a_picture_serves_calls_of_the_moment_at_which_it_is_exposed_and_finished() -> None:
    release, clock = anyio.Event(), SimulatedClock()

    async def gated(_: CaptureRequest) -> Picture:
        await release.wait()
        return picture(clock.monotonic_s())

    tier = Scripted(0, gated)
    snapshots = SnapshotLadder([tier], budgets_s=(20.0,) * 4, clock=clock)
    async with anyio.create_task_group() as tg:
        for _ in range(5):
            tg.start_soon(partial(take, snapshots, max_age_s=0))
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert len(tier.requests) == 1


async def test_a_picture_that_is_as_old_as_a_waiting_caller_allows_is_shared() -> None:
    release, clock = anyio.Event(), SimulatedClock()

    async def exposed_at_once(_: CaptureRequest) -> Picture:
        captured_s = clock.monotonic_s()
        await release.wait()
        return picture(captured_s)

    tier = Scripted(0, exposed_at_once)
    snapshots = SnapshotLadder([tier], budgets_s=(20.0,) * 4, clock=clock)
    async with anyio.create_task_group() as tg:
        tg.start_soon(partial(take, snapshots, max_age_s=0.5))
        await anyio.wait_all_tasks_blocked()
        clock.jump(0.25)
        tg.start_soon(partial(take, snapshots, max_age_s=0.5))
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert len(tier.requests) == 1


async def test_a_caller_that_is_cancelled_alone_leaves_nothing_behind() -> None:
    tier = Scripted(0, hanging)
    snapshots = manager(tier)
    async with anyio.create_task_group() as tg:
        tg.start_soon(take, snapshots)
        await anyio.wait_all_tasks_blocked()
        tg.cancel_scope.cancel()
    assert len(tier.requests) == 1


async def test_a_camera_that_hangs_keeps_no_other_from_its_picture() -> None:
    class OneHangs(Scripted):
        async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
            return await (hanging if camera.id == "camera0" else good)(request)

    snapshots = manager(OneHangs(0, good), budget_s=20.0)
    async with anyio.create_task_group() as tg:
        tg.start_soon(take, snapshots)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(10):
            await snapshots.take(replace(camera(), id=CameraId("camera1")), max_age_s=0.5, deadline_s=9.0)
        tg.cancel_scope.cancel()
