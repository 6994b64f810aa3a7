"""Frame sockets of H.264 and H.265: published as they come, and stills of them, with each installed FFmpeg."""

import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import av
import numpy as np
import pytest
from PIL import Image

from agent_core.plugin import (
    CaptureFailed,
    CaptureRequest,
    DetectedCamera,
    Fingerprint,
    FrameSocket,
    VideoCodec,
    ffmpeg,
)
from agent_core.plugin.frames import BrokerSettings, FrameBroker, FrameProducer, FrameServer, FrameSink
from agent_core.testing import FakeAgent, SystemClock, as_camera
from agent_core.testing.coded_video import coded_pictures
from ffmpeg_tier import FfmpegTierPlugin, FfmpegTierSettings, publisher
from ffmpeg_tier.tier import FfmpegTier

SIZE = (320, 240)
SOCKET = FrameSocket(Path("/run/agent/camera0.sock"), *SIZE, 15, VideoCodec.H264)
CODECS = pytest.mark.parametrize("codec", [VideoCodec.H264, VideoCodec.H265])


class CodedProducer(FrameProducer):
    """Producer of a moving picture at a steady rate; it records when each picture was last exposed."""

    def __init__(self, codec: VideoCodec, fps: float) -> None:
        self.pictures = coded_pictures(codec, 45, size=SIZE, group=45)
        self.exposed_s: dict[int, float] = {}
        self.is_damaged = False
        self._interval_s = 1 / fps

    async def stream(self, sink: FrameSink) -> None:
        while True:
            for number, data in enumerate(self.pictures):
                self.exposed_s[number] = time.monotonic()
                whole = data[: len(data) // 2] if self.is_damaged else data
                sink.offer(whole, captured_s=self.exposed_s[number])
                await anyio.sleep(self._interval_s)


@asynccontextmanager
async def coded_socket(
    folder: Path, codec: VideoCodec, fps: float = 15
) -> AsyncIterator[tuple[FrameSocket, CodedProducer, FrameBroker]]:
    clock, path = SystemClock(), folder / "coded.sock"
    producer = CodedProducer(codec, fps)
    broker = FrameBroker(producer, clock=clock, settings=BrokerSettings(), codec=codec)
    with anyio.fail_after(50):
        async with anyio.create_task_group() as tg:
            await tg.start(broker.run)
            await tg.start(FrameServer(broker, path, clock=clock, fps=fps).run)
            yield FrameSocket(path, *SIZE, fps, codec), producer, broker
            tg.cancel_scope.cancel()


def published(socket: FrameSocket, program: str = "ffmpeg", **settings: object) -> tuple[str, ...]:
    found = publisher(socket, FfmpegTierSettings.model_validate(settings), program)
    assert found is not None
    return found.argv


def test_coded_video_is_copied_whatever_encoder_is_configured() -> None:
    for settings in ({}, {"encoder": "h264_vaapi"}, {"bitrate_kbps": 1000}):
        argv = published(SOCKET, **settings)
        assert argv[argv.index("-c:v") + 1] == "copy"
        assert not {"-vf", "-vaapi_device", "-crf", "-b:v", "-force_key_frames"} & set(argv)


def test_a_hardware_encoder_that_is_not_tried_yet_keeps_no_coded_camera_waiting(tmp_path: Path) -> None:
    plugin = FfmpegTierPlugin(FfmpegTierSettings(encoder="h264_v4l2m2m"))
    plugin.agent_components(FakeAgent(tmp_path))
    found = plugin.agent_publisher(SOCKET)
    assert found is not None
    assert "copy" in found.argv


@CODECS
@pytest.mark.parametrize("warm_s", [0.0, 1.0])
async def test_what_is_published_has_each_picture_once_at_its_own_time(
    program: str, codec: VideoCodec, warm_s: float, tmp_path: Path
) -> None:
    async with coded_socket(tmp_path, codec) as (socket, producer, broker):
        with broker.demand():
            await broker.fresh(time.monotonic() + warm_s)
            argv = published(socket, program)
            output = ("-frames:v", "40", "-f", "framecrc", "pipe:1")
            told = await ffmpeg.run(program, (*argv[1 : argv.index("-f", argv.index("-c:v"))], *output))
    lines = [line.split(b",") for line in told.splitlines() if not line.startswith(b"#")]
    times = [int(line[1]) for line in lines]
    assert [int(line[2]) for line in lines] == times
    assert len(set(times)) == 40
    assert times == sorted(times)
    assert times[-1] / 1e6 <= time.monotonic()
    sizes = [len(data) for data in producer.pictures] * 2
    got = [int(line[4]) for line in lines]
    assert any(_is_about(got, sizes[at : at + 40]) for at in range(45))


def _is_about(got: list[int], sizes: list[int]) -> bool:
    """Return True for the same pictures; each unit has a length of four bytes, or a start code of three."""
    return all(0 <= after - before < 16 for after, before in zip(got, sizes, strict=True))


@CODECS
async def test_a_slow_camera_is_published_with_its_first_pictures(
    program: str, codec: VideoCodec, tmp_path: Path
) -> None:
    """FFmpeg by itself would read seven pictures of H.264 before it writes one."""
    async with coded_socket(tmp_path, codec, fps=1) as (socket, _, broker):
        argv = published(socket, program)
        output = ("-frames:v", "2", "-f", "framecrc", "pipe:1")
        await ffmpeg.run(program, (*argv[1 : argv.index("-f", argv.index("-c:v"))], *output))
        assert broker.stats.frames < 6


@CODECS
async def test_a_still_is_as_new_as_it_says_though_the_socket_begins_with_older_pictures(
    program: str, codec: VideoCodec, tmp_path: Path
) -> None:
    tier = FfmpegTier(FfmpegTierSettings(), program=program, clock=SystemClock())
    async with coded_socket(tmp_path, codec) as (socket, producer, broker):
        shown = _decoded(codec, producer.pictures)
        camera = as_camera(DetectedCamera("k", "A camera", Fingerprint("test"), socket, device=broker))
        with broker.demand():
            await broker.fresh(time.monotonic() + 1)
            asked_s = time.monotonic()
            picture = await tier.capture(camera, CaptureRequest(asked_s, asked_s + 30))
    assert (picture.width, picture.height) == SIZE
    still = np.asarray(Image.open(io.BytesIO(picture.data)).convert("L"), dtype=np.int16)
    number = min(range(len(shown)), key=lambda each: float(np.abs(still - shown[each]).mean()))
    assert picture.captured_s >= asked_s
    assert producer.exposed_s[number] >= picture.captured_s


@CODECS
async def test_a_still_of_damaged_video_is_refused_and_not_smeared(
    program: str, codec: VideoCodec, tmp_path: Path
) -> None:
    tier = FfmpegTier(FfmpegTierSettings(), program=program, clock=SystemClock())
    async with coded_socket(tmp_path, codec) as (socket, producer, broker):
        camera = as_camera(DetectedCamera("k", "A camera", Fingerprint("test"), socket, device=broker))
        producer.is_damaged = True
        with pytest.raises(CaptureFailed) as caught:
            await tier.capture(camera, CaptureRequest(time.monotonic(), time.monotonic() + 30))
    assert caught.value.reason in {"damaged_picture", "ffmpeg_failed", "no_picture"}


def _decoded(codec: VideoCodec, pictures: tuple[bytes, ...]) -> list[np.ndarray]:
    decoder = av.CodecContext.create("h264" if codec is VideoCodec.H264 else "hevc", "r")
    frames = [
        frame for data in (*pictures, None) for frame in decoder.decode(av.Packet(data) if data else None)
    ]
    return [frame.to_ndarray(format="gray").astype(np.int16) for frame in frames]
