"""Capture by the plugin's producer behind a broker, without a source or an agent."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

import anyio
import pytest
from anyio.abc import Process
from linuxpy.video import device

from agent_core.base.clock import SystemClock
from agent_core.base.errors import CaptureFailed
from agent_core.base.models import Frame
from agent_core.plugin.controls import DevicePanel
from agent_core.plugin.frames import FrameBroker
from tests.vm.cameras.layout import Continuous, FrameSize, Layout
from v4l2_tier.capture.limits import broker_settings
from v4l2_tier.capture.producer import V4l2Producer
from v4l2_tier.device.capabilities import Capabilities, DeviceControl, Intervals, PixelFormat, Span
from v4l2_tier.device.capabilities import FrameSize as OfferedSize
from v4l2_tier.device.controls import open_controls
from v4l2_tier.device.offered import controls_of
from v4l2_tier.device.planarity import Planarity
from v4l2_tier.settings import CaptureSettings

__all__ = (
    "PATIENCE_S",
    "Captured",
    "capabilities_of",
    "captured",
    "descriptors",
    "failure",
    "offered",
    "other_program",
    "panel_of",
)

#: Time limit of any step on an emulated processor on a busy host.
PATIENCE_S = 100


@dataclass(slots=True)
class Captured:
    producer: V4l2Producer
    broker: FrameBroker
    clock: SystemClock

    async def fresh(self) -> Frame:
        """Return a frame exposed from now on."""
        with anyio.fail_after(PATIENCE_S):
            return await self.broker.fresh(self.clock.monotonic_s())

    async def frames(self, count: int) -> list[Frame]:
        """Return `count` distinct frames, as a client sees them."""
        seen: list[Frame] = []
        with anyio.fail_after(PATIENCE_S):
            while len(seen) < count:
                seen.append(await self.broker.after(seen[-1].sequence if seen else 0))
        return seen

    @property
    def dropped(self) -> dict[str, int]:
        return dict(self.broker.stats.dropped)

    @property
    def recoveries(self) -> dict[str, int]:
        return dict(self.producer.recoveries)


def panel_of(node: Path, capabilities: Capabilities, settings: CaptureSettings) -> DevicePanel:
    """Return a control panel as the source makes it, which tells no one."""
    return DevicePanel(
        controls_of(capabilities),
        partial(open_controls, node, capabilities),
        report=lambda _: None,
        configured=settings.controls,
    )


@asynccontextmanager
async def captured(
    node: Path, formats: tuple[PixelFormat, ...], settings: CaptureSettings | None = None
) -> AsyncIterator[Captured]:
    settings = settings or CaptureSettings()
    clock = SystemClock()
    capabilities = capabilities_of(node, formats)
    producer = V4l2Producer(node, capabilities, settings, panel_of(node, capabilities, settings), clock=clock)
    broker = FrameBroker(producer, clock=clock, settings=broker_settings(settings, producer.chosen))
    before = descriptors()
    async with anyio.create_task_group() as tasks:
        await tasks.start(broker.run)
        yield Captured(producer, broker, clock)
        tasks.cancel_scope.cancel()
    assert descriptors() == before


@asynccontextmanager
async def other_program(node: Path, *options: str) -> AsyncIterator[Process]:
    """Stream from `node` with v4l2-ctl for the duration of the `async with`."""
    argv = ["v4l2-ctl", "-d", str(node), "--stream-mmap", *options]
    async with await anyio.open_process(argv, stdout=DEVNULL, stderr=DEVNULL) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def failure(camera: Captured) -> CaptureFailed:
    """Return the error of a fresh picture."""
    with pytest.raises(CaptureFailed) as caught:
        await camera.fresh()
    assert "/dev" not in f"{caught.value.details}{caught.value.suggestion}{caught.value.detail}"
    return caught.value


def descriptors() -> list[str]:
    """Return the V4L2 nodes that this process has open."""
    links = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            links.append(str(each.readlink()))
    return sorted(link for link in links if link.startswith("/dev/video"))


def capabilities_of(node: Path, formats: tuple[PixelFormat, ...]) -> Capabilities:
    descriptor = os.open(node, os.O_RDWR)
    try:
        found = device.read_capabilities(descriptor)
        controls = tuple(_control(descriptor, each) for each in device.iter_read_controls(descriptor))
    finally:
        os.close(descriptor)
    return Capabilities(
        found.driver.decode(),
        found.card.decode(),
        found.bus_info.decode(),
        formats,
        tuple(each for each in controls if each is not None),
        planarity=Planarity.SINGLE
        if found.device_caps & device.Capability.VIDEO_CAPTURE
        else Planarity.MULTI,
    )


def _control(descriptor: int, query: device.raw.v4l2_query_ext_ctrl) -> DeviceControl | None:
    kind = device.ControlType(query.type).name.lower()
    if kind not in ("integer", "boolean", "menu", "button") or query.flags & device.ControlFlag.HAS_PAYLOAD:
        return None
    name = "".join(c if c.isalnum() else " " for c in query.name.decode().lower())
    return DeviceControl(
        query.id,
        "_".join(name.split()),
        kind,
        query.minimum,
        query.maximum,
        query.step,
        query.default_value,
        0 if kind == "button" else device.get_control(descriptor, query.id),
        tuple(_choices(descriptor, query)) if kind == "menu" else (),
    )


def _choices(descriptor: int, query: device.raw.v4l2_query_ext_ctrl) -> Iterator[tuple[int, str]]:
    for value in range(query.minimum, query.maximum + 1):
        item = device.raw.v4l2_querymenu(id=query.id, index=value)
        try:
            device.ioctl(descriptor, device.IOC.QUERYMENU, item)
        except OSError:
            continue
        yield value, item.name.decode()


def offered(layout: Layout) -> tuple[PixelFormat, ...]:
    """Return the formats of a simulated webcam with this layout."""
    return tuple(
        PixelFormat(code, code, tuple(_size(size) for size in sizes)) for code, sizes in layout.formats
    )


def _size(size: FrameSize) -> OfferedSize:
    assert not isinstance(size.rates_fps, Continuous)
    rates = tuple(Intervals(Fraction(1, rate), Fraction(1, rate)) for rate in size.rates_fps)
    return OfferedSize(Span(size.width, size.width), Span(size.height, size.height), rates)
