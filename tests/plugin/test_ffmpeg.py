"""Real runs of every FFmpeg there is: the one on PATH and the wheel's."""

import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from agent_core.base.errors import FfmpegFailed
from agent_core.plugin import ffmpeg, jpeg

CANARY = "canary"
PICTURE = ("-frames:v", "1", "-f", "mjpeg", "pipe:1")


def installed() -> list[str]:
    return [each for each in (shutil.which("ffmpeg"), ffmpeg.bundled()) if each]


@pytest.fixture(params=installed(), ids=lambda path: Path(path).name[:12])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def assert_discreet(error: FfmpegFailed) -> None:
    shown = f"{error.details} {error.suggestion} {error.detail} {error.reason}"
    assert CANARY not in shown
    assert "/" not in shown
    assert "127.0.0.1" not in shown
    assert error.details.endswith(".")


async def failure(program: str, *arguments: str) -> FfmpegFailed:
    with anyio.fail_after(20), pytest.raises(FfmpegFailed) as caught:
        await ffmpeg.run(program, arguments)
    assert_discreet(caught.value)
    return caught.value


# Finding it.


def executable(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_configured_program_wins(tmp_path: Path) -> None:
    executable(tmp_path, "ffmpeg")
    mine = executable(tmp_path, "my-ffmpeg")

    assert ffmpeg.locate(mine) == mine
    assert ffmpeg.locate("my-ffmpeg", search_path=str(tmp_path)) == mine


def test_then_the_one_on_path_before_the_wheels(tmp_path: Path) -> None:
    on_path = executable(tmp_path, "ffmpeg")

    assert ffmpeg.locate(search_path=str(tmp_path), fallback=lambda: "wheel") == on_path


def test_then_the_wheels(tmp_path: Path) -> None:
    assert ffmpeg.locate(search_path=str(tmp_path), fallback=lambda: "wheel") == "wheel"


def test_the_wheels_is_an_ffmpeg() -> None:
    found = ffmpeg.bundled()
    if found is None:
        pytest.skip("the package imageio-ffmpeg is not installed")

    assert os.access(found, os.X_OK)


def test_without_any_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(FfmpegFailed) as caught:
        ffmpeg.locate(search_path=str(tmp_path), fallback=lambda: None)

    assert caught.value.reason == "ffmpeg_missing"
    assert "Install FFmpeg" in caught.value.suggestion


def test_a_missing_configured_program_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(FfmpegFailed) as caught:
        ffmpeg.locate(f"/{CANARY}/my-ffmpeg", fallback=lambda: "wheel")

    assert caught.value.reason == "ffmpeg_missing"
    assert "my-ffmpeg" in caught.value.details
    assert CANARY not in caught.value.details


async def test_a_program_that_vanished_is_missing(tmp_path: Path) -> None:
    error = await failure(str(tmp_path / CANARY))

    assert error.reason == "ffmpeg_missing"


async def test_a_program_of_another_machine_is_unusable(tmp_path: Path) -> None:
    program = tmp_path / CANARY
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(200))
    program.chmod(0o755)

    error = await failure(str(program))

    assert error.reason == "ffmpeg_unusable"


# Running it.


async def test_run_returns_what_it_wrote(program: str) -> None:
    data = await ffmpeg.run(program, ["-f", "lavfi", "-i", "testsrc2=size=320x240", *PICTURE])

    info = jpeg.inspect(data)
    assert (info.width, info.height) == (320, 240)


async def test_too_much_output_is_an_error(program: str) -> None:
    with pytest.raises(FfmpegFailed) as caught:
        await ffmpeg.run(
            program, ["-f", "lavfi", "-i", "testsrc2", "-f", "rawvideo", "pipe:1"], output_limit_bytes=1 << 20
        )

    assert caught.value.reason == "output_too_large"


async def test_cancelling_ends_it(program: str, tmp_path: Path) -> None:
    sink = tmp_path / "endless.mjpeg"
    arguments = ["-re", "-f", "lavfi", "-i", "testsrc2", "-flush_packets", "1", "-f", "mjpeg", str(sink)]
    async with anyio.create_task_group() as tg:
        tg.start_soon(ffmpeg.run, program, arguments)
        with anyio.fail_after(20):
            while size_of(sink) == 0:
                await anyio.sleep(0.02)
        tg.cancel_scope.cancel()

    size = size_of(sink)
    await anyio.sleep(0.3)
    assert size_of(sink) == size


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# Explaining what went wrong.


@pytest.mark.parametrize("name", ["canary.mp4", "canary folder/a canary.mp4", "unix:canary.sock"])
async def test_missing_input(program: str, tmp_path: Path, name: str) -> None:
    for each in (name, f"{tmp_path}/{name}"):
        error = await failure(program, "-i", each, *PICTURE)
        assert error.reason == "input_missing", error.details


async def test_missing_frame_socket(program: str, tmp_path: Path) -> None:
    error = await failure(program, "-f", "mjpeg", "-i", f"unix:{tmp_path}/{CANARY}", *PICTURE)

    assert error.reason == "input_missing"


async def test_missing_device(program: str) -> None:
    error = await failure(program, "-f", "v4l2", "-i", "/dev/canary0", *PICTURE)

    assert error.reason in {"input_missing", "ffmpeg_unsuitable"}  # a build may lack V4L2


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp"])
async def test_refused_connection(program: str, scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = unused.getsockname()[1]
        error = await failure(
            program, "-i", f"{scheme}://user:{CANARY}@127.0.0.1:{port}/{CANARY}?k=canary", *PICTURE
        )

    assert error.reason == "connection_refused"
    assert error.detail == "Connection refused"


async def test_unknown_host(program: str) -> None:
    error = await failure(program, "-i", "http://canary.invalid/x", *PICTURE)

    assert error.reason == "unreachable"


async def test_garbage(program: str, tmp_path: Path) -> None:
    path = tmp_path / "canary of some kind.mp4"
    path.write_bytes(bytes(range(256)) * 40)

    assert (await failure(program, "-i", str(path), *PICTURE)).reason == "no_picture"
    assert (await failure(program, "-f", "mp4", "-i", str(path), *PICTURE)).reason == "no_picture"


async def test_no_video(program: str) -> None:
    assert (await failure(program, "-f", "lavfi", "-i", "anullsrc", *PICTURE)).reason == "no_picture"


async def test_unwritable_output(program: str, tmp_path: Path) -> None:
    error = await failure(
        program, "-f", "lavfi", "-i", "testsrc2", "-t", "1", "-f", "mjpeg", f"{tmp_path}/canary/x"
    )

    assert error.reason == "input_missing"


async def test_full_disk(program: str) -> None:
    error = await failure(
        program, "-f", "lavfi", "-i", "testsrc2=size=1280x720", "-t", "3", "-f", "mjpeg", "-y", "/dev/full"
    )

    assert error.reason == "no_space"


@pytest.mark.parametrize(
    "arguments",
    [
        (
            "-f",
            "lavfi",
            "-i",
            "testsrc2",
            "-c:v",
            "canary_encoder",
            "-frames:v",
            "1",
            "-f",
            "mjpeg",
            "pipe:1",
        ),
        ("-f", "canary_format", "-i", "x", *PICTURE),
        ("-canary_option", "1", "-f", "lavfi", "-i", "testsrc2", *PICTURE),
        ("-i", "canary-protocol://x", *PICTURE),
    ],
    ids=["encoder", "format", "option", "protocol"],
)
async def test_a_build_that_lacks_something(program: str, arguments: tuple[str, ...]) -> None:
    assert (await failure(program, *arguments)).reason == "ffmpeg_unsuitable"


def answer_of(request: bytes, status: str) -> bytes:
    sequence = next((line for line in request.split(b"\r\n") if line.startswith(b"CSeq")), b"X: y")
    protocol = b"RTSP/1.0" if b"RTSP/1.0" in request else b"HTTP/1.0"
    return protocol + b" " + status.encode() + b"\r\n" + sequence + b"\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def server(status: str) -> AsyncIterator[int]:
    """An RTSP and HTTP server that answers all requests with `status`; with an empty one it never answers."""

    async def answer(client: SocketStream) -> None:
        async with client:
            try:
                while True:
                    request = await client.receive()
                    if status:
                        await client.send(answer_of(request, status))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tg:
        tg.start_soon(listener.serve, answer)
        yield listener.listeners[0].extra(SocketAttribute.local_port)  # noqa: S610 - not Django
        tg.cancel_scope.cancel()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("404 Not Found", "stream_not_found"),
        ("400 Bad Request", "stream_not_found"),
        ("401 Unauthorized", "not_authorized"),
        ("403 Forbidden", "not_authorized"),
        ("500 Internal Server Error", "server_failed"),
        ("503 Service Unavailable", "server_failed"),
        ("418 Teapot", "server_failed"),
    ],
)
async def test_answers_of_a_server(program: str, scheme: str, status: str, reason: str) -> None:
    async with server(status) as port:
        error = await failure(program, "-i", f"{scheme}://127.0.0.1:{port}/{CANARY}", *PICTURE)

    assert error.reason == reason, error.details


async def test_a_silent_server(program: str) -> None:
    async with server("") as port:
        error = await failure(
            program, "-rw_timeout", "300000", "-i", f"http://127.0.0.1:{port}/{CANARY}", *PICTURE
        )

    assert error.reason == "timed_out"


async def test_a_source_that_closes_before_its_first_picture(program: str, tmp_path: Path) -> None:
    path = tmp_path / CANARY
    listener = await anyio.create_unix_listener(path)

    async def close(client: SocketStream) -> None:
        await client.aclose()

    async with listener, anyio.create_task_group() as tg:
        tg.start_soon(listener.serve, close)
        error = await failure(program, "-f", "mjpeg", "-i", f"unix:{path}", "-c:v", "copy", *PICTURE)
        tg.cancel_scope.cancel()

    assert error.reason == "no_picture"


# Explaining what was never seen before.


def test_an_unknown_failure_is_quoted_without_names() -> None:
    error = ffmpeg.explain(
        "[in#0 @ 0x55f9808ac900] Mystery in /media/my canary/b.mp4: of 'rtsp://u:canary@h/x' and canary.mp4\n",
        1,
        ("-i", "canary.mp4", "pipe:1"),
    )

    assert_discreet(error)
    assert error.reason == "ffmpeg_failed"
    assert error.details == "FFmpeg failed: Mystery in <input>: of '<input>' and <input>."


def test_the_name_of_an_input_explains_nothing() -> None:
    name = "Connection refused 404 Not Found"
    error = ffmpeg.explain(f"{name}: Permission denied\n", 1, ("-i", name, "pipe:1"))

    assert error.reason == "permission_denied"


@pytest.mark.parametrize("output", ["pipe:1", "-"])
def test_a_pipe_is_no_name_to_remove(output: str) -> None:
    said = "Cannot load libcuda.so.1 - stream #0:1"
    assert ffmpeg.redact(said, ("-i", "pipe:0", "-f", "h264", output)) == said


def test_silence_gives_the_status() -> None:
    assert ffmpeg.explain("\n", 187).details == "FFmpeg failed: it ended with status 187."


async def test_killed_by_the_kernel_is_said(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)

    error = await failure(str(program))

    assert error.reason == "ffmpeg_killed"
    assert "signal 9" in error.details


async def test_an_endless_last_line_is_cut(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x >&2\nexit 1\n")
    program.chmod(0o755)

    error = await failure(str(program))

    assert len(error.details) < 400
