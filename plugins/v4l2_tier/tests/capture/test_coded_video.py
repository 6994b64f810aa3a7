"""Coded video from a simulated device: what the broker is given, and what is asked of the camera's encoder."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction

import anyio
import pytest

from agent_core.plugin import CaptureFailed, Settlement
from agent_core.plugin.jpeg import WholeJpeg
from v4l2_tier.device.capabilities import Capabilities, DeviceControl, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.settings import CaptureSettings

from .bench import BROKEN, ERROR, MONOTONIC, Bench

SIZE = FrameSize(Span(640, 640), Span(480, 480), (Intervals(Fraction(1, 30), Fraction(1, 30)),))
FORCE_KEY_FRAME = DeviceControl(0x009909E5, "force_key_frame", "button", 0, 0, 0, 0, 0)
GOP = DeviceControl(0x009909CB, "video_gop_size", "integer", 1, 300, 1, 30, 30)
CODED = Capabilities(
    "uvcvideo", "Coded", "usb-1", (PixelFormat("H264", "H.264", (SIZE,)),), (FORCE_KEY_FRAME, GOP)
)
#: What the device sends is not looked at here: the broker finds its pictures.
UNITS = tuple(b"\0\0\0\1\x41" + bytes([number]) for number in range(4))


@dataclass
class Sink:
    """Receiver of what a producer delivers, in order."""

    events: list[object] = field(default_factory=list)
    times_s: list[float | None] = field(default_factory=list)
    settled: list[bool] = field(default_factory=list)

    def offer(
        self,
        data: bytes | WholeJpeg,
        *,
        captured_s: float | None = None,
        settled: bool = True,
        settlement: Settlement | None = None,
        arrived_s: float | None = None,
    ) -> None:
        self.events.append(data)
        self.times_s.append(captured_s)
        self.settled.append(settled)

    def drop(self, reason: str) -> None:
        self.events.append(reason)

    def skip(self, reason: str, count: int = 1) -> None:
        self.events.append((reason, count))

    def gap(self) -> None:
        self.events.append("gap")

    async def until(self, count: int) -> None:
        while len(self.events) < count:
            await anyio.sleep(0.001)


@asynccontextmanager
async def streaming(
    capabilities: Capabilities = CODED, settings: CaptureSettings | None = None
) -> AsyncIterator[tuple[Bench, Sink]]:
    """Run a producer that delivers to a sink, without a broker."""
    bench, sink = Bench(capabilities, settings or CaptureSettings()), Sink()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            await bench.producer.park()
            tg.start_soon(bench.producer.stream, sink)
            await bench.until("start")
            yield bench, sink
            tg.cancel_scope.cancel()
        await bench.producer.close()


async def test_access_units_arrive_byte_for_byte_with_the_drivers_time() -> None:
    async with streaming() as (bench, sink):
        now_s = bench.clock.monotonic_s()
        bench.device.send(UNITS[0], stamp_s=now_s, flags=MONOTONIC)
        bench.device.send(UNITS[1] + b"\0\0", stamp_s=now_s, flags=MONOTONIC)
        bench.device.send(UNITS[2])
        await sink.until(3)
        assert sink.events == [UNITS[0], UNITS[1] + b"\0\0", UNITS[2]]
        assert sink.times_s == [pytest.approx(now_s - 1 / 30), pytest.approx(now_s - 1 / 30), None]
        assert bench.device.lent == 0


@pytest.mark.parametrize(
    ("send", "told"),
    [
        (lambda device: device.send(UNITS[1], flags=ERROR), ["device_error", "gap"]),
        (lambda device: device.send(UNITS[1], skipped=2), [("lost", 2), "gap", UNITS[1]]),
        (lambda device: device.send(b""), ["empty"]),
    ],
    ids=["damaged", "lost", "empty"],
)
async def test_a_damaged_or_lost_unit_is_a_gap_and_an_empty_one_is_not(
    send: Callable[..., None], told: list[object]
) -> None:
    async with streaming() as (bench, sink):
        bench.device.send(UNITS[0])
        send(bench.device)
        bench.device.send(UNITS[2])
        await sink.until(len(told) + 2)
        assert sink.events == [UNITS[0], *told, UNITS[2]]


async def test_jpegs_know_no_gap(webcam: Capabilities) -> None:
    async with streaming(webcam) as (bench, sink):
        bench.device.send(b"", flags=ERROR, skipped=3)
        await sink.until(1)
        bench.device.send(b"", flags=ERROR, skipped=3)
        await sink.until(3)
        assert sink.events == ["device_error", ("lost", 3), "device_error"]


async def test_the_exposure_of_coded_video_settles_by_time() -> None:
    async with streaming() as (bench, sink):
        for advance_s in (0, 1.5, 0.6):
            await bench.clock.advance(advance_s)
            bench.device.send(UNITS[0])
            await sink.until(len(sink.events) + 1)
        assert sink.settled == [False, False, True]


async def test_a_key_frame_is_asked_for_after_a_gap_and_for_a_newcomer_at_most_once_a_second() -> None:
    async with streaming() as (bench, sink):
        bench.device.send(UNITS[0], flags=ERROR)
        await bench.until("force_key_frame=1")
        bench.producer.key_frame_wanted()
        await bench.clock.advance(0.9)
        assert bench.calls.count("force_key_frame=1") == 1
        await bench.clock.advance(0.2)
        await bench.until("force_key_frame=1")
        assert bench.calls.count("force_key_frame=1") == 2
        assert sink.events == ["device_error", "gap"]


async def test_a_camera_that_refuses_or_lacks_it_goes_on_without() -> None:
    async with streaming() as (bench, sink):
        bench.failures["force_key_frame=1"] = CaptureFailed("It is refused.", reason="control_refused")
        bench.producer.key_frame_wanted()
        await bench.until("force_key_frame=1")
        await bench.clock.advance(1.1)
        bench.producer.key_frame_wanted()
        bench.device.send(UNITS[0])
        await sink.until(1)
        await bench.clock.advance(1.1)
        assert bench.calls.count("force_key_frame=1") == 1
    async with streaming(replace(CODED, controls=())) as (bench, sink):
        bench.producer.key_frame_wanted()
        bench.device.send(UNITS[0])
        await sink.until(1)
        assert bench.calls[-1] == "start"


async def test_controls_of_the_encoder_are_set_like_others() -> None:
    async with streaming(settings=CaptureSettings(controls={"video_gop_size": 15})) as (bench, _):
        assert bench.calls[:3] == ["open", "configure", "video_gop_size=15"]


async def test_silence_is_met_by_a_restart_after_two_seconds_as_with_pictures() -> None:
    async with streaming() as (bench, sink):
        bench.device.send(UNITS[0])
        await sink.until(1)
        await bench.clock.advance(2.2)
        await bench.until("start", "stop", "configure", "start")
        bench.device.fail(BROKEN)
        await bench.until("stop", "close", "open", "configure", "start")


@pytest.mark.parametrize(("before", "after"), [("H264", "MJPG"), ("MJPG", "H264"), ("H264", "HEVC")])
async def test_a_device_that_now_codes_its_pictures_otherwise_needs_another_broker(
    before: str, after: str
) -> None:
    offers = {
        code: replace(CODED, formats=(PixelFormat(code, code, (SIZE,)),)) for code in ("H264", "HEVC", "MJPG")
    }
    bench = Bench(offers[before], CaptureSettings(), asks_always=True)
    bench.offered = offers[after]
    with pytest.raises(CaptureFailed) as caught:
        await bench.producer.park()
    await bench.producer.close()
    assert caught.value.reason == "offer_changed"
    assert bench.offers == []
    assert bench.producer.chosen.pixel_format == before
