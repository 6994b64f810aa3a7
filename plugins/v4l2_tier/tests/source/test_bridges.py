"""Bridges whose source is off at the start, goes and comes back."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import anyio
import pytest

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.errors import no_signal
from v4l2_tier.device.video_inputs import VideoInput, VideoSource
from v4l2_tier.source.inventory import DeviceNode

Make = Callable[..., DeviceNode]
#: The fixture `watch` of conftest.py.
Watch = Callable[..., AbstractAsyncContextManager[Any]]
HERE, BROKEN = "connected", "failed"
OFF = "nothing is connected, or the source is off or asleep"
HDMI = VideoInput(0, "HDMI", has_timings=True)


def bridge(capabilities: Capabilities, fault: str = "") -> Capabilities:
    selected = replace(HDMI, fault=fault)
    return replace(capabilities, source=VideoSource((selected,), selected, Fraction(1, 60)))


def answering(answer: object) -> Callable[[Any], None]:
    def prepare(devices: Any) -> None:
        devices.answers["video0"] = answer

    return prepare


async def looked(bench: Any, more: int) -> None:
    """Let time pass in small steps until the device was asked `more` times; its thread answers in real time."""
    count = len(bench.devices.probes) + more
    with anyio.fail_after(20):
        while len(bench.devices.probes) < count:
            await bench.clock.advance(0.25)
            await anyio.sleep(0.02)


async def test_a_bridge_without_a_signal_is_listed_with_the_reason_and_used_when_it_has_one(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    off = bridge(capabilities, OFF)
    async with watch(replace(node(), usb=None), prepare=answering(off)) as bench:
        await bench.report.until((BROKEN, "video0"))
        assert OFF in bench.report.reasons[-1]
        assert bench.report.cameras["video0"].media_input is None
        await looked(bench, 3)
        assert bench.report.history == [(BROKEN, "video0")]  # told once, not at each look
        bench.devices.answers["video0"] = bridge(capabilities)
        await looked(bench, 1)
        await bench.report.until((BROKEN, "video0"), (HERE, "video0"))
        assert bench.report.cameras["video0"].media_input is not None


async def test_a_bridge_on_usb_is_no_exception(watch: Watch, node: Make, capabilities: Capabilities) -> None:
    async with watch(node(), prepare=answering(bridge(capabilities, OFF))) as bench:
        await bench.report.until((BROKEN, "video0"))
        bench.devices.answers["video0"] = bridge(capabilities)
        await looked(bench, 1)
        await bench.report.until((BROKEN, "video0"), (HERE, "video0"))


@pytest.mark.parametrize("settings", [{"check_signal": False}, {"input": 1}, {"input": "component"}])
async def test_a_signal_that_does_not_count_is_not_waited_for(
    watch: Watch, node: Make, capabilities: Capabilities, settings: dict[str, object]
) -> None:
    lacking = replace(HDMI, fault=OFF)
    source = VideoSource((lacking, VideoInput(1, "Component", standards=255)), lacking)
    found = replace(capabilities, source=source)
    async with watch(node(), prepare=answering(found), defaults=settings) as bench:
        await bench.report.until((HERE, "video0"))


async def test_a_bridge_that_has_lost_its_signal_is_back_within_seconds_of_it(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    async with (
        watch(node(), prepare=answering(bridge(capabilities))) as bench,
        anyio.create_task_group() as tg,
    ):
        camera, producer = bench.report.cameras["video0"], bench.devices.producers["video0"]
        producer.park_error = no_signal(OFF)

        async def ask() -> None:
            with pytest.raises(CaptureFailed):
                await camera.frames.fresh(bench.clock.monotonic_s())

        tg.start_soon(ask)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"))
        bench.devices.answers["video0"] = bridge(capabilities, OFF)
        await looked(bench, 1)
        assert bench.report.history == [(HERE, "video0"), (BROKEN, "video0")]
        producer.park_error = no_signal(OFF)  # for the broker's own trial
        bench.devices.answers["video0"] = bridge(capabilities)
        await looked(bench, 1)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"), (HERE, "video0"))


async def test_a_bridge_with_a_signal_is_not_opened_by_the_way(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    async with watch(node(), prepare=answering(bridge(capabilities))) as bench:
        for _ in range(6):
            await bench.clock.advance(10)
        assert bench.devices.probes == ["video0"]
