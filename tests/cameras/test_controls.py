"""Changes of controls by clients, over a source whose panel a test directs."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.clock import Clock
from agent_core.base.errors import (
    AgentError,
    CaptureFailed,
    InvalidState,
    NotFound,
    PluginError,
    StorageFailed,
    Unsupported,
)
from agent_core.base.events import Event, EventBus
from agent_core.base.models import CameraId, ControlCause, ControlsEvent, DetectedCamera, Fingerprint
from agent_core.cameras import CameraControls, CameraRegistry
from agent_core.cameras.kept_controls import KeptControls
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.registry import SourceReport
from agent_core.plugin import (
    ChangedControls,
    Control,
    ControlChange,
    ControlOutcome,
    ControlStatus,
    ControlValue,
)
from agent_core.testing import SimulatedClock, SystemClock
from tests.plugin.controls.webcam import WEBCAM

CAMERA = CameraId("camera0")
APPLIED, ADJUSTED, REFUSED = ControlStatus
BRIGHTNESS = WEBCAM[0]


@dataclass
class Panel:
    """Panel that sets every number; `before` may wait or fail."""

    kept: list[dict[str, ControlValue]] = field(default_factory=list)
    changes: list[ControlChange] = field(default_factory=list)
    before: Callable[[], Awaitable[object]] | None = None
    answer: object = None

    def keep(self, values: Mapping[str, ControlValue]) -> None:
        self.kept.append(dict(values))

    async def change(self, change: ControlChange) -> ChangedControls:
        self.changes.append(change)
        if self.before is not None:
            await self.before()
        if self.answer is not None:
            return self.answer  # type: ignore[return-value] # what foreign code may do
        outcomes = tuple(
            ControlOutcome(name, value, APPLIED if isinstance(value, int) else REFUSED, value)
            for name, value in change.values.items()
        )
        return ChangedControls(outcomes, (replace(BRIGHTNESS, value=7),))


class Bench:
    def __init__(
        self,
        folder: Path,
        *,
        longest_s: float = 20.0,
        require: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self.path = folder / "camera-controls.json"
        self.ledger = Ledger(folder / "cameras.json")
        self.kept = KeptControls(self.path, is_known=self.ledger.has, require=require)
        self.problems = (self.ledger.load(), self.kept.load())
        self.bus = EventBus()
        self.cameras = CameraRegistry(self.ledger, events=self.bus, clock=SimulatedClock(), kept=self.kept)
        self.report = SourceReport(self.cameras, "lab")
        self.controls = CameraControls(
            self.cameras, self.kept, events=self.bus, clock=clock or SystemClock(), longest_s=longest_s
        )
        self.events: list[ControlsEvent] = []
        self.topics: list[str] = []
        self._subscription = self.bus.subscribe(self._hear)
        self._subscription.__enter__()

    def _hear(self, event: Event) -> bool:
        self.topics.append(event.topic)
        if isinstance(event.payload, ControlsEvent):
            assert event.camera == event.payload.camera
            self.events.append(event.payload)
        return False

    def connect(self, panel: Panel | None, *, key: str = "k", serial: str = "S", number: int = 0) -> None:
        fingerprint = Fingerprint("lab", serial)
        self.report.connected(
            DetectedCamera(key, "Camera", fingerprint, None, number_hint=number, controls=WEBCAM, panel=panel)
        )

    async def change(self, *, reset: bool = False, **values: ControlValue) -> ChangedControls:
        done = await self.controls.change(CAMERA, ControlChange(values, reset=reset))
        assert done.is_stored
        return done.changed


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(bench.ledger.keep_saved, SystemClock())
            await tg.start(bench.controls.run)
            yield bench
            tg.cancel_scope.cancel()


async def test_a_change_is_made_told_stored_and_given_to_the_camera_when_it_comes_back(
    tmp_path: Path,
) -> None:
    panel = Panel()
    async with running(Bench(tmp_path)) as bench:
        bench.connect(panel)
        assert panel.kept == [{}]
        await bench.change(brightness=5, gain="high")
        assert panel.kept[-1] == {"brightness": 5}
        (event,) = bench.events
        assert (event.cause, [each.name for each in event.outcomes]) == (ControlCause.SET, ["brightness"])
        assert bench.cameras.get("camera0").detected.controls == (replace(BRIGHTNESS, value=7),)
        assert json.loads(bench.path.read_text()) == {
            "version": 1,
            "cameras": {"camera0": {"brightness": 5}},
        }
        again = Panel()
        bench.report.disconnected("k", "Unplugged.")
        bench.connect(again)
        assert again.kept == [{"brightness": 5}]


async def test_what_is_kept_survives_a_restart_with_its_types(tmp_path: Path) -> None:
    first, panel = Bench(tmp_path), Panel()
    values: dict[str, ControlValue] = {"a": True, "b": 1, "c": 2**62 + 1, "d": -5}
    async with running(first):
        first.connect(Panel())
        await first.controls.change(CAMERA, ControlChange(values))
    second = Bench(tmp_path)
    assert second.problems == (None, None)
    second.connect(panel)
    (kept,) = panel.kept
    assert kept == values
    assert [type(each) for each in kept.values()] == [bool, int, int, int]


async def test_a_reset_forgets_and_a_refusal_alone_makes_no_event(tmp_path: Path) -> None:
    async with running(Bench(tmp_path)) as bench:
        bench.connect(panel := Panel())
        await bench.change(brightness=5)
        await bench.change(gain="high")
        assert len(bench.events) == 1
        await bench.change(reset=True, contrast=3)
        assert panel.kept[-1] == {"contrast": 3}
        assert bench.events[-1].cause is ControlCause.RESET
        assert json.loads(bench.path.read_text())["cameras"] == {"camera0": {"contrast": 3}}


async def test_a_new_value_of_a_control_is_no_change_of_the_camera(tmp_path: Path) -> None:
    async with running(Bench(tmp_path)) as bench:
        bench.connect(panel := Panel())
        await bench.change(brightness=5)
        bench.connect(panel)
        assert bench.topics == ["camera.connected", "camera.controls"]


async def test_outcomes_of_kept_values_are_events_and_new_values_alone_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    bench.connect(Panel())
    controls = (replace(BRIGHTNESS, value=9),)
    bench.report.controls("k", ChangedControls((), controls))
    assert (bench.events, bench.cameras.get("camera0").detected.controls) == ([], controls)
    outcome = ControlOutcome("brightness", 200, ADJUSTED, 100, "200 is out of range (0 to 100); 100 was set.")
    bench.report.controls("k", ChangedControls((outcome,), controls))
    (event,) = bench.events
    assert (event.cause, event.outcomes) == (ControlCause.KEPT, (outcome,))
    assert "200 is out of range" in caplog.text
    bench.report.controls("unknown", ChangedControls((outcome,), controls))
    assert len(bench.events) == 1


async def test_changes_of_one_camera_wait_for_each_other_and_those_of_others_do_not(tmp_path: Path) -> None:
    may_go, began = anyio.Event(), anyio.Event()

    async def wait() -> None:
        began.set()
        await may_go.wait()

    async with running(Bench(tmp_path)) as bench:
        slow, other = Panel(before=wait), Panel()
        bench.connect(slow)
        bench.connect(other, key="k2", serial="S2", number=1)
        async with anyio.create_task_group() as tg:
            for value in (1, 2):
                tg.start_soon(bench.controls.change, CAMERA, ControlChange({"brightness": value}))
            await began.wait()
            await bench.controls.change(CameraId("camera1"), ControlChange({"brightness": 3}))
            assert len(slow.changes) == 1
            may_go.set()
        assert [each.values["brightness"] for each in slow.changes] == [1, 2]
        assert bench.kept.of(CAMERA) == {"brightness": 2}


async def test_a_client_that_leaves_does_not_stop_its_change(tmp_path: Path) -> None:
    may_go, began = anyio.Event(), anyio.Event()

    async def wait() -> None:
        began.set()
        await may_go.wait()

    async with running(Bench(tmp_path)) as bench:
        bench.connect(Panel(before=wait))
        async with anyio.create_task_group() as tg:
            tg.start_soon(bench.controls.change, CAMERA, ControlChange({"brightness": 1}))
            await began.wait()
            tg.cancel_scope.cancel()
        may_go.set()
        while not bench.events:
            await anyio.lowlevel.checkpoint()
        assert bench.kept.of(CAMERA) == {"brightness": 1}


async def test_a_report_during_a_change_does_not_bring_the_old_values_back(tmp_path: Path) -> None:
    panel = Panel()
    async with running(Bench(tmp_path)) as bench:
        bench.connect(panel)

        async def report() -> None:
            bench.connect(panel)

        panel.before = report
        await bench.change(brightness=5)
        assert panel.kept == [{}, {"brightness": 5}]


async def test_what_cannot_be_set_is_said(tmp_path: Path) -> None:
    async with running(Bench(tmp_path)) as bench:
        with pytest.raises(NotFound):
            await bench.change(brightness=1)
        bench.connect(None)
        with pytest.raises(Unsupported) as without:
            await bench.change(brightness=1)
        assert without.value.reason == "no_controls"
        bench.connect(Panel())
        bench.report.disconnected("k", "Unplugged.")
        with pytest.raises(InvalidState) as absent:
            await bench.change(brightness=1)
        assert absent.value.reason == "not_connected"


async def fail_with(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CaptureFailed("It is gone.", reason="camera_gone"), "camera_gone"),
        (ZeroDivisionError("no"), "source_error"),
        (SystemExit(1), "provider_raised"),
    ],
)
async def test_a_panel_that_fails_ends_the_call_and_nothing_is_kept(
    tmp_path: Path, error: BaseException, reason: str
) -> None:
    panel = Panel(before=lambda: fail_with(error))
    async with running(Bench(tmp_path)) as bench:
        bench.connect(panel)
        with pytest.raises(AgentError) as caught:
            await bench.change(brightness=1)
        assert caught.value.reason == reason
        assert (dict(bench.kept.of(CAMERA)), bench.events) == ({}, [])
        panel.before = None
        await bench.change(brightness=1)


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), SystemExit(1)])
async def test_a_panel_that_does_not_take_its_values_costs_its_source_only(
    tmp_path: Path, error: BaseException
) -> None:
    class Faulty(Panel):
        def keep(self, values: Mapping[str, ControlValue]) -> None:
            if values or self.kept:
                raise error
            super().keep(values)

    async with running(Bench(tmp_path)) as bench:
        bench.connect(panel := Faulty())
        with pytest.raises(PluginError):
            await bench.change(brightness=1)
        with pytest.raises(PluginError):
            bench.connect(panel)
        bench.connect(Panel(), key="k2", serial="S2", number=1)
        await bench.controls.change(CameraId("camera1"), ControlChange({"brightness": 3}))


async def test_a_panel_that_hangs_ends_after_the_limit(tmp_path: Path) -> None:
    async with running(Bench(tmp_path, longest_s=0.05)) as bench:
        bench.connect(Panel(before=anyio.sleep_forever))
        with pytest.raises(CaptureFailed, match="did not answer") as caught:
            await bench.change(brightness=1)
        assert caught.value.reason == "control_silent"


GOOD = ControlOutcome("brightness", 1, APPLIED, 1)


@pytest.mark.parametrize(
    "answer",
    [
        "yes",
        ChangedControls([GOOD], ()),  # type: ignore[arg-type]
        ChangedControls((replace(GOOD, status="APPLIED"),), ()),  # type: ignore[arg-type]
        ChangedControls((replace(GOOD, value=float("nan")),), ()),
        ChangedControls((replace(GOOD, name=""),), ()),
        ChangedControls((GOOD,), ("brightness",)),  # type: ignore[arg-type]
        ChangedControls((GOOD,), (replace(BRIGHTNESS, value="1"),)),  # type: ignore[arg-type]
        ChangedControls((GOOD,), (replace(BRIGHTNESS, choices=((1, 2),)),)),  # type: ignore[arg-type]
        ChangedControls((GOOD,), (replace(BRIGHTNESS, flags={"loud"}),)),  # type: ignore[arg-type]
    ],
)
async def test_an_answer_that_is_none_is_refused(tmp_path: Path, answer: object) -> None:
    async with running(Bench(tmp_path)) as bench:
        bench.connect(Panel(answer=answer))
        with pytest.raises(PluginError):
            await bench.change(brightness=1)
        assert dict(bench.kept.of(CAMERA)) == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"panel": object()}, "panel is not a ControlPanel"),
        ({"controls": (replace(BRIGHTNESS, step=0.5),)}, "step is not a whole number"),  # type: ignore[arg-type]
    ],
)
def test_a_report_with_unusable_controls_is_refused(
    tmp_path: Path, wrong: dict[str, object], said: str
) -> None:
    camera = DetectedCamera("k", "Camera", Fingerprint("lab", "S"), None)
    with pytest.raises(PluginError, match=said):
        Bench(tmp_path).report.connected(replace(camera, **wrong))  # type: ignore[arg-type]


async def test_a_disk_that_refuses_is_said_and_the_values_are_stored_when_it_is_back(tmp_path: Path) -> None:
    is_there = False

    def require() -> None:
        if not is_there:
            raise StorageFailed("The state folder is not there.")

    async with running(Bench(tmp_path, require=require)) as bench:
        bench.connect(panel := Panel())
        done = await bench.controls.change(CAMERA, ControlChange({"brightness": 5}))
        assert (done.is_stored, panel.kept[-1]) == (False, {"brightness": 5})
        assert str(bench.controls.problem) == "The state folder is not there."
        is_there = True
        with anyio.fail_after(10):
            while not bench.path.exists():  # after a pause of a second
                await anyio.sleep(0.02)
        assert json.loads(bench.path.read_text())["cameras"] == {"camera0": {"brightness": 5}}


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"cameras": {"camera0": {"a": [1]}}}', '{"cameras": 1}'],
)
def test_a_file_that_cannot_be_used_is_told_and_kept_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "camera-controls.json").write_text(text)
    (tmp_path / "camera-controls.json").chmod(0o600)
    bench = Bench(tmp_path)
    problem = bench.problems[1]
    assert problem is not None
    assert problem.reason == "camera_controls_corrupt"
    assert (tmp_path / "camera-controls.json.corrupt").read_text() == text
    assert dict(bench.kept.of(CAMERA)) == {}


class Pauses(SimulatedClock):
    """Clock whose sleeps are over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s: list[float] = []

    async def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        await anyio.lowlevel.checkpoint()


async def test_after_a_success_the_pauses_between_attempts_to_store_are_short_again(tmp_path: Path) -> None:
    faults = 3

    def require() -> None:
        nonlocal faults
        faults -= 1
        if faults >= 0:
            raise StorageFailed("The state folder is not there.")

    clock = Pauses()
    async with running(Bench(tmp_path, require=require, clock=clock)) as bench:
        bench.connect(Panel())
        await bench.controls.change(CAMERA, ControlChange({"brightness": 5}))
        while bench.controls.problem is not None:
            await anyio.sleep(0.01)
        assert clock.slept_s == [1.0, 2.0, 4.0]
        faults = 1
        await bench.controls.change(CAMERA, ControlChange({"brightness": 6}))
        while len(clock.slept_s) < 4:
            await anyio.sleep(0.01)
        assert clock.slept_s[3:] == [1.0]


async def test_values_of_a_camera_that_the_ledger_has_forgotten_are_dropped(tmp_path: Path) -> None:
    """Its id is for a new camera, which must not get them."""
    async with running(Bench(tmp_path)) as bench:
        bench.connect(Panel())
        await bench.change(brightness=5)
        bench.connect(other := Panel(), key="k2", serial="S2", number=1)
        bench.ledger.forget(CAMERA)
        await bench.controls.change(CameraId("camera1"), ControlChange({"gain": 1}))
        assert other.kept[-1] == {"gain": 1}
    assert json.loads((tmp_path / "camera-controls.json").read_text())["cameras"] == {"camera1": {"gain": 1}}


def test_a_control_without_the_new_members_is_one_of_older_plugins() -> None:
    control = Control("brightness", "integer", 0, 1, 1, 0, 0)
    assert (control.flags, control.unsettable, control.choices) == (frozenset(), "", ())
