"""The publishing command, run against FFmpeg as an RTSP server and against a real MediaMTX if installed."""

import json
import os
import re
import shlex
import shutil
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import pytest
from anyio import to_thread
from anyio.abc import Process

from agent_core.plugin import FfmpegFailed, FfmpegInput, FrameSocket, MediaInput, Publisher, Url, ffmpeg
from agent_core.testing import FakeAgent
from ffmpeg_tier import FfmpegTierPlugin, FfmpegTierSettings, publisher

FrameSources = Callable[..., AbstractAsyncContextManager[Any]]
SOCKET = FrameSocket(Path("/run/agent/camera0.sock"), 1280, 720, 15)


def made(media_input: MediaInput, program: str = "/opt/tools/ffmpeg", **settings: object) -> Publisher:
    found = publisher(media_input, FfmpegTierSettings.model_validate(settings), program)
    assert found is not None
    return found


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The command as data.


def test_a_frame_socket_is_read_as_matroska_with_a_time_out_and_without_the_wall_clock() -> None:
    argv = made(SOCKET).argv
    before = argv[: argv.index("-i")]

    assert "-use_wallclock_as_timestamps" not in argv
    assert option(before, "-f") == "matroska"
    assert option(before, "-fpsprobesize") == "0"
    assert option(argv, "-i") == "unix:/run/agent/camera0.sock"
    assert option(argv, "-fps_mode") == "passthrough"
    assert option(argv, "-enc_time_base") == "1:90000"
    assert argv[-4:] == ("-f", "rtsp", "-rtsp_transport", "tcp")


@pytest.mark.parametrize(
    ("fps", "timeout_s", "read_us"),
    [(15, 4.0, 1_333_333), (60, 6.0, 2_000_000), (0.2, 4.0, 7_500_000), (0, 6.0, 2_000_000)],
)
def test_the_time_out_is_shared_by_three_reads_and_leaves_slow_cameras_time(
    fps: float, timeout_s: float, read_us: int
) -> None:
    argv = made(FrameSocket(SOCKET.path, 1280, 720, fps), network_timeout_s=timeout_s).argv
    assert option(argv, "-rw_timeout") == str(read_us)


def test_what_is_shown_has_no_path() -> None:
    shown = made(SOCKET).redacted

    assert shlex.split(shown)[0] == "ffmpeg"
    assert "-i INPUT" in shown
    assert shown.endswith("OUTPUT")
    assert "/run" not in shown
    assert "/opt" not in shown


def test_settings_reach_the_encoder() -> None:
    by_quality = made(SOCKET, crf=30, preset="veryfast", key_frame_interval_s=2).argv
    by_rate = made(SOCKET, bitrate_kbps=1500).argv
    other = made(SOCKET, encoder="h264_v4l2m2m").argv

    assert option(by_quality, "-crf") == "30"
    assert option(by_quality, "-preset") == "veryfast"
    assert option(by_quality, "-force_key_frames").endswith("prev_forced_t+2))")
    assert option(by_rate, "-b:v") == "1500k"
    assert "-crf" not in by_rate
    assert option(other, "-c:v") == "h264_v4l2m2m"
    assert "-preset" not in other
    assert option(other, "-b:v").endswith("k")


@pytest.mark.parametrize(
    "media_input",
    [
        Url("rtsp://camera.local/x"),
        Url("rtsp://user:secret@camera.local/x", has_credentials=True),
        FfmpegInput(("-i", "rtsp://user:secret@camera.local/x")),
        FfmpegInput(("-headers", "Authorization: Basic secret", "-i", "http://camera.local/x")),
    ],
)
def test_what_has_no_publisher(media_input: MediaInput) -> None:
    assert publisher(media_input, FfmpegTierSettings(), "ffmpeg") is None


def test_the_plugin_offers_both(tmp_path: Path, program: str) -> None:
    agent = FakeAgent(tmp_path, program)
    plugin = FfmpegTierPlugin(FfmpegTierSettings())

    assert [tier.name for tier in plugin.agent_snapshot_tiers(agent)] == ["ffmpeg"]
    offered = plugin.agent_publisher(SOCKET)
    assert offered is not None
    assert offered.argv[0] == program
    assert plugin.agent_publisher(Url("rtsp://camera.local/x")) is None


def test_the_plugins_program_is_preferred_and_said_to_be_missing(tmp_path: Path, program: str) -> None:
    agent = FakeAgent(tmp_path, program)
    plugin = FfmpegTierPlugin(FfmpegTierSettings(program=str(tmp_path / "gone")))
    plugin.agent_snapshot_tiers(agent)

    with pytest.raises(FfmpegFailed) as caught:
        plugin.agent_publisher(SOCKET)
    assert caught.value.reason == "ffmpeg_missing"


# The command at work.


@asynccontextmanager
async def running(*argv: str) -> AsyncIterator[Process]:
    async with await anyio.open_process(argv, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


async def received(
    listener: str, address: str, path: Path, duration_s: float, kind: str = "matroska"
) -> None:
    """Run the RTSP server of one publisher and write `duration_s` of its stream without changes."""
    arguments = ("-rtsp_flags", "listen", "-listen_timeout", "20", "-i", address)
    await ffmpeg.run(
        listener,
        (*arguments, "-t", f"{duration_s}", "-c", "copy", "-flush_packets", "1", "-f", kind, str(path)),
    )


async def listening(port: int) -> None:
    """Wait until `port` has a listener, without connecting: a connection would take the publisher's place."""
    with anyio.fail_after(20):
        while not is_listened_on(port):
            await anyio.sleep(0.02)


def is_listened_on(port: int) -> bool:
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(line[1] == f"0100007F:{port:04X}" and line[3] == "0A" for line in lines)


async def times_s(program: str, path: Path, *, key_frames_only: bool) -> list[float]:
    """Return the presentation times of a file's decoded frames, as printed by a filter."""
    select = ("-skip_frame", "nokey") if key_frames_only else ()
    found = await anyio.run_process(
        [
            *(
                program,
                "-hide_banner",
                "-nostdin",
                *select,
                "-i",
                str(path),
                "-fps_mode",
                "passthrough",
                "-copyts",
            ),
            *("-vf", "metadata=add:key=k:value=v,metadata=print:file=-", "-f", "null", "/dev/null"),
        ]
    )
    assert b"h264" in found.stderr
    return [float(each) for each in re.findall(rb"pts_time:([0-9.]+)", found.stdout)]


async def recorded(program: str, command: Publisher, path: Path, duration_s: float = 3) -> None:
    port = free_port()
    address = f"rtsp://127.0.0.1:{port}/camera0"

    async def publish_when_listening() -> None:
        await listening(port)
        async with running(*command.argv, address):
            await anyio.sleep_forever()

    with anyio.fail_after(40):
        async with anyio.create_task_group() as tg:
            tg.start_soon(publish_when_listening)
            await received(program, address, path, duration_s)
            tg.cancel_scope.cancel()


def assert_regular(frames_s: list[float], keys_s: list[float], *, fps: float) -> None:
    """Key frames follow each other by half a second; the rate is the camera's, not FFmpeg's 25."""
    span_s = frames_s[-1] - frames_s[0]
    assert span_s > 2
    assert fps * 0.6 < (len(frames_s) - 1) / span_s < fps * 1.2
    gaps_s = [after - before for before, after in pairwise(keys_s)]
    assert len(gaps_s) >= 3
    # A loaded machine may cause one longer gap; a wrong rule shows in most of them.
    assert sorted(gaps_s)[len(gaps_s) // 2] == pytest.approx(0.5, abs=2 / fps)


async def test_a_frame_socket_is_published_as_h264_with_two_key_frames_a_second(
    program: str, frame_source: FrameSources, tmp_path: Path
) -> None:
    path = tmp_path / "out.mkv"
    async with frame_source() as source:
        await recorded(program, made(source.socket, program), path)

    frames_s = await times_s(program, path, key_frames_only=False)
    keys_s = await times_s(program, path, key_frames_only=True)
    assert_regular(frames_s, keys_s, fps=15)


async def test_a_picture_of_odd_size_is_published(program: str, tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    odd = FfmpegInput(("-re", "-f", "lavfi", "-i", "testsrc2=size=321x241:rate=15"))
    await recorded(program, made(odd, program), path, duration_s=1)

    assert len(await times_s(program, path, key_frames_only=False)) > 5


async def test_a_publisher_leaves_a_socket_that_went_silent(
    program: str, frame_source: FrameSources, tmp_path: Path
) -> None:
    """FFmpeg ends by its own time-out; the broker's stall, which would close the socket, is set later."""
    port = free_port()
    address = f"rtsp://127.0.0.1:{port}/camera0"
    path = tmp_path / "out.h264"
    async with frame_source(stall_s=600) as source, anyio.create_task_group() as tg:
        tg.start_soon(received, program, address, path, 600, "h264")
        await listening(port)
        async with running(*made(source.socket, program).argv, address) as process:
            with anyio.fail_after(20):
                while not has_begun(path):
                    await anyio.sleep(0.05)
            source.producer.silent = True
            with anyio.fail_after(20):
                await process.wait()
        tg.cancel_scope.cancel()


async def test_a_publisher_waits_for_the_frames_of_a_slow_camera(
    program: str, frame_source: FrameSources, tmp_path: Path
) -> None:
    """The time-out is for silence, and two seconds between two frames are none at half a frame per second."""
    path = tmp_path / "out.mkv"
    async with frame_source(fps=0.5) as source:
        await recorded(program, made(source.socket, program, network_timeout_s=0.5), path, duration_s=7)

    assert len(await times_s(program, path, key_frames_only=False)) >= 4


def has_begun(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


# A real media server.


def mediamtx() -> str:
    found = os.environ.get("MEDIAMTX_BIN") or shutil.which("mediamtx")
    if not found:
        pytest.skip("no real MediaMTX: MEDIAMTX_BIN is not set and there is none on PATH")
    return found


@asynccontextmanager
async def media_server(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """Yield the ports of RTSP and of the API."""
    rtsp, api = free_port(), free_port()
    config = tmp_path / "mediamtx.yml"
    off = "".join(f"{name}: no\n" for name in ("rtmp", "hls", "webrtc", "srt", "moq"))
    config.write_text(
        f"api: yes\napiAddress: 127.0.0.1:{api}\nrtspAddress: 127.0.0.1:{rtsp}\n"
        f"rtspTransports: [tcp]\n{off}paths:\n  all_others:\n"
    )
    async with running(mediamtx(), str(config)):
        await listening(rtsp)
        await listening(api)
        yield rtsp, api


def path_state(api: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{api}/v3/paths/list", timeout=5) as answer:
        items: list[dict[str, Any]] = json.load(answer)["items"]
    return items[0] if items else {}


@pytest.mark.real_mediamtx
async def test_a_frame_socket_is_published_to_a_real_media_server(
    program: str, frame_source: FrameSources, tmp_path: Path
) -> None:
    path = tmp_path / "out.mkv"
    async with frame_source() as source, media_server(tmp_path) as (rtsp, api):
        address = f"rtsp://127.0.0.1:{rtsp}/camera0"
        async with running(*made(source.socket, program).argv, address):
            state: dict[str, Any] = {}
            with anyio.fail_after(20):
                while not state.get("ready"):
                    state = await to_thread.run_sync(path_state, api)
            await ffmpeg.run(
                program,
                (
                    "-rtsp_transport",
                    "tcp",
                    "-i",
                    address,
                    "-t",
                    "4",
                    "-c",
                    "copy",
                    "-f",
                    "matroska",
                    str(path),
                ),
            )

    assert state["tracks"] == ["H264"]
    frames_s = await times_s(program, path, key_frames_only=False)
    keys_s = await times_s(program, path, key_frames_only=True)
    assert_regular(frames_s, keys_s, fps=15)
