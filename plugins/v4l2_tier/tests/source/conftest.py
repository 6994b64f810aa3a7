"""Nodes as pyudev reports them, and a source with simulated devices."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.plugin import Clock
from agent_core.plugin.controls import DevicePanel
from agent_core.testing import RecordingReport, SimulatedClock
from agent_core.testing.scripted_producer import ScriptedProducer
from v4l2_tier.capture.fallback import OnMode
from v4l2_tier.device.calls import Answers
from v4l2_tier.device.capabilities import (
    Capabilities,
    DeviceControl,
    FrameSize,
    Intervals,
    PixelFormat,
    Span,
)
from v4l2_tier.device.controls import DeviceControls
from v4l2_tier.device.modes import choose
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.settings import CaptureSettings, V4l2TierSettings
from v4l2_tier.source.context import CameraContext
from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges
from v4l2_tier.source.inventory import DeviceNode, UsbDevice
from v4l2_tier.source.roster import DeviceRoster
from v4l2_tier.source.sensors import SensorNodes
from v4l2_tier.source.sockets import SocketPaths

WEBCAM = Capabilities(
    "uvcvideo",
    "Sim Cam: Sim Cam",
    "usb-0000:00:14.0-1",
    (
        PixelFormat(
            "MJPG",
            "Motion-JPEG",
            (FrameSize(Span(640, 640), Span(480, 480), (Intervals(Fraction(1, 30), Fraction(1, 30)),)),),
        ),
    ),
    (
        DeviceControl(0x00980900, "brightness", "integer", -64, 64, 1, 0, 0),
        DeviceControl(0x009A0901, "auto_exposure", "menu", 0, 3, 1, 3, 3, ((1, "Manual"), (3, "Automatic"))),
        DeviceControl(0x009A0902, "exposure_time_absolute", "integer", 3, 99, 1, 50, 50, inactive=True),
    ),
)


def make_node(number: int = 0, *, incarnation: int = 1, serial: str = "CAM-A", port: int = 1) -> DeviceNode:
    return DeviceNode(
        name=f"video{number}",
        path=Path(f"/dev/video{number}"),
        number=number,
        incarnation=incarnation,
        label="Sim Cam: Sim Cam",
        index=0,
        physical=f"/sys/devices/usb1/1-{port}",
        port=f"pci-0000:00:14.0-usb-0:{port}:1.0",
        usb=UsbDevice("1d6b", "0102", "Sim Cam", serial, f"1-{port}:1.0"),
        udev_capabilities=frozenset({"capture"}),
    )


class Devices(HotplugWatcher):
    """Simulated devices: inventory, hotplug watcher and drivers in one."""

    def __init__(self) -> None:
        self.nodes: dict[str, DeviceNode] = {}
        self.waiting = False
        #: For the roster: when to look again although udev is not done.
        self.due_s: float | None = None
        self.answers: dict[str, Capabilities | NoCamera | OSError] = {}
        self.producers: dict[str, ScriptedProducer] = {}
        self.panels: dict[str, DevicePanel] = {}
        self.on_mode: dict[str, OnMode] = {}
        self.on_offer: dict[str, Callable[[Capabilities], object]] = {}
        self.values: dict[str, int] = {}
        self.probes: list[str] = []
        #: Replaces the answers; for a device that answers late.
        self.slow: Callable[[Path], Capabilities] | None = None
        #: Counts of what each slow device has answered.
        self.asked: dict[str, Answers] = {}
        self.looks = 0
        self.doubts: tuple[str, ...] = ()
        self._noticed: list[NodeChanges] = []
        self._event = anyio.Event()

    def plug(self, node: DeviceNode, *, told: bool = True) -> None:
        self.nodes[node.name] = node
        if told:
            self.tell(NodeChanges(touched=frozenset({node.name})))

    def unplug(self, name: str, *, told: bool = True) -> None:
        del self.nodes[name]
        if told:
            self.tell(NodeChanges(removed=frozenset({name})))

    def tell(self, noticed: NodeChanges) -> None:
        self._noticed.append(noticed)
        self._event.set()

    # Inventory.

    async def look(self) -> tuple[tuple[DeviceNode, ...], bool]:
        self.looks += 1
        return tuple(sorted(self.nodes.values(), key=lambda node: node.number)), self.waiting

    # Watcher.

    async def wait(self) -> NodeChanges:
        await self._event.wait()
        self._event = anyio.Event()
        noticed, self._noticed = self._noticed, []
        return reduce(or_, noticed)

    # Drivers; `probe` is called in a worker thread.

    def probe(self, path: Path, answers: Answers) -> Capabilities | NoCamera:
        if self.slow is not None:
            self.asked[path.name] = answers
            return self.slow(path)
        self.probes.append(path.name)
        answer = self.answers.get(path.name, WEBCAM)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def make_producer(
        self,
        node: DeviceNode,
        capabilities: Capabilities,
        settings: CaptureSettings,
        panel: DevicePanel,
        clock: Clock,
        on_mode: OnMode,
        on_offer: Callable[[Capabilities], object],
    ) -> Any:
        self.panels[node.name] = panel
        self.on_mode[node.name] = on_mode
        self.on_offer[node.name] = on_offer
        producer = self.producers[node.name] = ScriptedProducer()
        return producer, choose(capabilities, settings)

    def open_controls(self, path: Path, capabilities: Capabilities) -> AbstractContextManager[DeviceControls]:
        return nullcontext(DeviceControls(self, capabilities.controls))

    def read_control(self, control: DeviceControl) -> DeviceControl:
        is_ruled = control.name == "exposure_time_absolute" and self.values.get("auto_exposure") != 1
        return replace(control, value=self.values.get(control.name, control.value), inactive=is_ruled)

    def write_control(self, control: DeviceControl, value: int) -> None:
        self.values[control.name] = value


@dataclass
class Bench:
    devices: Devices
    report: RecordingReport
    clock: SimulatedClock


Watch = Callable[..., Any]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Return `watch(node, ..., setting=...)`: a context with a source that has reported its first inventory.

    With `passes_s`, this time passes while it starts.
    """

    @asynccontextmanager
    async def run(
        *nodes: DeviceNode,
        prepare: Callable[[Devices], None] | None = None,
        passes_s: float = 0.0,
        plugins: tuple[str, ...] = (),
        **settings: object,
    ) -> AsyncIterator[Bench]:
        devices, clock, report = Devices(), SimulatedClock(), RecordingReport()
        for node in nodes:
            devices.plug(node, told=False)
        if prepare:
            prepare(devices)
        context = CameraContext(
            V4l2TierSettings.model_validate(settings),
            report,
            clock,
            SocketPaths(tmp_path),
            devices.probe,
            devices.make_producer,
            devices.open_controls,
            SensorNodes(plugins),
        )
        with anyio.fail_after(50):
            async with anyio.create_task_group() as tg:
                if passes_s:
                    tg.start_soon(clock.advance, passes_s)
                await tg.start(DeviceRoster(devices, devices, context, tg).run)  # type: ignore[arg-type]
                yield Bench(devices, report, clock)
                tg.cancel_scope.cancel()

    return run


@pytest.fixture
def bench_parts() -> tuple[Devices, RecordingReport]:
    """Return devices and the report of them."""
    return Devices(), RecordingReport()


@pytest.fixture
def node() -> Callable[..., DeviceNode]:
    """Return the builder of nodes, as in `node(2, serial="0001", port=3, incarnation=5)`."""
    return make_node


@pytest.fixture
def capabilities() -> Capabilities:
    return WEBCAM
