"""Streams of a bridge: no signal at the start, a signal that is lost or comes back, and another source."""

import anyio
import pytest

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.connection import Connection
from v4l2_tier.device.errors import no_signal
from v4l2_tier.settings import CaptureSettings

from .bench import PICTURES, Bench, running
from .test_producer import only_raw

LOST = "there is no signal at the input 'Composite'"


async def streaming(bench: Bench) -> None:
    await bench.until("start")
    bench.device.send(PICTURES[0])
    await bench.seen(1)


async def seconds(bench: Bench, count: int) -> None:
    """Let time pass with a picture each second, and the looks at the signal done."""
    for _ in range(count):
        bench.device.send(PICTURES[0])
        looks = len(bench.signal_looks)
        await bench.clock.advance(1)
        while len(bench.signal_looks) == looks and bench.broker.problem is None:
            await bench.clock.advance(0)
        await bench.seen(1)


async def test_a_source_without_a_signal_is_told_as_such_and_tried_again(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        bench.refusal = no_signal(LOST)
        await bench.read()
        (error,) = bench.errors
        assert error.reason == "no_signal"
        assert LOST in error.details
        bench.refusal = None
        with anyio.fail_after(20):
            while bench.calls[-1] != "start":  # the broker tries again after a pause
                tg.start_soon(bench.read)
                await bench.clock.advance(0.3)
                await anyio.sleep(0.01)
        await streaming(bench)
        assert bench.broker.problem is None


async def test_a_signal_that_is_lost_ends_the_stream_in_words_although_pictures_come(
    webcam: Capabilities,
) -> None:
    async with running(webcam) as (bench, tg):
        bench.connection = Connection(1)
        tg.start_soon(bench.look)
        await streaming(bench)
        await seconds(bench, 2)
        bench.fault = LOST
        await seconds(bench, 3)
        await bench.until("stop", "close")
        assert bench.broker.problem is not None
        assert bench.broker.problem.reason == "no_signal"
        assert set(bench.signal_looks) == {1}
        assert bench.producer.recoveries == (("give_up", 1),)


async def test_a_signal_that_is_missing_for_a_moment_costs_no_picture(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        bench.connection = Connection(0)
        tg.start_soon(bench.look)
        await streaming(bench)
        for _ in range(3):
            bench.fault = LOST
            await seconds(bench, 2)
            bench.fault = ""
            await seconds(bench, 1)
        assert bench.calls == ["open", "configure", "start"]


async def test_silence_of_a_source_that_is_gone_is_no_stall(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.look)
        await streaming(bench)
        bench.refusal = no_signal(LOST)
        await bench.clock.advance(2.2)
        await bench.until("stop", "close", "open", "close")
        assert bench.broker.problem is not None
        assert bench.broker.problem.reason == "no_signal"


async def test_a_webcam_is_never_asked_for_a_signal(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.look)
        await streaming(bench)
        for _ in range(5):
            bench.device.send(PICTURES[0])
            await bench.clock.advance(1)
        assert bench.signal_looks == []


async def test_another_source_is_asked_what_it_offers(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        bench.connection, bench.offered = Connection(has_changed=True), only_raw(webcam)
        tg.start_soon(bench.look)
        await bench.until("open", "offer", "configure", "start")
        assert bench.producer.chosen.pixel_format == "YUYV"


async def test_an_input_that_does_not_exist_is_told_by_name(webcam: Capabilities) -> None:
    async with running(webcam, CaptureSettings(input="HDMI 2")) as (bench, _):
        bench.refusal = CaptureFailed("No input 'HDMI 2'.", reason="no_such_input")
        await bench.read()
        assert [error.reason for error in bench.errors] == ["no_such_input"]


@pytest.mark.parametrize("deinterlace", [True, False])
async def test_interlaced_pictures_are_mended_unless_the_settings_say_no(
    webcam: Capabilities, *, deinterlace: bool
) -> None:
    settings = CaptureSettings(width=160, height=90, deinterlace=deinterlace)
    async with running(only_raw(webcam), settings) as (bench, tg):
        bench.interlaced = True
        tg.start_soon(bench.read)
        await bench.until("start")
        assert bench.producer.layout is not None
        assert bench.producer.layout.raw.interlaced is deinterlace
