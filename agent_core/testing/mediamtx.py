"""Real MediaMTX for tests: found on this machine, started on free ports, ended with the test."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process

from agent_core.base import processes
from agent_core.plugin import ffmpeg
from agent_core.testing.waiting import eventually

__all__ = ("MediaServerUnderTest", "find_mediamtx", "free_ports", "publisher_command", "running_mediamtx")

_START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class MediaServerUnderTest:
    """Running media server of one test; its recordings and its log are in `folder`."""

    name: str
    api_url: str
    rtsp_url: str
    folder: Path
    process: Process

    @property
    def record_path(self) -> str:
        """Return a `recordPath` below `folder`."""
        return _record_path(self.folder)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, but not to the commands that it runs."""
        self.process.send_signal(number)


def _record_path(folder: Path) -> str:
    return f"{folder}/recordings/%path/%Y-%m-%d_%H-%M-%S-%f"


def find_mediamtx() -> str | None:
    """Return the program that `MEDIAMTX_BIN` names, else `mediamtx` on PATH, else None."""
    return shutil.which(os.environ.get("MEDIAMTX_BIN") or "mediamtx")


def publisher_command(fps: int = 30, *, key_frame_s: float = 0.5) -> str:
    """Return a `runOnDemand` that publishes a small H.264 test picture, with a key frame every `key_frame_s`."""
    words = [
        ffmpeg.locate(),
        *ffmpeg.QUIET,
        *("-re", "-f", "lavfi", "-i", f"testsrc2=size=320x240:rate={fps}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
        *("-g", str(max(1, round(fps * key_frame_s)))),
        *("-f", "rtsp", "-rtsp_transport", "tcp", "rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH"),
    ]
    return " ".join(words)


def free_ports() -> tuple[int, int]:
    """Return two different free ports; another process may take one before it is used.

    They are below those that Linux gives to port 0 and to outgoing connections: a server that is down for a while, to
    come back on the same ports, would else find them taken.
    """
    while True:
        one, other = random.SystemRandom().sample(range(10_000, 32_000), 2)
        with suppress(OSError), ExitStack() as bound:
            for port in (one, other):
                bound.enter_context(socket.create_server(("127.0.0.1", port)))
            return one, other


def _configuration(folder: Path, api: str, rtsp: str, extra: Mapping[str, object]) -> str:
    """Return a configuration file as JSON, which MediaMTX reads as YAML."""
    base: dict[str, object] = {
        "logDestinations": ["file"],
        "logFile": str(folder / "mediamtx.log"),
        "api": True,
        "apiAddress": api,
        "rtspAddress": rtsp,
        "rtspTransports": ["tcp"],
        **dict.fromkeys(("rtmp", "srt", "moq", "hls", "webrtc"), False),
        # A relative path would be below the working directory of the tests.
        "pathDefaults": {"recordDeleteAfter": "0s", "recordPath": _record_path(folder)},
    }
    return json.dumps({**base, **extra}, indent=1)


@asynccontextmanager
async def running_mediamtx(
    program: str,
    folder: Path,
    *,
    settings: Mapping[str, object] | None = None,
    ports: tuple[int, int] | None = None,
    time_zone: str = "UTC",
) -> AsyncIterator[MediaServerUnderTest]:
    """Run `program` for as long as the context is open, then kill it.

    Args:
        program: the executable.
        folder: empty folder for the configuration, the log and recordings.
        settings: settings that replace or extend the usual ones of the tests.
        ports: ports of the API and of RTSP; free ports by default.
        time_zone: zone of the times in its files' names; default: UTC, as for the managed server.

    Raises:
        TimeoutError: it does not accept connections within 10 s.
        RuntimeError: it ended at once; the message is its log.
    """
    api_port, rtsp_port = ports or free_ports()
    api, rtsp = f"127.0.0.1:{api_port}", f"127.0.0.1:{rtsp_port}"
    config = folder / "mediamtx.yml"
    config.write_text(_configuration(folder, api, rtsp, settings or {}))
    async with processes.child(
        [program, str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TZ": time_zone},
    ) as process:
        for port in (api_port, rtsp_port):
            await _accepting(port, process, folder / "mediamtx.log")
        yield MediaServerUnderTest("mediamtx", f"http://{api}", f"rtsp://{rtsp}", folder, process)


async def _accepting(port: int, process: Process, log: Path) -> None:
    async def connected() -> bool:
        if process.returncode is not None:
            raise RuntimeError(_last_words(log))
        try:
            stream = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            return False
        await stream.aclose()
        return True

    await eventually(connected, timeout_s=_START_TIMEOUT_S)


def _last_words(log: Path) -> str:
    return log.read_text() if log.exists() else "MediaMTX ended without a log"
