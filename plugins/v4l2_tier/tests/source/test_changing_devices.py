"""Devices that become cameras, stop being cameras and offer something else while they stay plugged."""

import errno
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import anyio
import pytest

from agent_core.plugin import CaptureFailed
from agent_core.testing.scripted_producer import a_jpeg
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.modes import choose
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.settings import CaptureSettings
from v4l2_tier.source.hotplug.watcher import NodeChanges
from v4l2_tier.source.inventory import DeviceNode

Make = Callable[..., DeviceNode]
#: The fixture `watch` of conftest.py.
Watch = Callable[..., AbstractAsyncContextManager[Any]]
GONE, HERE, BROKEN = "disconnected", "connected", "failed"
OUTPUT = NoCamera("it is an output, a converter or a codec")


@pytest.fixture
def loopback(node: Make) -> DeviceNode:
    return replace(node(), usb=None, port=None, udev_capabilities=frozenset(), is_virtual=True)


def small(capabilities: Capabilities) -> Capabilities:
    size = FrameSize(Span(320, 320), Span(240, 240), (Intervals(Fraction(1, 5), Fraction(1, 5)),))
    return replace(capabilities, formats=(PixelFormat("YUYV", "YUYV 4:2:2", (size,)),))


def answering(answer: object) -> Callable[[Any], None]:
    def prepare(devices: Any) -> None:
        devices.answers["video0"] = answer

    return prepare


async def looked(bench: Any, count: int) -> None:
    """Let time pass until there were this many probes; their threads may end a moment later than the clock goes.

    A probe that lasts six steps would count as silent.
    """
    with anyio.fail_after(40):
        while len(bench.devices.probes) < count:
            await bench.clock.advance(1)
            await anyio.sleep(0.02)
    assert len(bench.devices.probes) == count


async def test_a_loopback_whose_writer_starts_late_becomes_a_camera_by_itself(
    watch: Watch, loopback: DeviceNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "camera_agent.v4l2_tier")
    async with watch(loopback, prepare=answering(OUTPUT), reconcile_s=30) as bench:
        await looked(bench, 4)
        assert bench.report.history == []
        assert caplog.messages.count("video0 is not a camera: " + OUTPUT.why) == 1
        del bench.devices.answers["video0"]
        await looked(bench, 5)
        await bench.report.until((HERE, "video0"))


async def test_a_touch_of_the_node_is_a_reason_to_look_at_once(watch: Watch, loopback: DeviceNode) -> None:
    async with watch(loopback, prepare=answering(OUTPUT), reconcile_s=3000) as bench:
        del bench.devices.answers["video0"]
        bench.devices.tell(NodeChanges(touched=frozenset({"video0"})))
        await bench.report.until((HERE, "video0"))


async def test_a_device_whose_rights_are_mended_is_used_at_once(watch: Watch, node: Make) -> None:
    refused = OSError(errno.EACCES, os.strerror(errno.EACCES))
    async with watch(node(), prepare=answering(refused)) as bench:
        await bench.clock.advance(100)  # the pauses have grown to a minute
        failures = bench.report.history.count((BROKEN, "video0"))
        del bench.devices.answers["video0"]
        bench.devices.tell(NodeChanges(touched=frozenset({"video0"})))
        await bench.report.until(*[(BROKEN, "video0")] * failures, (HERE, "video0"))


@pytest.mark.parametrize("answer", [OUTPUT, NoCamera("several planes", remarkable=True)])
async def test_hardware_that_is_no_camera_is_not_opened_again(
    watch: Watch, node: Make, answer: NoCamera
) -> None:
    async with watch(node(), prepare=answering(answer)) as bench:
        await bench.clock.advance(600)
        bench.devices.tell(NodeChanges(touched=frozenset({"video0"})))
        await bench.clock.advance(1)
        assert bench.devices.probes == ["video0"]


async def test_a_loopback_that_offers_something_else_while_closed_is_reported_with_it(
    watch: Watch, loopback: DeviceNode, capabilities: Capabilities
) -> None:
    async with watch(loopback, reconcile_s=30) as bench:
        await looked(bench, 3)
        assert bench.report.history == [(HERE, "video0")]
        bench.devices.answers["video0"] = small(capabilities)
        await looked(bench, 5)
        await bench.report.until((HERE, "video0"), (HERE, "video0"))
        camera = bench.report.cameras["video0"]
    assert (camera.resolution, camera.fps, camera.modes[0].format) == ((320, 240), 5.0, "YUYV")
    assert (camera.media_input.width, camera.media_input.height) == (320, 240)


async def test_a_loopback_whose_writer_ends_is_failed_with_the_reason_until_it_is_back(
    watch: Watch, loopback: DeviceNode
) -> None:
    async with watch(loopback, reconcile_s=30) as bench:
        bench.devices.answers["video0"] = OUTPUT
        await bench.clock.advance(30)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"))
        assert "gives no pictures now" in bench.report.reasons[-1]
        del bench.devices.answers["video0"]
        await bench.clock.advance(30)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"), (HERE, "video0"))
        assert bench.report.cameras["video0"].frames is not None


@pytest.mark.parametrize("is_virtual", [True, False])
async def test_a_loopback_or_bridge_without_a_usable_format_is_asked_again(
    watch: Watch, loopback: DeviceNode, capabilities: Capabilities, is_virtual: bool
) -> None:
    loopback = replace(loopback, is_virtual=is_virtual)
    odd = replace(capabilities, formats=(replace(capabilities.formats[0], code="Z16"),))
    async with watch(loopback, prepare=answering(odd), reconcile_s=30) as bench:
        assert bench.report.history == [(BROKEN, "video0")]
        del bench.devices.answers["video0"]
        await bench.clock.advance(30)
        await bench.report.until((BROKEN, "video0"), (HERE, "video0"))


async def test_a_device_in_use_is_not_asked_by_the_way(watch: Watch, loopback: DeviceNode) -> None:
    async with watch(loopback, reconcile_s=5) as bench, anyio.create_task_group() as tg:
        camera, producer = bench.report.cameras["video0"], bench.devices.producers["video0"]
        tg.start_soon(camera.frames.fresh, 0)
        await producer.until_streaming()
        bench.devices.answers["video0"] = OUTPUT
        await bench.clock.advance(6)
        assert bench.devices.probes == ["video0"]
        producer.sink.offer(a_jpeg(640, 480))


async def test_what_the_producer_has_found_is_reported(
    watch: Watch, loopback: DeviceNode, capabilities: Capabilities
) -> None:
    async with watch(loopback) as bench:
        offered = small(capabilities)
        bench.devices.on_offer["video0"](offered)
        bench.devices.on_mode["video0"](choose(offered, CaptureSettings()))
        await bench.report.until((HERE, "video0"), (HERE, "video0"))
        assert bench.report.cameras["video0"].resolution == (320, 240)


async def test_a_camera_that_failed_for_its_signal_is_back_with_it(
    watch: Watch, loopback: DeviceNode
) -> None:
    async with watch(loopback, reconcile_s=7) as bench, anyio.create_task_group() as tg:
        camera, producer = bench.report.cameras["video0"], bench.devices.producers["video0"]
        producer.park_error = CaptureFailed("No pictures.", reason="no_signal", suggestion="Start it.")

        async def ask() -> None:
            with pytest.raises(CaptureFailed):
                await camera.frames.fresh(bench.clock.monotonic_s())

        tg.start_soon(ask)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"))
        await bench.clock.advance(7)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"), (HERE, "video0"))
