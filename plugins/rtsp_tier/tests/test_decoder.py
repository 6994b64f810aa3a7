"""The client of the worker process, with a worker that has faults instead of a decoder."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import CaptureFailed, CaptureRequest, Clock, TierUnavailable
from agent_core.plugin.rtsp import Credentials
from agent_core.testing import SimulatedClock, SystemClock, children
from rtsp_tier.decoder import DecoderClient, ReaderGone, VideoSource, WorkerLimits
from rtsp_tier.messages import Configure, Taken

CONFIGURE = Configure(0.5, 4.0, 4.0, 8 << 20, 90)
LIMITS = WorkerLimits(start_s=20.0, silence_s=2.0, check_s=0.1, memory_bytes=200 << 20, idle_s=600.0)
PROGRAM = Path(__file__).with_name("fake_worker.py")


def stream(fault: str = "camera0") -> VideoSource:
    return VideoSource(f"rtsp://127.0.0.1:9/{fault}", Credentials("reader", "hunter2"))


async def until(is_true: Callable[[], bool]) -> None:
    """Poll, because the change is in another process; the bench limits the time."""
    while not is_true():
        await anyio.sleep(0.01)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@dataclass
class Bench:
    """A client that runs, and what its workers were told."""

    client: DecoderClient
    log: Path
    clock: Clock
    ended: list[str] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)

    @contextmanager
    def reading(self) -> Iterator[None]:
        self.counted.append(1)
        try:
            yield
        finally:
            self.counted.append(-1)

    def request(self, limit_s: float = 20.0) -> CaptureRequest:
        now_s = self.clock.monotonic_s()
        return CaptureRequest(now_s, now_s + limit_s)

    async def once(self, fault: str = "camera0", limit_s: float = 20.0) -> Taken:
        return await self.client.take_once(stream(fault), self.request(limit_s), reading=self.reading)

    def open(self, name: str) -> int:
        return self.client.open_reader(stream(name), lambda: self.ended.append(name), reading=self.reading)

    async def resident(self, reader: int, limit_s: float = 20.0) -> Taken:
        return await self.client.take_resident(reader, self.request(limit_s))

    async def fails(self, fault: str, limit_s: float = 20.0) -> CaptureFailed:
        with pytest.raises(CaptureFailed) as caught:
            await self.once(fault, limit_s)
        assert caught.value.details
        return caught.value

    def told(self, word: str) -> int:
        return self.log.read_text().split().count(word) if self.log.exists() else 0

    @property
    def pids(self) -> list[int]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [int(line.removeprefix("pid ")) for line in lines if line.startswith("pid ")]

    async def until_started(self, workers: int) -> None:
        await until(lambda: self.client.starts == workers)

    async def until_told(self, word: str, count: int = 1) -> None:
        await until(lambda: self.told(word) >= count)


@asynccontextmanager
async def bench(
    folder: Path,
    mode: str = "good",
    *,
    limits: WorkerLimits = LIMITS,
    clock: Clock | None = None,
    argv: tuple[str, ...] = (),
) -> AsyncIterator[Bench]:
    log, clock = folder / "worker.log", clock or SystemClock()
    words = argv or (sys.executable, str(PROGRAM), mode, str(log))
    client = DecoderClient(words, configure=CONFIGURE, limits=limits, clock=clock)
    with anyio.fail_after(50):
        async with anyio.create_task_group() as tg:
            await tg.start(client.run)
            yield Bench(client, log, clock)
            tg.cancel_scope.cancel()


async def test_the_process_starts_with_the_first_picture_serves_all_and_ends_when_idle(
    tmp_path: Path,
) -> None:
    before = children()
    async with bench(tmp_path, limits=replace(LIMITS, idle_s=0.1)) as it:
        await anyio.sleep(0.05)
        assert children() == before
        assert it.client.starts == 0
        async with anyio.create_task_group() as tg:
            for _ in range(20):
                tg.start_soon(it.once)
        assert it.client.starts == 1
        await until(lambda: children() == before)
        assert (await it.once()).width == 32
        assert it.client.starts == 2


async def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    before = children()
    async with bench(tmp_path) as it:
        await it.once()
        assert len(children() - before) == 1
    assert children() == before
    with pytest.raises(TierUnavailable):
        await it.once()


async def test_no_argument_or_variable_of_the_process_has_credentials(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.once()
        shown = Path(f"/proc/{it.pids[0]}/cmdline").read_bytes()
        shown += Path(f"/proc/{it.pids[0]}/environ").read_bytes()
    assert b"hunter2" not in shown
    assert b"rtsp://" not in shown


async def test_a_caller_who_leaves_cancels_the_request(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.once()
        with anyio.move_on_after(0.05):
            await it.once("slow")
        await it.until_told("Cancel")
        assert it.client.starts == 1


async def test_the_deadline_is_kept_although_the_worker_does_not_answer(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        error = await it.fails("slow", limit_s=0.1)
        assert error.reason == "timed_out"
        assert "deadline" in (error.suggestion or "")
        await it.until_told("Cancel")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("credentials", CaptureFailed),
        ("not_live", TierUnavailable),
        ("media_server_down", TierUnavailable),
        ("stream_damaged", CaptureFailed),
    ],
)
async def test_a_failure_has_the_reason_of_the_worker(
    tmp_path: Path, fault: str, kind: type[CaptureFailed]
) -> None:
    async with bench(tmp_path) as it:
        error = await it.fails(fault)
    assert (type(error), error.reason, error.suggestion) == (kind, fault, "Try again.")


@pytest.mark.parametrize("fault", ["crash", "garbage", "stop"])
async def test_a_fault_of_the_worker_costs_only_the_attempts_in_flight(tmp_path: Path, fault: str) -> None:
    before = children()
    async with bench(tmp_path) as it:
        reader = it.open("camera1")
        await it.resident(reader)
        reasons: list[str] = []

        async def attempt(fault: str) -> None:
            reasons.append((await it.fails(fault)).reason)

        async with anyio.create_task_group() as tg:
            tg.start_soon(attempt, "slow")
            await it.until_told("TakeOnce")
            tg.start_soon(attempt, fault)
        assert reasons == ["worker_failed"] * 2
        assert (await it.resident(reader)).width == 32
        assert (await it.once()).width == 32
        assert it.ended == []
        assert it.told("OpenReader") == it.client.starts == 2
        assert len(children() - before) == 1


async def test_a_worker_that_is_killed_is_replaced_and_its_readers_opened_again_by_themselves(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as it:
        reader = it.open("camera1")
        await it.resident(reader)
        os.kill(it.pids[-1], signal.SIGKILL)
        await it.until_told("OpenReader", 2)
        await it.resident(reader)
        assert it.counted == [1, -1, 1]
        it.client.close_reader(reader)
        assert sum(it.counted) == 0


async def test_a_stream_that_ends_each_worker_loses_its_reader(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        good = it.open("camera1")
        await it.resident(good)
        bad = it.open("crash")
        for _ in range(2):
            with pytest.raises(CaptureFailed) as caught:
                await it.resident(bad)
            assert caught.value.reason == "worker_failed"
            await it.resident(good)
        assert it.ended == ["crash"]
        with pytest.raises(ReaderGone):
            await it.resident(bad)


async def test_a_reader_that_ends_is_reported_once_and_not_opened_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        it.open("ends")
        await until(lambda: bool(it.ended))
        await it.once()
        assert it.ended == ["ends"]
        assert it.told("OpenReader") == 1


async def test_a_closed_reader_is_closed_in_the_worker(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        reader = it.open("camera1")
        await it.resident(reader)
        it.client.close_reader(reader)
        await it.until_told("CloseReader")
        assert it.ended == []


async def test_a_large_worker_is_replaced_while_nothing_waits_and_its_readers_are_opened_again(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as it:
        reader = it.open("camera1")
        await it.resident(reader)
        await it.once("large")
        await until(lambda: it.client.starts == 2)
        await it.resident(reader)
        assert it.told("OpenReader") == 2


async def test_a_worker_whose_readers_are_too_large_is_replaced_less_and_less_often(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with bench(tmp_path, clock=clock, limits=replace(LIMITS, check_s=0.02)) as it:
        it.open("heavy")
        for starts, pause_s in ((2, 0.25), (3, 0.5), (4, 1.0)):
            await it.until_started(starts)
            clock.jump(pause_s - 0.1)
            await it.until_told("Ping", it.told("Ping") + 5)
            assert it.client.starts == starts
            clock.jump(0.2)
        await it.until_started(5)
        assert it.ended == []


async def test_a_huge_worker_is_replaced_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await it.once("huge")
        error = await it.fails("slow")
        assert error.reason == "worker_failed"
        assert "MB" in error.details


@pytest.mark.parametrize("mode", ["exits", "silent", "missing"])
async def test_a_worker_that_never_works_is_not_started_for_each_attempt(tmp_path: Path, mode: str) -> None:
    clock = SimulatedClock()
    argv = {"missing": (str(tmp_path / "no-program"),)}.get(mode, ())
    limits = replace(LIMITS, start_s=0.3, silence_s=0.3)
    async with bench(tmp_path, mode, limits=limits, clock=clock, argv=argv) as it:
        assert (await it.fails("camera0")).reason == "worker_failed"
        await clock.advance(1)
        assert (await it.fails("camera0")).reason == "worker_failed"
        starts = it.client.starts
        for _ in range(10):
            error = await it.fails("camera0")
            assert (type(error), error.reason) == (TierUnavailable, "recently_failed")
        assert it.client.starts == starts
        await clock.advance(60)
        assert (await it.fails("camera0")).reason == "worker_failed"


async def test_three_hundred_attempts_leave_no_descriptor_and_no_process(tmp_path: Path) -> None:
    before = children()
    async with bench(tmp_path) as it:
        await it.once()
        open_before = descriptors()
        for number in range(300):
            match number % 30:
                case 0:
                    await it.fails("crash")
                case 1:
                    it.client.close_reader(it.open("camera1"))
                case each if each < 10:
                    with anyio.move_on_after(0.001):
                        await it.once("slow")
                case each if each < 20:
                    await it.fails("stream_damaged")
                case _:
                    await it.once()
        assert descriptors() == open_before
        assert len(children() - before) == 1
    assert children() == before
