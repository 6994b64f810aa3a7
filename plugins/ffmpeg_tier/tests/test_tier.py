"""Stills taken by real FFmpeg from real sources."""

import io
import itertools
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from PIL import Image

from agent_core.plugin import (
    Camera,
    CapturedAtSource,
    CaptureFailed,
    CaptureRequest,
    Clock,
    DetectedCamera,
    FfmpegInput,
    Fingerprint,
    MediaInput,
    Picture,
    PictureFormat,
    TierUnavailable,
    Url,
)
from agent_core.testing import SimulatedClock, as_camera
from agent_core.testing.wall_clock import ProgramWallClock
from ffmpeg_tier import FfmpegTier, FfmpegTierSettings

Cameras = Callable[[MediaInput | None], Camera]
Scripts = Callable[[str], str]
Tiers = Callable[..., FfmpegTier]


@pytest.fixture
def tier(clock: Clock, program: str) -> Tiers:
    def made(program: str = program, **settings: object) -> FfmpegTier:
        return FfmpegTier(FfmpegTierSettings.model_validate(settings), program=program, clock=clock)

    return made


@pytest.fixture
def script_tier(clock: Clock, script: Scripts) -> Callable[[str], FfmpegTier]:
    return lambda body: FfmpegTier(FfmpegTierSettings(), program=script(body), clock=clock)


def now() -> CaptureRequest:
    at_s = time.monotonic()
    return CaptureRequest(at_s, at_s + 20)


def any_age() -> CaptureRequest:
    return CaptureRequest(float("-inf"), time.monotonic() + 20)


async def still(tier: FfmpegTier, camera: Camera, request: CaptureRequest | None = None) -> Picture:
    with anyio.fail_after(20):
        return await tier.capture(camera, request or now())


async def failure(tier: FfmpegTier, camera: Camera) -> CaptureFailed:
    with pytest.raises(CaptureFailed) as caught:
        await still(tier, camera)
    error = caught.value
    assert "/" not in f"{error.details}{error.detail}{error.suggestion}"
    assert error.dependency == "ffmpeg"
    return error


def decoded(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    assert (picture.width, picture.height) == image.size
    assert picture.format is PictureFormat.JPG
    return image


LAVFI = FfmpegInput(("-f", "lavfi", "-i", "color=c=red:size=160x120:rate=10"))


# Frame sockets.


async def test_a_frame_of_the_socket_passes_byte_by_byte(
    tier: Tiers, camera: Cameras, frame_source: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    async with frame_source() as source:
        request = now()
        picture = await still(tier(), camera(source.socket), request)

    assert picture.data in source.producer.pictures
    assert picture.captured_at_source is CapturedAtSource.ESTIMATED
    assert request.not_before_s <= picture.captured_s <= max(source.producer.exposed_s[picture.data])
    decoded(picture)


async def test_the_socket_of_a_running_camera_never_gives_an_older_frame(
    tier: Tiers, camera: Cameras, frame_source: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    async with frame_source() as source:
        with source.broker.demand():
            await source.broker.fresh(time.monotonic() + 0.3)
            picture = await still(tier(), camera(source.socket))

    # Pictures repeat every 30 frames, which is 2 s: the latest time that this picture was shown is the true one.
    assert max(source.producer.exposed_s[picture.data]) >= picture.captured_s


@pytest.mark.parametrize("part", ["frames", "device"])
async def test_a_still_of_a_socket_says_whether_the_exposure_had_settled(
    tier: Tiers,
    frame_source: Callable[..., AbstractAsyncContextManager[Any]],
    part: str,
) -> None:
    async with frame_source() as source:
        told: dict[str, Any] = {part: source.broker}
        detected = DetectedCamera("key", "A camera", Fingerprint("test"), source.socket, **told)
        source.producer.settled = False
        cold = await still(tier(), as_camera(detected))
        with source.broker.demand():
            source.producer.settled = True
            await source.broker.fresh(time.monotonic())
            settled = await still(tier(), as_camera(detected))
    assert (cold.settled, settled.settled) == (False, True)


async def test_a_still_of_a_cold_camera_that_needs_no_settling_is_settled(
    tier: Tiers, frame_source: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    async with frame_source() as source:
        detected = DetectedCamera("key", "A camera", Fingerprint("test"), source.socket, frames=source.broker)
        picture = await still(tier(), as_camera(detected))
    assert picture.settled


async def test_concurrent_stills_of_one_socket(
    tier: Tiers, camera: Cameras, frame_source: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    pictures: list[Picture] = []
    async with frame_source() as source:

        async def take() -> None:
            pictures.append(await still(tier(), camera(source.socket)))

        async with anyio.create_task_group() as tg:
            for _ in range(4):
                tg.start_soon(take)

    assert len(pictures) == 4
    assert all(picture.data in source.producer.pictures for picture in pictures)


async def test_a_socket_that_is_gone_is_said(tier: Tiers, camera: Cameras, tmp_path: Path) -> None:
    from agent_core.plugin import FrameSocket

    error = await failure(tier(), camera(FrameSocket(tmp_path / "gone", 320, 240, 15)))

    assert error.reason == "input_missing"


async def test_a_socket_that_goes_silent_does_not_hold_ffmpeg(
    tier: Tiers, camera: Cameras, frame_source: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    async with frame_source(stall_s=60) as source:
        source.producer.silent = True
        error = await failure(tier(network_timeout_s=0.5), camera(source.socket))

    assert error.reason in {"timed_out", "no_picture"}


# FFmpeg inputs.


async def test_a_generated_picture(tier: Tiers, camera: Cameras) -> None:
    request = now()
    picture = await still(tier(), camera(LAVFI), request)

    image = decoded(picture)
    red, green, blue = image.convert("RGB").getpixel((80, 60))  # type: ignore[misc] # a tuple, as it is RGB
    assert red > 200
    assert max(green, blue) < 60
    assert image.size == (160, 120)
    assert request.not_before_s <= picture.captured_s <= time.monotonic()


async def test_a_jpeg_file_passes_byte_by_byte(
    tier: Tiers,
    camera: Cameras,
    tmp_path: Path,
    frame_source: Callable[..., AbstractAsyncContextManager[Any]],
) -> None:
    async with frame_source() as source:
        data = source.producer.pictures[7]
    path = tmp_path / "a picture.mjpeg"
    path.write_bytes(data)

    picture = await still(tier(), camera(FfmpegInput(("-f", "mjpeg", "-i", str(path)))))

    assert picture.data == data


async def test_quality_is_a_setting(tier: Tiers, camera: Cameras) -> None:
    noisy = camera(FfmpegInput(("-f", "lavfi", "-i", "testsrc2=size=640x480")))

    best = await still(tier(jpeg_qscale=1), noisy)
    worst = await still(tier(jpeg_qscale=31), noisy)

    assert len(worst.data) < len(best.data) / 2


async def test_an_input_without_video_is_said(tier: Tiers, camera: Cameras) -> None:
    error = await failure(tier(), camera(FfmpegInput(("-f", "lavfi", "-i", "anullsrc"))))

    assert error.reason == "no_picture"


# Network streams.


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


#: A transport stream, and JPEGs as network cameras send them. Both last as long as the client reads.
STREAMS = {
    "mpegts": ("-c:v", "mpeg2video", "-g", "5", "-f", "mpegts", "-mpegts_flags", "resend_headers", "pipe:1"),
    "mpjpeg": ("-c:v", "mjpeg", "-f", "mpjpeg", "pipe:1"),
}
CONTENT_TYPES = {"mpegts": "video/mp2t", "mpjpeg": "multipart/x-mixed-replace;boundary=ffmpeg"}


SOURCE = ("-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15")


@asynccontextmanager
async def http_stream(program: str, kind: str) -> AsyncIterator[str]:
    """Run an HTTP server that sends each client the output of its own FFmpeg, in real time."""
    head = f"HTTP/1.0 200 OK\r\nContent-Type: {CONTENT_TYPES[kind]}\r\n\r\n".encode()
    async with streams(lambda _client: [program, *SOURCE, *STREAMS[kind]], head=head) as port:
        yield f"http://127.0.0.1:{port}/live"


@asynccontextmanager
async def streams(command: Callable[[int], list[str]], *, head: bytes) -> AsyncIterator[int]:
    """Send each client `head` once it has spoken, and then the output of `command(number of the client)`."""
    numbers = itertools.count()

    async def serve(client: SocketStream) -> None:
        program, *arguments = command(next(numbers))
        async with (
            client,
            await anyio.open_process([program, "-loglevel", "quiet", *arguments], stderr=None) as process,
        ):
            assert process.stdout is not None
            try:
                if head:
                    await client.receive()
                await client.send(head)
                async for chunk in process.stdout:
                    await client.send(chunk)
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                pass
            finally:
                process.kill()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tg:
        tg.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
        tg.cancel_scope.cancel()


@pytest.mark.parametrize("kind", sorted(STREAMS))
async def test_a_network_stream(tier: Tiers, camera: Cameras, program: str, kind: str) -> None:
    async with http_stream(program, kind) as url:
        before_s = time.monotonic()
        picture = await still(tier(network_latency_s=0.25), camera(Url(url)), any_age())

    assert decoded(picture).size == (320, 240)
    assert picture.captured_at_source is CapturedAtSource.ESTIMATED
    assert before_s - 0.25 <= picture.captured_s <= time.monotonic() - 0.25


@pytest.mark.parametrize("kind", sorted(STREAMS))
async def test_a_network_stream_asked_for_what_comes_after_the_request(
    tier: Tiers, camera: Cameras, program: str, kind: str
) -> None:
    async with http_stream(program, kind) as url:
        request = now()
        picture = await still(tier(network_latency_s=1.0), camera(Url(url)), request)

    assert decoded(picture).size == (320, 240)
    assert picture.captured_s == pytest.approx(request.not_before_s, abs=1e-6)
    assert time.monotonic() >= request.not_before_s + 1.0  # a frame read earlier would be too old


def lossy_stream(program: str, damaged_clients: int) -> AbstractAsyncContextManager[int]:
    """Send MPEG-TS over TCP, damaged throughout for the first clients, as a network that loses parts does."""

    def command(client: int) -> list[str]:
        damage = ("-bsf:v", "noise=amount=500") if client < damaged_clients else ()
        return [program, *SOURCE, "-c:v", "mpeg2video", "-g", "5", *damage, "-f", "mpegts", "pipe:1"]

    return streams(command, head=b"")


async def test_a_damaged_picture_of_a_network_stream_is_taken_again(
    tier: Tiers, camera: Cameras, program: str
) -> None:
    async with lossy_stream(program, damaged_clients=1) as port:
        picture = await still(tier(), camera(Url(f"tcp://127.0.0.1:{port}")), any_age())

    assert decoded(picture).size == (320, 240)


async def test_a_network_stream_that_stays_damaged_is_no_picture(
    tier: Tiers, camera: Cameras, program: str
) -> None:
    async with lossy_stream(program, damaged_clients=1_000) as port:
        error = await failure(tier(), camera(Url(f"tcp://127.0.0.1:{port}")))

    assert error.reason in {"damaged_picture", "ffmpeg_failed"}  # FFmpeg 5.1 does not say why it ends


def colour(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), name).save(buffer, "JPEG")
    return buffer.getvalue()


@asynccontextmanager
async def delayed_stream() -> AsyncIterator[str]:
    """Send a backlog of red pictures and then live blue ones, like a server that buffers."""

    async def send(client: SocketStream, name: str) -> None:
        data = colour(name)
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        await client.send(head.encode() + data + b"\r\n")

    async def serve(client: SocketStream) -> None:
        async with client:
            try:
                await client.receive()
                await client.send(
                    b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n"
                )
                for _ in range(20):
                    await send(client, "red")
                while True:
                    await send(client, "blue")
                    await anyio.sleep(0.05)
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tg:
        tg.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/live"  # noqa: S610 - not Django
        tg.cancel_scope.cancel()


async def test_a_wall_clock_that_was_set_back_does_not_delay_a_picture_by_as_much(
    camera: Cameras, program: str, clock: Clock, tmp_path: Path
) -> None:
    """FFmpeg's clock is an hour behind the one that the tier has read."""
    wall_clock = ProgramWallClock(tmp_path)
    wall_clock.set(-3600)
    behind = FfmpegTier(FfmpegTierSettings(), program=wall_clock.wrapped(program), clock=clock)
    async with http_stream(program, "mpjpeg") as url:
        assert decoded(await still(behind, camera(Url(url)))).size == (320, 240)


async def test_a_picture_taken_while_the_wall_clock_was_set_forward_is_taken_again(
    script: Scripts, camera: Cameras, tmp_path: Path
) -> None:
    """FFmpeg skips old frames by the wall clock, so such a picture may be older than it claims."""
    clock = SimulatedClock()
    (tmp_path / "picture.jpg").write_bytes(colour("red"))
    runs = tmp_path / "runs"
    body = f"echo run >> {runs}; while [ ! -e {runs}.go ]; do sleep 0.02; done; cat {tmp_path}/picture.jpg"
    tier = FfmpegTier(FfmpegTierSettings(), program=script(body), clock=clock)
    at_s = clock.monotonic_s()
    pictures: list[Picture] = []

    async def take() -> None:
        request = CaptureRequest(at_s, at_s + 20)
        pictures.append(await tier.capture(camera(Url("http://127.0.0.1:1/")), request))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(take)
            while not runs.exists():
                await anyio.sleep(0.02)
            clock.step_wall_clock(3600)
            Path(f"{runs}.go").touch()

    assert runs.read_text().count("run") == 2
    assert [picture.captured_s for picture in pictures] == [at_s]


async def test_a_backlog_is_not_passed_off_as_fresh(tier: Tiers, camera: Cameras) -> None:
    async with delayed_stream() as url:
        old = await still(tier(network_latency_s=1.5), camera(Url(url)), any_age())
        fresh = await still(tier(network_latency_s=1.5), camera(Url(url)), now())

    assert is_blue(fresh)
    assert not is_blue(old)  # the bound admits it:
    assert old.captured_s <= time.monotonic() - 1.5


def is_blue(picture: Picture) -> bool:
    red, _, blue = decoded(picture).convert("RGB").getpixel((30, 30))  # type: ignore[misc] # a tuple, as it is RGB
    return bool(blue > red)


async def test_a_stream_that_does_not_answer_is_given_up(tier: Tiers, camera: Cameras) -> None:
    async def silent(client: SocketStream) -> None:
        async with client:
            await anyio.sleep_forever()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tg:
        tg.start_soon(listener.serve, silent)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
        for scheme in ("rtsp", "http", "tcp"):
            error = await failure(tier(network_timeout_s=0.5), camera(Url(f"{scheme}://127.0.0.1:{port}/x")))
            assert error.reason in {"timed_out", "no_picture"}, (scheme, error.details)
        tg.cancel_scope.cancel()


@pytest.mark.parametrize("scheme", ["rtsp", "RTSP", "http", "tcp"])
async def test_a_stream_that_is_refused_is_said(tier: Tiers, camera: Cameras, scheme: str) -> None:
    error = await failure(tier(), camera(Url(f"{scheme}://127.0.0.1:{free_port()}/x")))

    assert error.reason == "connection_refused"


# Inputs that must not appear in a command line.

SECRETS = [
    Url("rtsp://camera.local/x", has_credentials=True),
    Url("rtsp://user:secret@camera.local/x"),
    Url("rtsp://user@camera.local/x"),
    Url("RTSP://user:secret@camera.local/x"),
    Url("rtsp://user:p/a?s#s@camera.local/x"),
    Url("http://camera.local/x?user=admin&Password=secret"),
    Url("srt://camera.local:9000?mode=caller&passphrase=secret"),
    Url("http://camera.local/x?access_token=secret"),
    FfmpegInput(("-i", "rtsp://user:secret@camera.local/x")),
    FfmpegInput(("-headers", "Authorization: Basic secret", "-i", "http://camera.local/x")),
    FfmpegInput(("-passphrase", "secret", "-i", "srt://camera.local:9000")),
]
NOT_STREAMS = [
    Url("file:///etc/passwd"),
    Url("/etc/passwd"),
    Url("concat:a|b"),
    Url("pipe:0"),
    Url("-i"),
    Url(""),
]


@pytest.mark.parametrize("media_input", [*SECRETS, *NOT_STREAMS, None])
async def test_what_is_refused_never_reaches_a_command_line(
    script_tier: Callable[[str], FfmpegTier], camera: Cameras, tmp_path: Path, media_input: MediaInput | None
) -> None:
    seen = tmp_path / "argv"
    tier = script_tier(f'echo "$@" >> {seen}')

    assert not tier.supports(camera(media_input))
    with pytest.raises(TierUnavailable) as caught:
        await tier.capture(camera(media_input), now())
    assert caught.value.reason == "input_not_supported"
    assert "secret" not in f"{caught.value}{caught.value.detail}{caught.value.suggestion}"
    assert not seen.exists()


@pytest.mark.parametrize(
    "media_input",
    [
        Url("rtsp://camera.local:554/stream?channel=1&subtype=0"),
        Url("https://camera.local/live/index.m3u8"),
        Url("udp://239.0.0.1:5000"),
        LAVFI,
        FfmpegInput(("-f", "v4l2", "-i", "/dev/video0")),
    ],
)
def test_what_is_supported(tier: Tiers, camera: Cameras, media_input: MediaInput) -> None:
    assert tier().supports(camera(media_input))


# A dead FFmpeg.


async def test_an_ffmpeg_that_fails(script_tier: Callable[[str], FfmpegTier], camera: Cameras) -> None:
    error = await failure(script_tier("exit 1"), camera(LAVFI))

    assert error.reason == "ffmpeg_failed"
    assert "status 1" in error.details


async def test_an_ffmpeg_that_prints_nothing(
    script_tier: Callable[[str], FfmpegTier], camera: Cameras
) -> None:
    assert (await failure(script_tier("exit 0"), camera(LAVFI))).reason == "no_picture"


async def test_an_ffmpeg_that_prints_garbage(
    script_tier: Callable[[str], FfmpegTier], camera: Cameras
) -> None:
    error = await failure(script_tier("head -c 5000 /dev/urandom"), camera(LAVFI))

    assert error.reason == "damaged_picture"


async def test_an_ffmpeg_that_prints_half_a_picture(
    script_tier: Callable[[str], FfmpegTier],
    camera: Cameras,
    tmp_path: Path,
    frame_source: Callable[..., AbstractAsyncContextManager[Any]],
) -> None:
    async with frame_source() as source:
        (tmp_path / "half").write_bytes(source.producer.pictures[0][:-500])

    error = await failure(script_tier(f"cat {tmp_path}/half"), camera(LAVFI))

    assert error.reason == "damaged_picture"
    assert "end is missing" in error.details


async def test_an_ffmpeg_that_never_stops_printing(
    script_tier: Callable[[str], FfmpegTier], camera: Cameras
) -> None:
    assert (await failure(script_tier("cat /dev/zero"), camera(LAVFI))).reason == "output_too_large"


async def test_an_ffmpeg_that_hangs_is_killed_at_the_deadline(
    script_tier: Callable[[str], FfmpegTier], camera: Cameras, tmp_path: Path
) -> None:
    tier = script_tier(f"trap '' TERM INT; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done")
    async with anyio.create_task_group() as tg:
        tg.start_soon(tier.capture, camera(LAVFI), now())
        with anyio.fail_after(10):
            while not (pid := read(tmp_path / "pid")):
                await anyio.sleep(0.01)
        assert exists(f"/proc/{pid}")
        tg.cancel_scope.cancel()

    assert not exists(f"/proc/{pid}")


def read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def exists(path: str) -> bool:
    return Path(path).exists()


async def test_a_missing_ffmpeg_makes_the_tier_unavailable(
    tier: Tiers, camera: Cameras, tmp_path: Path
) -> None:
    missing = str(tmp_path / "no-ffmpeg")
    with pytest.raises(TierUnavailable) as caught:
        await tier(missing).capture(camera(LAVFI), now())

    assert caught.value.reason == "ffmpeg_missing"
    assert str(tmp_path) not in caught.value.details
    assert "Install FFmpeg" in caught.value.suggestion


async def test_an_ffmpeg_that_comes_later_is_found(
    tier: Tiers, camera: Cameras, tmp_path: Path, program: str
) -> None:
    later = tmp_path / "ffmpeg-later"
    patient = tier(str(later))
    with pytest.raises(TierUnavailable):
        await patient.capture(camera(LAVFI), now())
    later.symlink_to(program)

    assert decoded(await still(patient, camera(LAVFI))).size == (160, 120)


def test_its_place_in_the_ladder(tier: Tiers) -> None:
    assert (tier().name, tier().rank) == ("ffmpeg", 1)
