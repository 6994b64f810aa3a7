"""Producer over a simulated device, without V4L2 in the kernel."""

import io
import logging
import threading
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import pytest
from PIL import Image

from agent_core.plugin import CapturedAtSource, CaptureFailed, Frame
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.settings import CaptureSettings

from .bench import BROKEN, ERROR, GONE, MONOTONIC, PICTURES, running


def only_raw(capabilities: Capabilities) -> Capabilities:
    return replace(capabilities, formats=tuple(f for f in capabilities.formats if f.code == "YUYV"))


async def test_frames_arrive_byte_for_byte_with_the_devices_time(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("open", "configure", "start")
        now_s = bench.clock.monotonic_s()
        for picture in PICTURES:
            bench.device.send(picture, stamp_s=now_s, flags=MONOTONIC)
            await bench.seen(len(bench.frames) + 1)
        bench.device.send(PICTURES[0], stamp_s=5.0, flags=MONOTONIC)
        await bench.seen(4)
    assert [frame.data for frame in bench.frames] == [*PICTURES, PICTURES[0]]
    first, last = bench.frames[0], bench.frames[-1]
    assert first.captured_at_source is CapturedAtSource.DEVICE
    assert first.captured_s == pytest.approx(now_s - 1 / 30)
    assert last.captured_at_source is CapturedAtSource.ARRIVAL
    assert bench.device.lent == 0


async def test_rest_keeps_the_device_open_without_buffers_then_closes_it(webcam: Capabilities) -> None:
    # Shorter than the silence that counts as a stall.
    settings = CaptureSettings(warm_ttl_s=1, parked_ttl_s=20)
    async with running(webcam, settings) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        bench.device.send(PICTURES[0])
        await bench.seen(1)
        await bench.clock.advance(1)
        await bench.until("open", "configure", "start", "stop")
        tg.start_soon(bench.read)
        await bench.until("stop", "configure", "start")
        bench.device.send(PICTURES[1])
        await bench.seen(2)
        await bench.clock.advance(1)
        await bench.until("start", "stop")
        await bench.clock.advance(20)
        await bench.until("stop", "close")


async def test_bad_frames_are_dropped_and_counted_by_what_is_wrong(webcam: Capabilities) -> None:
    async with running(only_raw(webcam), CaptureSettings(width=160, height=90)) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        whole = bytes([128]) * (160 * 90 * 2)
        bench.device.send(whole, flags=ERROR)
        bench.device.send(b"")
        bench.device.send(whole[:-1])
        await bench.seen(3)
        assert bench.frames == []
        bench.device.send(whole)
        await bench.seen(4)
        assert bench.broker.stats.dropped == (("device_error", 1), ("empty", 1), ("short", 1))
        assert bench.device.lent == 0
    assert Image.open(io.BytesIO(bench.frames[0].data)).size == (160, 90)


async def test_a_torn_jpeg_is_dropped_and_the_next_one_served(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        bench.device.send(PICTURES[0][:-20])
        bench.device.send(PICTURES[1])
        await bench.seen(2)
        assert bench.broker.stats.dropped == (("damaged", 1),)
    assert [frame.data for frame in bench.frames] == [PICTURES[1]]


async def test_of_raw_frames_that_are_ready_only_the_newest_is_encoded(webcam: Capabilities) -> None:
    async with running(only_raw(webcam), CaptureSettings(width=160, height=90)) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        for level in (30, 90, 210):
            bench.device.send(bytes([level, 128]) * (160 * 90))
        await bench.seen(3)
        assert bench.broker.stats.dropped == (("superseded", 2),)
        assert bench.device.lent == 0
    shown = Image.open(io.BytesIO(bench.frames[0].data)).convert("L").getpixel((80, 45))
    assert shown == pytest.approx((210 - 16) * 255 / 219, abs=2)


async def test_frames_that_the_driver_lost_are_counted(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        bench.device.send(PICTURES[0])
        bench.device.send(PICTURES[0], skipped=3)
        await bench.seen(5)
        assert bench.broker.stats.dropped == (("lost", 3),)


async def test_silence_is_met_by_restart_then_reopening_then_told(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        bench.device.send(PICTURES[0])
        await bench.seen(1)
        tg.start_soon(bench.look)
        await bench.clock.advance(2.2)
        await bench.until("start", "stop", "configure", "start")
        await bench.clock.advance(2.3)
        await bench.until("stop", "close", "open", "configure", "start")
        tg.start_soon(bench.read)
        await bench.clock.advance(2.3)
        await bench.until("stop", "close")
        assert [error.reason for error in bench.errors] == ["camera_stalled"]
        assert bench.producer.recoveries == (("give_up", 1), ("reopen", 1), ("restart", 1))
        # The broker pauses, then tries again, with success.
        await bench.clock.advance(0.3)
        await bench.until("close", "open", "configure", "start")
        bench.device.send(PICTURES[2])
        await bench.seen(2)
        assert bench.broker.problem is None


async def test_a_driver_that_delivers_more_slowly_than_it_was_set_to_is_not_taken_for_silent(
    webcam: Capabilities,
) -> None:
    async with running(webcam) as (bench, tg):
        bench.slower = 90  # 3 s from one frame to the next
        tg.start_soon(bench.look)
        await bench.until("start")
        for count in range(1, 5):
            bench.device.send(PICTURES[0])
            await bench.seen(count)
            await bench.clock.advance(3)
        assert bench.calls == ["open", "configure", "start"]
        await bench.clock.advance(7.4)  # ten seconds after the last one: the broker's own limit
        await bench.until("start", "stop", "close")


async def test_a_restart_that_helps_is_noticed_by_nobody(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        bench.device.send(PICTURES[0])
        await bench.seen(1)
        bench.device.fail(BROKEN)
        await bench.until("start", "stop", "configure", "start")
        bench.device.send(PICTURES[1])
        await bench.seen(2)
        assert bench.broker.stats.failures == 0
        assert bench.broker.stats.starts == 1
    assert [frame.data for frame in bench.frames] == [PICTURES[0], PICTURES[1]]


async def test_only_damaged_frames_are_told_as_such(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        steps = (
            (4.3, ("start", "stop", "configure", "start")),
            (2.3, ("stop", "close", "open", "configure", "start")),
            (2.3, ("start", "stop", "close")),
        )
        for count, (limit_s, calls) in enumerate(steps, start=1):
            bench.device.send(PICTURES[0], flags=ERROR)
            await bench.seen(count)
            await bench.clock.advance(limit_s)
            await bench.until(*calls)
    assert [error.reason for error in bench.errors] == ["frames_damaged"]


@pytest.mark.parametrize("reason", ["camera_gone", "device_busy", "usb_bandwidth"])
async def test_what_no_restart_can_help_is_told_at_once(webcam: Capabilities, reason: str) -> None:
    async with running(webcam) as (bench, _):
        bench.failures["start"] = CaptureFailed("No.", reason=reason)
        await bench.read()
        assert [error.reason for error in bench.errors] == [reason]
        await bench.until("open", "configure", "start", "stop", "close")


async def test_a_camera_that_goes_in_mid_stream_is_told_at_once(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        bench.failures["stop"] = GONE
        bench.device.fail(GONE)
        await bench.until("stop", "close")
        assert [error.reason for error in bench.errors] == ["camera_gone"]


async def test_a_device_that_failed_while_parked_is_opened_anew_at_once(webcam: Capabilities) -> None:
    async with running(webcam, CaptureSettings(warm_ttl_s=0)) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        bench.device.send(PICTURES[0])
        await bench.until("stop")
        bench.failures["configure"] = GONE
        await bench.clock.advance(1)
        tg.start_soon(bench.read)
        await bench.until("stop", "configure", "close", "open", "configure", "start")
        bench.device.send(PICTURES[1])
        await bench.seen(2)
        assert bench.errors == []


async def test_a_device_that_opens_after_nobody_wants_it_any_more_is_closed(webcam: Capabilities) -> None:
    async with running(webcam, CaptureSettings(warm_ttl_s=0)) as (bench, tg):
        bench.open_slowly = threading.Event()
        tg.start_soon(bench.read)
        await bench.opening.wait()
        tg.cancel_scope.cancel()
        bench.open_slowly.set()
    assert bench.calls[0] == "open"
    assert "start" not in bench.calls


async def test_stills_wait_for_the_exposure_to_settle_and_streams_do_not(webcam: Capabilities) -> None:
    shown: list[Frame] = []

    async def watch() -> None:
        with suppress(CaptureFailed):
            while True:
                shown.append(await bench.broker.after(shown[-1].sequence if shown else 0))

    async with running(webcam, CaptureSettings(settle_s=1.0)) as (bench, tg):
        tg.start_soon(bench.read)
        tg.start_soon(watch)
        await bench.until("start")
        bench.device.send(PICTURES[0])
        await bench.seen(1)
        await bench.clock.advance(0.9)
        bench.device.send(PICTURES[1])
        await bench.seen(2)
        assert bench.frames == []
        await bench.clock.advance(0.2)
        bench.device.send(PICTURES[2])
        await bench.seen(3)
    assert [frame.data for frame in bench.frames] == [PICTURES[2]]
    assert [(frame.data, frame.settled) for frame in shown] == [
        (PICTURES[0], False),
        (PICTURES[1], False),
        (PICTURES[2], True),
    ]


async def test_what_is_not_as_configured_is_logged_once(
    webcam: Capabilities, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    settings = CaptureSettings(fps=200, controls={"gain": 3, "zoom": 1}, warm_ttl_s=0)
    async with running(webcam, settings) as (bench, tg):
        bench.answers = (1280, 704)
        for count in (1, 2):
            tg.start_soon(bench.read)
            await bench.until("start")
            bench.device.send(PICTURES[0])
            await bench.seen(count)
            await bench.until("stop")
            await bench.clock.advance(1)
        assert "gain=3" in bench.calls
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 5
    assert "200 frames per second are not offered" in said[0]
    assert "the driver set 1280x704" in said[1]
    assert "60 frames per second were requested; the driver set 30" in said[2]
    assert "control zoom" in said[3]
    assert "control gain: 3 was requested; the camera set 0" in said[4]


async def test_controls_are_written_at_each_opening_and_compared_at_each_start(webcam: Capabilities) -> None:
    settings = CaptureSettings(controls={"brightness": 128, "gain": 3}, warm_ttl_s=1, parked_ttl_s=20)
    async with running(webcam, settings) as (bench, tg):
        bench.sets_controls = True
        tg.start_soon(bench.read)
        # The driver reports 128 already, but the camera may have lost it.
        await bench.until("open", "configure", "brightness=128", "gain=3", "start")
        bench.device.send(PICTURES[0])
        await bench.seen(1)
        await bench.clock.advance(1)
        await bench.until("start", "stop")
        bench.at_start = {"gain": 0}
        tg.start_soon(bench.read)
        await bench.until("stop", "configure", "start", "gain=3")
        assert bench.values["gain"] == 3
        assert {each.name: each.value for each in bench.reports[-1].controls}["gain"] == 3


async def test_a_silent_control_delays_the_first_opening_only_and_pictures_come(webcam: Capabilities) -> None:
    settings = CaptureSettings(controls={"gain": 3}, warm_ttl_s=1, parked_ttl_s=1)
    async with running(webcam, settings) as (bench, tg):
        bench.failures["gain=3"] = CaptureFailed("It did not answer.", reason="control_silent")
        for count in (1, 2):
            tg.start_soon(bench.read)
            await bench.until("start")
            bench.device.send(PICTURES[0])
            await bench.seen(count)
            await bench.clock.advance(1)
            await bench.until("stop")
            await bench.clock.advance(1)
            await bench.until("close")
    assert bench.calls.count("gain=3") == 1
    assert len(bench.frames) == 2


def small_raw(capabilities: Capabilities) -> Capabilities:
    """Return what the device offers after its picture has changed."""
    size = FrameSize(Span(160, 160), Span(90, 90), (Intervals(Fraction(1, 5), Fraction(1, 5)),))
    return replace(capabilities, formats=(PixelFormat("YUYV", "YUYV 4:2:2", (size,)),))


async def test_a_device_that_changed_while_closed_is_used_as_it_is_now(webcam: Capabilities) -> None:
    async with running(webcam, asks_always=True) as (bench, tg):
        bench.offered = small_raw(webcam)
        tg.start_soon(bench.read)
        await bench.until("open", "offer", "configure", "start")
        bench.device.send(bytes([128]) * (160 * 90 * 2))
        await bench.seen(1)
    (mode,) = bench.modes
    assert bench.offers == [bench.offered]
    assert (mode.pixel_format, mode.width, mode.height, mode.fps) == ("YUYV", 160, 90, 5.0)
    assert (bench.frames[0].width, bench.errors) == (160, [])


async def test_a_format_that_is_refused_is_asked_for_again_and_the_same_call_succeeds(
    webcam: Capabilities,
) -> None:
    async with running(webcam) as (bench, tg):
        bench.offered = small_raw(webcam)
        tg.start_soon(bench.read)
        await bench.until("open", "configure", "offer", "configure", "start")
        bench.device.send(bytes([128]) * (160 * 90 * 2))
        await bench.seen(1)
    assert len(bench.offers) == 1
    assert bench.errors == []


async def test_a_device_that_changed_while_parked_is_asked_without_being_opened_again(
    webcam: Capabilities,
) -> None:
    async with running(webcam, CaptureSettings(warm_ttl_s=1)) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        bench.device.send(PICTURES[0])
        await bench.seen(1)
        await bench.clock.advance(1)
        await bench.until("stop")
        bench.offered = small_raw(webcam)
        tg.start_soon(bench.read)
        await bench.until("stop", "configure", "offer", "configure", "start")
    assert bench.calls.count("open") == 1


async def test_a_size_that_the_driver_changed_is_a_reason_to_ask(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        bench.answers = (320, 240)
        tg.start_soon(bench.read)
        await bench.until("open", "configure", "offer", "start")
    assert bench.offers == []


async def test_an_error_of_a_device_that_offers_the_same_is_told(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        bench.failures["configure"] = BROKEN
        tg.start_soon(bench.read)
        await bench.until("open", "configure", "offer", "close")
    assert [error.reason for error in bench.errors] == ["device_error"]


async def test_a_device_without_a_writer_is_not_set_up_and_says_why(webcam: Capabilities) -> None:
    async with running(webcam, asks_always=True) as (bench, tg):
        bench.offered = NoCamera("no program puts pictures into it")
        tg.start_soon(bench.read)
        await bench.until("open", "offer", "close")
    (error,) = bench.errors
    assert error.reason == "no_signal"
    assert "no program puts pictures into it" in error.details


async def test_a_source_that_changes_ends_the_stream_and_is_asked_for(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        bench.tells_source = bench.source_changes = True  # the change before the start is no reason
        tg.start_soon(bench.look)
        await bench.until("start")
        await bench.clock.advance(1.5)
        assert bench.calls.count("start") == 1
        bench.offered, bench.source_changes = small_raw(webcam), True
        await bench.clock.advance(1)
        await bench.until("stop", "configure", "offer", "configure", "start")
        bench.device.send(bytes([128]) * (160 * 90 * 2))
        await bench.seen(1)
        tg.cancel_scope.cancel()
    assert bench.producer.recoveries == (("restart", 1),)
    assert bench.frames[0].width == 160
