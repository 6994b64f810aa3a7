"""Coded video of FFmpeg's encoders from a simulated device to the broker's readers."""

import re
from fractions import Fraction

import pytest

from agent_core.plugin import VideoCodec, ffmpeg
from agent_core.plugin.video import length_prefixed, nal
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.settings import CaptureSettings

from .bench import ERROR, Bench, running

#: Pictures from one key frame to the next.
GROUP = 4
SIZE = FrameSize(Span(64, 64), Span(48, 48), (Intervals(Fraction(1, 30), Fraction(1, 30)),))
ENCODERS = {
    VideoCodec.H264: ("H264", "libx264", "-x264-params", "aud=1", "h264", rb"\x00{2,}\x01\x09."),
    VideoCodec.H265: (
        *("HEVC", "libx265", "-x265-params", "aud=1:repeat-headers=1:log-level=error", "hevc"),
        rb"\x00{2,}\x01\x46\x01.",
    ),
}
Clips = dict[VideoCodec, list[bytes]]


@pytest.fixture(scope="module")
async def clips() -> Clips:
    """Return three groups of pictures in each coding, one access unit for each picture."""
    found: Clips = {}
    for codec, (_, encoder, option, value, form, delimiter) in ENCODERS.items():
        words = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=30", "-frames:v", str(3 * GROUP)]
        words += ["-c:v", encoder, option, f"{value}:keyint={GROUP}:min-keyint={GROUP}:bframes=0:scenecut=0"]
        stream = await ffmpeg.run(ffmpeg.locate(), [*words, "-pix_fmt", "yuv420p", "-f", form, "-"])
        found[codec] = re.split(delimiter, stream, flags=re.DOTALL)[1:]
        assert len(found[codec]) == 3 * GROUP
    return found


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def camera(code: str) -> Capabilities:
    return Capabilities("uvcvideo", "Coded", "usb-1", (PixelFormat(code, code, (SIZE,)),))


def delivered(bench: Bench, codec: VideoCodec, units: list[bytes]) -> list[int]:
    """Return which of `units` the reader got, by their whole content."""
    numbers = {length_prefixed(nal.split(codec, unit)): number for number, unit in enumerate(units)}
    return [numbers[frame.data] for frame in bench.frames]


@pytest.mark.parametrize("codec", ENCODERS)
async def test_pictures_reach_the_reader_whole_and_in_order(codec: VideoCodec, clips: Clips) -> None:
    units = clips[codec]
    async with running(camera(ENCODERS[codec][0])) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        for unit in units:
            bench.device.send(unit)
        await bench.seen(len(units))
        assert delivered(bench, codec, units) == list(range(3 * GROUP))
        assert (bench.frames[0].width, bench.frames[0].height) == (64, 48)
        assert bench.device.lent == 0


@pytest.mark.parametrize("flags", [0, ERROR], ids=["lost", "damaged"])
@pytest.mark.parametrize("codec", ENCODERS)
async def test_after_damage_the_reader_continues_with_the_next_key_frame(
    codec: VideoCodec, clips: Clips, flags: int
) -> None:
    units = clips[codec]
    async with running(camera(ENCODERS[codec][0])) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        for unit in units[: GROUP + 1]:
            bench.device.send(unit)
        await bench.seen(GROUP + 1)
        if flags:
            bench.device.send(units[GROUP + 1], flags=flags)
        for number, unit in enumerate(units[GROUP + 2 :]):
            bench.device.send(unit, skipped=number == 0 and not flags)
        cause = {"device_error": 1} if flags else {"lost": 1}
        await bench.seen(3 * GROUP)
        assert dict(bench.broker.stats.dropped) == {"before_key": GROUP - 2, **cause}
        expected = [*range(GROUP + 1), *range(2 * GROUP, 3 * GROUP)]
        assert delivered(bench, codec, units) == expected


async def test_a_stream_that_begins_within_a_group_begins_with_its_next_key_frame(clips: Clips) -> None:
    units = clips[VideoCodec.H264]
    async with running(camera("H264")) as (bench, tg):
        tg.start_soon(bench.look)
        await bench.until("start")
        for unit in units[2:]:
            bench.device.send(unit)
        await bench.seen(len(units) - 2)
        assert dict(bench.broker.stats.dropped) == {"before_key": GROUP - 2}
        assert delivered(bench, VideoCodec.H264, units) == list(range(GROUP, 3 * GROUP))


async def test_a_camera_without_key_frames_is_reopened_and_told_as_such(clips: Clips) -> None:
    units = clips[VideoCodec.H264]

    async def begin() -> None:
        with pytest.raises(Exception, match="no key frame"):
            await bench.broker.beginning(bench.clock.monotonic_s())

    async with running(camera("H264"), CaptureSettings()) as (bench, tg):
        tg.start_soon(begin)
        await bench.until("start")
        for _ in range(45):
            if bench.broker.problem is None:
                bench.device.send(units[1])
                await bench.handled()
                await bench.clock.advance(1)
        await bench.until("start", "stop", "close")
        assert bench.broker.problem is not None
        assert bench.broker.problem.reason == "no_key_frame"
