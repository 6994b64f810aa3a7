"""Network cameras of tests: real RTSP servers on hosts of their own, which FFmpeg feeds."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import anyio.to_thread
import av
import pytest

from agent_core.base import processes
from agent_core.plugin import ffmpeg
from agent_core.plugin.rtsp import Credentials
from agent_core.testing.mediamtx import find_mediamtx
from agent_core.testing.waiting import eventually
from tests.canary import CANARY

from .lan import Address, Host

__all__ = ("SRT_PORT", "USER", "Camera", "running_camera", "running_klv_camera", "running_uav")

#: The account of the cameras that ask for a password; no client of the agent may ever receive it.
USER = Credentials("operator", f"{CANARY}@home#1&x")

_ANYONE = Credentials("any", "")
_RTSP_PORT = 554
#: Where cameras of the kind MediaMTX serve SRT as well.
SRT_PORT = 8890
_START_TIMEOUT_S = 20.0
_PROGRAM = Path(__file__).with_name("embedded_camera.py")
_UAV = Path(__file__).with_name("uav.py")


@dataclass(frozen=True, slots=True)
class Camera:
    """Real RTSP server on a host, with one live stream per path."""

    host: Host
    port: int
    paths: tuple[str, ...]
    server: str

    def url(self, path: str | None = None, *, address: Address | str | None = None, user: str = "") -> str:
        """Return the URL of the stream as the agent writes it, by default of the first path at the first IPv4 address.

        Args:
            path: one of the paths.
            address: another address, or a name.
            user: user and password to put into the URL, as it stands there.
        """
        at = address or self.host.v4
        host = f"[{at}]" if ":" in str(at) else str(at)
        port = "" if self.port == _RTSP_PORT else f":{self.port}"
        return f"rtsp://{f'{user}@' if user else ''}{host}{port}/{path or self.paths[0]}"


@asynccontextmanager
async def running_camera(
    host: Host,
    folder: Path,
    *clips: Path,
    server: str = "mediamtx",
    port: int = _RTSP_PORT,
    paths: Sequence[str] = ("stream1",),
    password: str | None = None,
) -> AsyncIterator[Camera]:
    """Run a camera for as long as the context is open; its streams are live when it begins.

    At its end the server is killed: the host then answers with RST. It may be run again on the same host.

    Args:
        host: the host.
        folder: folder for its files, made if it is missing.
        clips: the file that is sent at each of the paths, or one for all.
        server: `mediamtx`, which skips the test where there is none, or `embedded`.
        port: port at all addresses of the host.
        paths: the paths, without a leading slash.
        password: `basic` or `digest` (MD5): the method by which it asks for the password of `USER`; None: it does not.
    """
    folder.mkdir(exist_ok=True, parents=True)
    files = clips if len(clips) == len(paths) else clips[:1] * len(paths)
    if server == "mediamtx":
        argv = _mediamtx(folder, port, {path: {} for path in paths}, password)
    else:
        argv = [sys.executable, str(_PROGRAM), str(port), str(folder), password or "none", *paths]
    async with AsyncExitStack() as stack:
        log = folder / "server.log"
        await stack.enter_async_context(_running(host, argv, log))
        await _listening(log, "ready" if server == "embedded" else "[RTSP] started")
        for path, clip in zip(paths, files, strict=True):
            to = f"rtsp://127.0.0.1:{port}/{path}"
            await stack.enter_async_context(
                _running(host, _publisher(clip, to), folder / f"{path.replace('/', '-')}.log")
            )
        for path in paths:
            await _live(host, port, path, password)
        yield Camera(host, port, tuple(paths), server)


@asynccontextmanager
async def running_klv_camera(
    host: Host, folder: Path, clip: Path, *, port: int = _RTSP_PORT, path: str = "stream1"
) -> AsyncIterator[Camera]:
    """Run a MediaMTX whose one stream has the tracks of an MPEG-TS, pictures and KLV, as `running_camera`."""
    folder.mkdir(exist_ok=True, parents=True)
    source = {"source": "udp+mpegts://127.0.0.1:9000"}
    log = folder / "server.log"
    async with _running(host, _mediamtx(folder, port, {path: source}, None), log):
        await _listening(log, "[RTSP] started")
        async with running_uav(host, clip, "udp://127.0.0.1:9000?pkt_size=1316", folder):
            await _live(host, port, path, None)
            yield Camera(host, port, (path,), "mediamtx")


@asynccontextmanager
async def running_uav(host: Host, clip: Path, url: str, folder: Path) -> AsyncIterator[None]:
    """Send an MPEG-TS with KLV from the host to `url`, of scheme `udp` or `srt`, for as long as the context is open."""
    folder.mkdir(exist_ok=True, parents=True)
    async with _running(host, [sys.executable, str(_UAV), str(clip), url], folder / "uav.log"):
        yield


def _mediamtx(
    folder: Path, port: int, paths: Mapping[str, Mapping[str, str]], password: str | None
) -> list[str]:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    config: dict[str, object] = {
        "logDestinations": ["stdout"],
        "rtspAddress": f":{port}",
        "rtspTransports": ["tcp"],
        "rtspAuthMethods": [password or "basic"],
        **dict.fromkeys(("rtmp", "moq", "hls", "webrtc"), False),
        "srtAddress": f":{SRT_PORT}",
        "authInternalUsers": [
            _account(USER if password else _ANYONE, "read"),
            {**_account(_ANYONE, "publish"), "ips": ["127.0.0.1"]},
        ],
        "paths": paths,
    }
    file = folder / "mediamtx.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    return [program, str(file)]


def _account(credentials: Credentials, action: str) -> dict[str, object]:
    return {"user": credentials.user, "pass": credentials.password, "permissions": [{"action": action}]}


def _publisher(clip: Path, url: str) -> list[str]:
    words = ["-stream_loop", "-1", "-re", "-i", str(clip), "-c", "copy"]
    return [ffmpeg.locate(), *ffmpeg.QUIET, *words, "-f", "rtsp", "-rtsp_transport", "tcp", url]


@asynccontextmanager
async def _running(host: Host, argv: Sequence[str], log: Path) -> AsyncIterator[None]:
    with log.open("wb") as file:
        # Programs find the kit and the agent by the working directory.
        async with processes.child(
            host.command(*argv),
            stdout=file.fileno(),
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        ):
            yield


async def _listening(log: Path, word: str) -> None:
    async def said() -> bool:
        return word in log.read_text()

    await eventually(said, timeout_s=_START_TIMEOUT_S, every_s=0.05)


async def _live(host: Host, port: int, path: str, password: str | None) -> None:
    """Wait until the stream has media, in this process: a program's arguments would show the password to everyone."""
    user = f"{quote(USER.user, safe='')}:{quote(USER.password, safe='')}@" if password else ""
    url = f"rtsp://{user}{host.v4}:{port}/{path}"

    async def sends() -> bool:
        return await anyio.to_thread.run_sync(_has_packet, url)

    await eventually(sends, timeout_s=_START_TIMEOUT_S, every_s=0.05)


def _has_packet(url: str) -> bool:
    options = {"rtsp_transport": "tcp", "analyzeduration": "100000"}
    try:
        with av.open(url, options=options, timeout=5.0) as stream:
            return next(stream.demux()).size > 0
    except (av.error.FFmpegError, StopIteration):
        return False
