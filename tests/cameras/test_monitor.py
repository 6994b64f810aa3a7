"""Sources: watched, restarted, and how far they are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.events import EventBus
from agent_core.base.models import DetectedCamera, Fingerprint, FrameSocket, VideoCodec
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.monitor import CameraMonitor, SourceState
from agent_core.cameras.registry import CameraRegistry
from agent_core.plugin import CameraReport, CameraSource, CaptureFailed
from agent_core.plugin.frames import BrokerSettings, FrameBroker
from agent_core.testing.clock import SimulatedClock
from agent_core.testing.scripted_producer import ScriptedProducer

CODED = FrameBroker(
    ScriptedProducer(), clock=SimulatedClock(), settings=BrokerSettings(), codec=VideoCodec.H264
)
CAMERA = DetectedCamera("k", "Front", Fingerprint("scripted", "S1"), None, number_hint=0)


class Scripted(CameraSource):
    """Waits for `go`, reports one camera, then ends as told."""

    def __init__(self, name: str = "scripted", end: BaseException | None = None) -> None:
        self._name = name
        self._end = end
        self.go = anyio.Event()
        self.runs = 0

    @property
    def name(self) -> str:
        return self._name

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        self.runs += 1
        await self.go.wait()
        report.connected(CAMERA)
        task_status.started()
        task_status.started()  # twice is harmless
        if self._end:
            raise self._end
        await anyio.sleep_forever()


@asynccontextmanager
async def monitoring(
    path: Path, clock: SimulatedClock, *sources: CameraSource
) -> AsyncIterator[tuple[CameraMonitor, CameraRegistry]]:
    ledger = Ledger(path / "cameras.json")
    registry = CameraRegistry(ledger, events=EventBus(), clock=clock)
    monitor = CameraMonitor(sources, registry, ledger, clock=clock)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            await tg.start(monitor.run)
            yield monitor, registry
            tg.cancel_scope.cancel()


async def test_discovery_is_active_until_every_source_has_reported(tmp_path: Path) -> None:
    quick, slow = Scripted("quick"), Scripted("slow")
    quick.go.set()
    async with monitoring(tmp_path, SimulatedClock(), quick, slow) as (monitor, _):
        await anyio.wait_all_tasks_blocked()
        assert monitor.discovery.active
        assert monitor.discovery.any_settled
        slow.go.set()
        await monitor.wait_settled()
        assert dict(monitor.discovery.sources) == {
            "quick": SourceState.WATCHING,
            "slow": SourceState.WATCHING,
        }


@pytest.mark.parametrize(
    "error", [CaptureFailed("The bus is gone."), ValueError("bug"), SystemExit(0), KeyboardInterrupt()]
)
async def test_a_failed_source_loses_its_cameras_and_starts_again_later(
    tmp_path: Path, error: BaseException
) -> None:
    source, clock = Scripted(end=error), SimulatedClock()
    source.go.set()
    async with monitoring(tmp_path, clock, source) as (monitor, registry):
        await anyio.wait_all_tasks_blocked()
        assert monitor.discovery.problems[0].suggestion
        assert registry.list()[0].status == "DISCONNECTED"
        for expected_runs, pause_s in ((2, 1.0), (3, 2.0), (4, 4.0)):
            await clock.advance(pause_s)
            assert source.runs == expected_runs


async def test_a_ledger_that_cannot_be_written_is_a_problem_until_it_can(tmp_path: Path) -> None:
    source, clock, folder = Scripted(), SimulatedClock(), tmp_path / "state"
    folder.write_text("a file where a folder is needed")
    source.go.set()
    async with monitoring(folder, clock, source) as (monitor, _):
        while not monitor.discovery.problems:
            await anyio.sleep(0.001)
        assert [each.reason for each in monitor.discovery.problems] == ["not_a_folder"]
        folder.unlink()
        folder.mkdir()
        while monitor.discovery.problems:
            await clock.advance(1.0)
            await anyio.sleep(0.001)
        assert (folder / "cameras.json").is_file()


async def test_no_sources_means_settled(tmp_path: Path) -> None:
    async with monitoring(tmp_path, SimulatedClock()) as (monitor, _):
        await monitor.wait_settled()
        assert not monitor.discovery.active


async def test_what_was_seen_is_in_the_ledger_after_the_end(tmp_path: Path) -> None:
    source = Scripted()
    source.go.set()
    async with monitoring(tmp_path, SimulatedClock(), source) as (monitor, _):
        await monitor.wait_settled()
    ledger = Ledger(tmp_path / "cameras.json")
    assert ledger.load() is None
    assert [known.id for known in ledger.known] == ["camera0"]


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "camera",
        replace(CAMERA, name=None),  # type: ignore[arg-type]
        replace(CAMERA, key=7),  # type: ignore[arg-type]
        replace(CAMERA, fingerprint="serial"),  # type: ignore[arg-type]
        replace(CAMERA, fingerprint=Fingerprint("scripted", serial=12)),  # type: ignore[arg-type]
        replace(CAMERA, media_input="rtsp://camera"),  # type: ignore[arg-type]
        replace(CAMERA, media_input=FrameSocket(Path("/x"), 64, 48, 15, "h264")),  # type: ignore[arg-type]
        replace(CAMERA, frames=CODED),
        replace(CAMERA, resolution=(640, 0)),
        replace(CAMERA, modes=["MJPG"]),  # type: ignore[arg-type]
        replace(CAMERA, fps=float("nan")),
    ],
)
async def test_a_report_of_garbage_is_the_sources_own_failure(tmp_path: Path, garbage: Any) -> None:
    class Confused(Scripted):
        async def watch(
            self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
        ) -> None:
            report.connected(garbage)

    other = Scripted("other")
    other.go.set()
    async with monitoring(tmp_path, SimulatedClock(), Confused("confused"), other) as (monitor, registry):
        await anyio.wait_all_tasks_blocked()
        assert dict(monitor.discovery.sources)["confused"] is SourceState.FAILED
        (problem,) = monitor.discovery.problems
        assert problem.reason == "wrong_report"
        assert "The camera source confused reported" in problem.details
        assert [each.status for each in registry.list()] == ["CONNECTED"]
