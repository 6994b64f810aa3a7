"""Simulated device, and a broker with a producer over it, without V4L2 in the kernel."""

import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
from anyio.abc import TaskGroup

from agent_core.plugin import CaptureFailed, ChangedControls, Frame, WorkerPool
from agent_core.plugin.controls import DevicePanel
from agent_core.plugin.frames import FrameBroker
from agent_core.testing import SimulatedClock
from agent_core.testing.scripted_producer import a_jpeg
from v4l2_tier.capture.limits import broker_settings
from v4l2_tier.capture.producer import V4l2Producer
from v4l2_tier.device.capabilities import Capabilities, DeviceControl
from v4l2_tier.device.capture_device import FilledBuffer, PictureLayout
from v4l2_tier.device.connection import Connection
from v4l2_tier.device.controls import DeviceControls
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.offered import controls_of
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.device.raw_formats import RawLayout
from v4l2_tier.settings import CaptureSettings

if TYPE_CHECKING:
    import threading

PICTURES = tuple(a_jpeg(shade=shade) for shade in (40, 120, 200))
MONOTONIC, ERROR = 0x2000, 0x40
LATENCY_S = 0.2
GONE = CaptureFailed("The camera is gone.", reason="camera_gone")
BROKEN = CaptureFailed("The camera failed.", reason="device_error")


class Device:
    """Camera whose frames a test sends; its `Bench` records calls and sets failures."""

    def __init__(self, bench: "Bench") -> None:
        self._bench = bench
        self._queue: deque[tuple[FilledBuffer, bytes]] = deque()
        self._read_end, self._write_end = os.pipe()
        self._current: dict[int, bytes] = {}
        self._sequence = 0
        self.lent = 0

    def send(self, data: bytes, *, stamp_s: float = 0.0, flags: int = 0, skipped: int = 0) -> None:
        self._sequence += 1 + skipped
        buffer = FilledBuffer(self._sequence % 4, len(data), flags, self._sequence, stamp_s)
        self._queue.append((buffer, data))
        os.write(self._write_end, b".")

    @property
    def unread(self) -> int:
        return len(self._queue)

    def fail(self, error: CaptureFailed) -> None:
        """Make the next look for frames fail, like a poll that ends with an error."""
        self._bench.failures["ready"] = error
        os.write(self._write_end, b".")

    def fileno(self) -> int:
        return self._read_end

    @property
    def tells_source(self) -> bool:
        return self._bench.tells_source

    def source_changed(self) -> bool:
        changed, self._bench.source_changes = self._bench.source_changes, False
        return changed

    def connect(self, settings: CaptureSettings) -> Connection:
        if self._bench.refusal is not None:
            raise self._bench.refusal
        connection, self._bench.connection = (
            self._bench.connection,
            replace(self._bench.connection, has_changed=False),
        )
        return connection

    def signal_fault(self, index: int) -> str:
        self._bench.signal_looks.append(index)
        return self._bench.fault

    def offer(self) -> Capabilities | NoCamera:
        self._bench.call("offer")
        return self._bench.offered

    def configure(self, mode: ChosenMode) -> PictureLayout:
        self._bench.call("configure")
        found = self._bench.offered
        if isinstance(found, Capabilities) and mode.pixel_format not in [each.code for each in found.formats]:
            raise CaptureFailed("The driver reported EINVAL.", reason="device_error")
        width, height = self._bench.answers or (mode.width, mode.height)
        layout = RawLayout(mode.pixel_format, width, height, 0, interlaced=self._bench.interlaced)
        interval = mode.interval * (2 if self._bench.answers else self._bench.slower)
        return PictureLayout(mode.pixel_format, width, height, interval, layout)

    def read_control(self, control: DeviceControl) -> DeviceControl:
        return replace(control, value=self._bench.values.get(control.name, control.value))

    def write_control(self, control: DeviceControl, value: int) -> None:
        self._bench.call(f"{control.name}={value}")
        if self._bench.sets_controls:
            self._bench.values[control.name] = value

    def start(self, buffers: int) -> None:
        self._bench.values |= self._bench.at_start
        self._bench.call("start")

    def stop(self) -> None:
        self._bench.call("stop")

    def ready(self) -> Iterator[FilledBuffer]:
        if "ready" in self._bench.failures:
            os.read(self._read_end, 1)
        self._bench.fail_if_told("ready")
        while self._queue:
            buffer, data = self._queue.popleft()
            os.read(self._read_end, 1)
            self._current[buffer.index] = data
            self.lent += 1
            yield buffer

    def copy(self, buffer: FilledBuffer) -> bytes:
        return self._current[buffer.index]

    def give_back(self, index: int) -> None:
        self.lent -= 1

    def close(self) -> None:
        self._bench.call("close")
        os.close(self._read_end)
        os.close(self._write_end)


class Bench:
    """Broker with a producer over `Device`s, on a simulated clock."""

    def __init__(
        self, capabilities: Capabilities, settings: CaptureSettings, *, asks_always: bool = False
    ) -> None:
        self.clock = SimulatedClock()
        self.calls: list[str] = []
        self.failures: dict[str, CaptureFailed] = {}
        self.answers: tuple[int, int] | None = None
        #: What the device offers now, and what the producer has told of it.
        self.offered: Capabilities | NoCamera = capabilities
        self.offers: list[Capabilities] = []
        self.tells_source = self.source_changes = False
        self.slower = 1
        #: What connecting with the source finds, and what the driver then tells of its signal.
        self.connection, self.fault = Connection(), ""
        self.refusal: CaptureFailed | None = None
        self.signal_looks: list[int] = []
        self.interlaced = False
        self.devices: list[Device] = []
        self.frames: list[Frame] = []
        self.errors: list[CaptureFailed] = []
        self.opening = anyio.Event()
        self.open_slowly: threading.Event | None = None
        self._awaited: tuple[str, ...] = ()
        self._came = anyio.Event()
        self.threads = WorkerPool(1)
        self.reports: list[ChangedControls] = []
        self.sets_controls = False
        self.values: dict[str, int] = {}
        self.modes: list[ChosenMode] = []
        #: Values that the camera has after each start of its stream.
        self.at_start: dict[str, int] = {}
        self.producer = V4l2Producer(
            Path("node"),
            capabilities,
            settings,
            DevicePanel(
                controls_of(capabilities),
                lambda: nullcontext(DeviceControls(Device(self), capabilities.controls)),
                report=self.reports.append,
                configured=settings.controls,
            ),
            clock=self.clock,
            open_device=self._open,
            threads=self.threads,
            on_mode=self.modes.append,
            on_offer=self.offers.append,
            asks_always=asks_always,
        )
        limits = broker_settings(settings, self.producer.chosen)
        codec = self.producer.chosen.codec
        self.broker = FrameBroker(self.producer, clock=self.clock, settings=limits, codec=codec)

    def _open(self, path: Path, capabilities: Capabilities) -> Device:
        anyio.from_thread.run_sync(self.opening.set)
        if self.open_slowly is not None:
            self.open_slowly.wait(10)
        self.call("open")
        self.devices.append(Device(self))
        return self.devices[-1]

    @property
    def device(self) -> Device:
        return self.devices[-1]

    def call(self, name: str) -> None:
        """Record a call by a worker thread; fail if the test has set a failure."""
        self.calls.append(name)
        anyio.from_thread.run_sync(self._announce)
        self.fail_if_told(name)

    def fail_if_told(self, name: str) -> None:
        error = self.failures.pop(name, None)
        if error is not None:
            raise error

    def _announce(self) -> None:
        # Here, and not in `until`, because the worker thread may make its next call before a waiting task runs.
        if self._are_last(self._awaited):
            self._came.set()

    def _are_last(self, calls: tuple[str, ...]) -> bool:
        return tuple(self.calls[-len(calls) :]) == calls

    async def until(self, *calls: str) -> None:
        """Wait until these are the last calls, and their results are known."""
        self._awaited, self._came = calls, anyio.Event()
        if not self._are_last(calls):
            await self._came.wait()
        while self.threads.running:
            await anyio.sleep(0.001)  # the call is recorded before its thread has ended
        await anyio.wait_all_tasks_blocked()

    async def look(self) -> None:
        """Keep reading, like a frame socket's client."""
        sequence = 0
        with suppress(CaptureFailed):
            while True:
                frame = await self.broker.after(sequence)
                sequence = frame.sequence
                self.frames.append(frame)

    async def read(self) -> None:
        try:
            # Frames without a stamp count as exposed this long before they arrive.
            self.frames.append(await self.broker.fresh(self.clock.monotonic_s() - LATENCY_S))
        except CaptureFailed as error:
            self.errors.append(error)

    async def handled(self) -> None:
        """Wait until the producer has taken all that the device has sent, or has failed."""
        while self.device.unread and self.broker.problem is None:
            await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()

    async def seen(self, count: int) -> None:
        """Wait until the broker has counted this many frames, used or not."""
        while self.broker.stats.frames + sum(number for _, number in self.broker.stats.dropped) < count:
            await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def running(
    capabilities: Capabilities,
    settings: CaptureSettings | None = None,
    *,
    settles: bool = False,
    asks_always: bool = False,
) -> AsyncIterator[tuple[Bench, TaskGroup]]:
    """Run a bench; unless `settles`, its stills do not wait for a steady brightness."""
    settings = settings or CaptureSettings()
    if settings.settle_s is None and not settles:
        settings = settings.model_copy(update={"settle_s": 0})
    bench = Bench(capabilities, settings, asks_always=asks_always)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            await tg.start(bench.broker.run)
            yield bench, tg
            tg.cancel_scope.cancel()
    assert bench.calls.count("open") == bench.calls.count("close"), "a descriptor was left open"
