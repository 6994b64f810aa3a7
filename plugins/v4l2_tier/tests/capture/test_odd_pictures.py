"""Cameras that send odd, damaged or dark pictures."""

import io
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
from PIL import Image

from agent_core.plugin import SettledBy
from agent_core.plugin.frames import measure
from agent_core.testing.scripted_producer import a_jpeg
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.settings import CaptureSettings

from .bench import ERROR, GONE, PICTURES, Bench, running

CUT = PICTURES[0][:-40]
BLACK, LIT = a_jpeg(shade=4), a_jpeg(shade=120)


async def send(bench: Bench, pictures: Sequence[bytes], flags: int = 0) -> None:
    """Send the pictures and wait until each has been counted."""
    for picture in pictures:
        stats = bench.broker.stats
        before = stats.frames + sum(count for _, count in stats.dropped)
        bench.device.send(picture, flags=flags)
        await bench.seen(before + 1)


async def send_in_time(bench: Bench, pictures: Sequence[bytes], fps: float = 15) -> None:
    for picture in pictures:
        await send(bench, [picture])
        await bench.clock.advance(1 / fps)


async def give_up(bench: Bench, picture: bytes, flags: int = 0) -> None:
    """Send bad pictures through the restart of the stream and the reopening of the device."""
    for limit_s, calls in (
        (4.3, ("stop", "configure", "start")),
        (2.3, ("stop", "close", "open", "configure", "start")),
        (2.3, ("stop", "close")),
    ):
        await send(bench, [picture], flags)
        await bench.clock.advance(limit_s)
        await bench.until(*calls)


def raw_picture(bench: Bench, level: int = 128) -> bytes:
    mode = bench.producer.chosen
    return bytes([level, 128]) * (mode.width * mode.height)


@pytest.mark.parametrize(
    ("data", "repairs"),
    [
        (PICTURES[0][:-2], (("end_marker", 1),)),
        (PICTURES[0] + bytes(9000), ()),
        (PICTURES[0] + b"\1" * 9000, (("tail", 1),)),
        (PICTURES[0] + PICTURES[1], (("tail", 1),)),
        (b"\xff\xd8" + PICTURES[0], (("leading_bytes", 1),)),
        (PICTURES[0][:20] + b"\0\0" + PICTURES[0][20:], (("stray_bytes", 1),)),
    ],
)
async def test_a_whole_picture_arrives_without_what_is_wrong_with_it(
    webcam: Capabilities, data: bytes, repairs: tuple[tuple[str, int], ...]
) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        await send(bench, [data])
        assert bench.broker.stats.dropped == ()
        assert bench.broker.stats.repaired == repairs
    assert [frame.data for frame in bench.frames] == [PICTURES[0]]


async def test_a_camera_whose_jpegs_stay_damaged_is_captured_in_a_raw_format(
    webcam: Capabilities, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        await send(bench, [CUT] * 100)  # as many cameras begin
        assert bench.calls[-1] == "start"
        await bench.clock.advance(2)
        await send(bench, [CUT])
        await bench.until("start", "stop", "configure", "start")
        await send_in_time(bench, [CUT] * 31)
        await bench.until("start", "stop", "configure", "start")
        assert bench.producer.chosen.pixel_format == "YUYV"
        assert [mode.pixel_format for mode in bench.modes] == ["YUYV"]
        await send(bench, [raw_picture(bench)])
        assert bench.producer.recoveries == (("change_format", 1), ("restart", 1))
        assert bench.errors == []
    mode = bench.producer.chosen
    assert Image.open(io.BytesIO(bench.frames[0].data)).size == (mode.width, mode.height)
    said = [record.getMessage() for record in caplog.records]
    assert "its end is missing; restarting the stream" in said[0]
    assert "its end is missing; changing the picture format" in said[1]
    assert "its MJPG pictures are damaged again and again; using YUYV" in said[2]


async def test_jpegs_of_which_most_are_damaged_are_left_too(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        for _ in range(2):
            await send(bench, [PICTURES[0], *[CUT] * 3] * 37 + [CUT] * 2)
            await bench.until("stop", "configure", "start")
        assert bench.producer.chosen.pixel_format == "YUYV"


async def test_damaged_jpegs_at_the_start_are_forgotten_when_others_come(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        await send(bench, [CUT] * 100 + [PICTURES[0]] * 60)
        assert bench.calls.count("start") == 1


async def test_mostly_damaged_jpegs_are_told_once_if_there_is_no_other_format(
    webcam: Capabilities, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(webcam, CaptureSettings(pixel_format="MJPG")) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        await send(bench, [PICTURES[0], *[CUT] * 3] * 60)
        assert bench.calls.count("start") == 1
    (said,) = [record.getMessage() for record in caplog.records]
    assert "75 % of the camera's last pictures were damaged" in said
    assert 'jpeg_check = "off"' in said


async def test_some_damaged_jpegs_change_nothing(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        await send(bench, [PICTURES[0], CUT] * 160)
        assert bench.calls.count("start") == 1


@pytest.mark.parametrize("is_chosen", [True, False], ids=["the operator's choice", "the only format"])
async def test_without_another_format_the_fault_and_what_to_do_are_told(
    webcam: Capabilities, is_chosen: bool
) -> None:
    only = replace(webcam, formats=tuple(each for each in webcam.formats if each.code == "MJPG"))
    settings = CaptureSettings(pixel_format="MJPG" if is_chosen else None)
    async with running(webcam if is_chosen else only, settings) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        await give_up(bench, CUT)
        (error,) = bench.errors
    assert error.reason == "frames_damaged"
    assert "The last one (MJPG) is not whole: its end is missing." in error.details
    assert 'jpeg_check = "off"' in (error.suggestion or "")
    assert ('pixel_format = "YUYV"' in (error.suggestion or "")) is is_chosen


async def test_what_the_driver_calls_damaged_is_the_cables_fault_and_no_reason_for_another_format(
    webcam: Capabilities,
) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        await send(bench, [PICTURES[0]] * 40, flags=ERROR)
        assert bench.calls.count("start") == 1
        await give_up(bench, PICTURES[0], ERROR)
        (error,) = bench.errors
    assert "cable" in (error.suggestion or "")
    assert bench.modes == []


async def test_a_raw_format_that_delivers_nothing_is_given_up_for_the_jpegs(webcam: Capabilities) -> None:
    async with running(webcam) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        for _ in range(2):
            await send_in_time(bench, [CUT] * 31)
            await bench.until("start", "stop", "configure", "start")
        bench.device.fail(GONE)
        await bench.until("stop", "close")
        assert [mode.pixel_format for mode in bench.modes] == ["YUYV", "MJPG"]
        assert [error.reason for error in bench.errors] == ["camera_gone"]
        tg.start_soon(bench.look)
        await bench.clock.advance(1)
        await bench.until("close", "open", "configure", "start")
        await send_in_time(bench, [CUT] * 31)
        assert bench.calls[-1] == "start"


async def test_the_first_still_of_a_cold_camera_is_not_one_of_its_first_black_pictures(
    webcam: Capabilities,
) -> None:
    async with running(webcam, settles=True) as (bench, tg):
        tg.start_soon(bench.read)
        tg.start_soon(bench.look)
        await bench.until("start")
        await send_in_time(bench, [BLACK] * 10 + [LIT] * 8)
    still = next(frame for frame in bench.frames if frame.settled)
    assert still.data == LIT
    assert still.settlement is not None
    assert still.settlement.by is SettledBy.BRIGHTNESS
    assert still.settlement.after_s == pytest.approx(10 / 15 + 0.3, abs=0.1)
    shown = [frame for frame in bench.frames if not frame.settled]
    assert shown[0].data == BLACK  # streams do not wait


async def test_raw_pictures_are_judged_too(webcam: Capabilities) -> None:
    raw = replace(webcam, formats=tuple(each for each in webcam.formats if each.code == "YUYV"))
    async with running(raw, CaptureSettings(width=160, height=90), settles=True) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        await send_in_time(bench, [raw_picture(bench, 16)] * 5 + [raw_picture(bench, 120)] * 8)
    (still,) = bench.frames
    brightness = measure(still.data)
    assert brightness is not None
    assert brightness.mean > 100


async def test_a_dark_room_costs_the_whole_wait_and_is_told(webcam: Capabilities) -> None:
    async with running(webcam, settles=True) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.until("start")
        await send_in_time(bench, [BLACK] * 50)
    (still,) = bench.frames
    assert still.settlement is not None
    assert still.settlement.by is SettledBy.LIMIT
    assert still.settlement.after_s == pytest.approx(3, abs=0.1)


async def test_a_camera_that_kept_its_exposure_is_not_waited_for_again(webcam: Capabilities) -> None:
    settings = CaptureSettings(warm_ttl_s=0.1, parked_ttl_s=60)
    async with running(webcam, settings, settles=True) as (bench, tg):
        used = []
        for _ in range(2):
            tg.start_soon(bench.read)
            await bench.until("start")
            known, sent = len(bench.frames), 0
            while len(bench.frames) == known:
                await send_in_time(bench, [LIT])
                sent += 1
            used.append(sent)
            await bench.clock.advance(1)
            await bench.until("stop")
    assert used[1] == 2 < used[0]
