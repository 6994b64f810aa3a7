"""Cameras that deliver H.264 or H.265 alone, in a whole agent with each media server and all tiers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import CaptureRequest, FrameSocket, VideoCodec, ffmpeg
from agent_core.plugin.video import AnnexBReader, nal, without_lengths
from agent_core.testing import SystemClock
from agent_core.testing.matroska import frames_of
from virtual_camera import burnt_in

from .media import CAMERA, Rig, decoded, is_gapless, media_rig, publishers, read_stream

H264, H265 = VideoCodec.H264, VideoCodec.H265
#: Units that containers keep elsewhere or leave out: parameter sets, delimiters and messages.
_APART = {H264: {6, 7, 8, 9}, H265: {32, 33, 34, 35, 39, 40}}
_FORMATS = {H264: "H264", H265: "HEVC"}
#: The marks have whole milliseconds.
ROUNDING = timedelta(milliseconds=1)
CODECS = pytest.mark.parametrize("codec", [H264, H265])


@asynccontextmanager
async def coded_rig(
    kind: str, codec: VideoCodec, folder: Path, observe: Callable[[str], None]
) -> AsyncIterator[Rig]:
    camera = {**CAMERA, "codec": codec.value, "key_interval_s": 1}
    async with media_rig(kind, folder, observe, cameras=(camera,), plugins={"rtsp_tier": {}}) as rig:
        yield rig


def slices(codec: VideoCodec, units: tuple[bytes, ...]) -> list[bytes]:
    return [unit for unit in units if nal.nalu_type(codec, unit) not in _APART[codec]]


class Witness:
    """A second client of the frame socket: what the camera has sent."""

    def __init__(self, rig: Rig, codec: VideoCodec) -> None:
        media_input = rig.agent.parts.cameras.get("camera0").media_input
        assert isinstance(media_input, FrameSocket)
        assert media_input.codec is codec
        self._path = media_input.path
        self._codec = codec
        self._data = bytearray()

    async def watch(self) -> None:
        async with await anyio.connect_unix(self._path) as client:
            while True:
                self._data += await client.receive()

    @property
    def slices(self) -> list[bytes]:
        frames = frames_of(bytes(self._data))
        return [each for frame in frames for each in slices(self._codec, without_lengths(frame.data))]


async def slices_in(file: Path, codec: VideoCodec) -> list[bytes]:
    """The slices of a recorded file, in the order of decoding."""
    form = "h264" if codec is H264 else "hevc"
    words = ["-i", str(file), "-c", "copy", "-bsf:v", f"{form}_mp4toannexb", "-f", form, "pipe:1"]
    data = await ffmpeg.run(ffmpeg.locate(), words)
    reader = AnnexBReader()
    return slices(codec, (*reader.feed(data), reader.flush()))


@CODECS
async def test_what_the_camera_sends_is_streamed_and_recorded_untouched(
    server_kind: str, codec: VideoCodec, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    async with coded_rig(server_kind, codec, tmp_path, observe) as rig, anyio.create_task_group() as tg:
        witness = Witness(rig, codec)
        tg.start_soon(witness.watch)
        await rig.call("start_streaming")
        url = (await rig.call("get_stream_url"))["stream_url"]
        started = await rig.call("start_recording", wait=True)
        seen = await read_stream(url, frames=30)
        assert (await rig.call("get_stream_status"))["status"] == "ACTIVE"
        stopped = await rig.call("stop_recording")
        assert stopped["filename"] == started["filename"]
        assert len(publishers()) == 1
        assert (await rig.call("get_camera_capabilities"))["tracks"] == [codec.name]
        (file,) = rig.segments(stopped)
        recorded = await slices_in(file, codec)
        tg.cancel_scope.cancel()
    sent = witness.slices
    assert recorded
    assert nal.is_key(codec, recorded[0])
    begin = sent.index(recorded[0])
    assert recorded == sent[begin : begin + len(recorded)]
    marks = await decoded(file)
    assert is_gapless(marks)
    assert is_gapless(seen)


async def photograph(rig: Rig, tier: str) -> burnt_in.Mark:
    """Take a picture by one tier, of which the marks can be read and are as fresh as asked."""
    clock = SystemClock()
    found = next(each for each in rig.agent.parts.snapshots.tiers if each.name == tier)
    camera = rig.agent.parts.cameras.get("camera0")
    assert found.supports(camera)
    asked_s, asked_at = clock.monotonic_s(), datetime.now(UTC)
    with anyio.fail_after(40):
        picture = await found.capture(camera, CaptureRequest(asked_s, asked_s + 40))
    mark = burnt_in.read(picture.data)
    assert picture.captured_s >= asked_s
    assert mark.drawn_at >= asked_at + timedelta(seconds=picture.captured_s - asked_s) - ROUNDING
    return mark


@CODECS
async def test_each_tier_photographs_it_and_its_pictures_are_as_fresh_as_they_say(
    server_kind: str, codec: VideoCodec, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    async with coded_rig(server_kind, codec, tmp_path, observe) as rig:
        taken = await rig.call("take_snapshot", max_age_ms=0, deadline_ms=25_000)
        assert taken["tier_used"] in (0, 1)
        counters = [burnt_in.read(Path(taken["file_path"]).read_bytes()).counter]
        tiers = ("ffmpeg", "decoded_frames", "ffmpeg", "rtsp_activation", "rtsp")
        counters += [(await photograph(rig, tier)).counter for tier in tiers]
        assert counters == sorted(set(counters))
        assert (await rig.call("get_camera_status"))["capabilities"]["formats"] == [_FORMATS[codec]]


async def test_a_stream_goes_on_when_its_camera_has_been_away(
    server_kind: str, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    async with coded_rig(server_kind, H264, tmp_path, observe) as rig:
        started = await rig.call("start_recording", wait=True)
        await rig.fault("vanish")
        await rig.until("get_camera_status", status="DISCONNECTED")
        await rig.fault("vanish", enabled=False)
        await rig.until("get_camera_status", status="CONNECTED")
        with anyio.fail_after(40):
            while (
                len((await rig.call("get_recording_info", None, filename=started["filename"]))["segments"])
                < 2
            ):
                await anyio.sleep(0.1)
        stopped = await rig.call("stop_recording")
        for file in rig.segments(stopped):
            recorded = await slices_in(file, H264)
            assert nal.is_key(H264, recorded[0])
            assert is_gapless(await decoded(file))
