"""Live views of one camera, beside ustreamer's of the same pictures: CPU per viewer, rate, age, memory.

Each server sends the same JPEGs at the same rate to one viewer, to 50, and to 50 beside one that has stopped reading. ustreamer
(Debian's package) reads them from a device that `bench.live_device` pretends; the agent from a plugin.

scripts/bench live [viewers] [seconds] [pictures per second]
"""

import io
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import anyio
from PIL import Image

from agent_core.auth.roles import Role
from bench.agents import agent_process, cpu_s, memory_kb
from bench.live_device import environment, library
from bench.live_viewers import DIGITS, MARK

SIZE = (640, 480)
#: Bytes that the viewer who does not read accepts before it stops.
UNREAD_BYTES = 64 << 10
PLUGIN = '''
"""Camera that offers one JPEG at a fixed rate, with the time in it."""

import os
import time
from pathlib import Path

import anyio

from agent_core import plugin as api
from agent_core.plugin.frames import BrokerSettings, FrameBroker, FrameProducer, FrameSink


class Producer(FrameProducer):
    async def stream(self, sink: FrameSink) -> None:
        data = Path(os.environ["BENCH_PICTURE"]).read_bytes()
        interval_s = 1 / int(os.environ["BENCH_FPS"])
        due_s = time.monotonic()
        while True:
            due_s += interval_s
            await anyio.sleep(max(0.0, due_s - time.monotonic()))
            sink.offer(b"%b%020d%b" % (data[:6], time.monotonic_ns(), data[26:]), captured_s=time.monotonic())


class Source(api.CameraSource):
    name = "bench_live"

    def __init__(self, agent: api.AgentContext) -> None:
        self._agent = agent

    async def watch(self, report: api.CameraReport, *, task_status: api.Started = api.NOT_ASKED) -> None:
        broker = FrameBroker(Producer(), clock=self._agent.clock, settings=BrokerSettings())
        async with anyio.create_task_group() as tasks:
            await tasks.start(broker.run)
            fingerprint = api.Fingerprint(self.name, serial="1")
            report.connected(
                api.DetectedCamera("1", "Bench", fingerprint, None, number_hint=0, frames=broker)
            )
            task_status.started()


class BenchLive(api.Plugin[api.Settings]):
    @api.hookimpl
    def agent_camera_sources(self, agent: api.AgentContext) -> list[api.CameraSource]:
        return [Source(agent)]
'''


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    host: str
    port: int
    path: str
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU seconds per second, pictures per second of the slowest and the median viewer, age in seconds, memory in KB."""

    cpu: float
    slowest: float
    median: float
    age_s: float
    age_95_s: float
    memory_kb: int


def a_picture(folder: Path) -> Path:
    """Write a noisy JPEG of about 70 KB, with a comment at its beginning that has room for a time; return its path."""
    noise = Image.effect_noise(SIZE, 24).convert("RGB")
    encoded = io.BytesIO()
    noise.save(encoded, "JPEG", quality=50)
    path = folder / "picture.jpg"
    path.write_bytes(MARK + b"0" * DIGITS + encoded.getvalue()[2:])
    return path


@asynccontextmanager
async def agent(folder: Path, picture: Path, fps: int) -> AsyncIterator[Server]:
    site = folder / "site"
    information = site / "bench_live-0.dist-info"
    information.mkdir(parents=True)
    (site / "bench_live.py").write_text(PLUGIN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: bench_live\nVersion: 0\n")
    (information / "entry_points.txt").write_text(
        "[camera_agent.plugins]\nbench_live = bench_live:BenchLive\n"
    )
    os.environ["BENCH_PICTURE"], os.environ["BENCH_FPS"] = str(picture), str(fps)
    os.environ["PYTHONPATH"] = f"{site}:{os.environ.get('PYTHONPATH', '')}"
    async with agent_process('[plugins]\nenabled = ["bench_live"]\n') as process:
        at = urlsplit(process.http_url)
        header = f"Authorization: Bearer {process.token(Role.VIEWER)}"
        await anyio.sleep(1)
        yield Server(process.pid, at.hostname or "", at.port or 0, "/cameras/camera0/live.mjpeg", (header,))


@asynccontextmanager
async def ustreamer(folder: Path, picture: Path, fps: int) -> AsyncIterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [
        "ustreamer",
        "--device",
        str(picture),
        "--format",
        "MJPEG",
        "--encoder",
        "HW",
        "--port",
        str(port),
    ]
    words += ["--resolution", f"{SIZE[0]}x{SIZE[1]}", "--buffers", "4", "--log-level", "0"]
    surroundings = environment(await library(folder), picture, SIZE, fps)
    with (folder / "ustreamer.log").open("wb") as log:
        process = await anyio.open_process(words, env=surroundings, stdout=log, stderr=log)
        try:
            await anyio.sleep(2)
            yield Server(process.pid, "127.0.0.1", port, "/stream")
        finally:
            process.terminate()
            await process.wait()


async def viewed(server: Server, viewers: int, seconds: float) -> Measured:
    words = [sys.executable, "-m", "bench.live_viewers", server.host, str(server.port), server.path]
    words += [str(viewers), str(seconds), *server.headers]
    before_s, begun_s = cpu_s(server.pid), anyio.current_time()
    result: Any = json.loads((await anyio.run_process(words)).stdout)
    cpu = (cpu_s(server.pid) - before_s) / (anyio.current_time() - begun_s)
    rates = result["rates"]
    age_s, age_95_s = result["ages_s"]
    return Measured(cpu, rates[0], rates[len(rates) // 2], age_s, age_95_s, memory_kb(server.pid)[0])


async def beside_unread(server: Server, viewers: int, seconds: float) -> Measured:
    with socket.socket() as unread:
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        unread.connect((server.host, server.port))
        lines = [f"GET {server.path} HTTP/1.1", f"Host: {server.host}", *server.headers, "", ""]
        unread.sendall("\r\n".join(lines).encode())
        return await viewed(server, viewers, seconds)


async def measure(name: str, server: Server, viewers: int, seconds: float) -> tuple[Measured, float]:
    """Print the server's lines; return what it does for all viewers, and its CPU per viewer."""
    one = await viewed(server, 1, seconds)
    all_ = await viewed(server, viewers, seconds)
    unread = await beside_unread(server, viewers, seconds)
    per_viewer = (all_.cpu - one.cpu) / (viewers - 1)
    for label, each in (("1", one), (str(viewers), all_), (f"{viewers} + 1 unread", unread)):
        print(
            f"{name:9} {label:>13} viewers: CPU {each.cpu:6.1%}, {each.slowest:5.1f} to {each.median:5.1f} pictures/s,"
            f" age {each.age_s * 1000:5.1f} ms (95 %: {each.age_95_s * 1000:5.1f}), {each.memory_kb / 1024:5.1f} MB"
        )
    return all_, per_viewer


async def main(viewers: int = 50, seconds: float = 8, fps: int = 15) -> None:
    if shutil.which("ustreamer") is None or shutil.which("cc") is None:
        raise SystemExit("needs ustreamer and cc: apt-get install ustreamer gcc libc6-dev")
    with TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        picture = a_picture(folder)
        print(f"{picture.stat().st_size / 1024:.0f} KB per picture, {fps} per second, {seconds:g} s each")
        async with ustreamer(folder, picture, fps) as server:
            theirs, their_cpu = await measure("ustreamer", server, viewers, seconds)
        async with agent(folder, picture, fps) as server:
            ours, our_cpu = await measure("agent", server, viewers, seconds)
    print(
        f"CPU per viewer: {our_cpu:.3%} against {their_cpu:.3%}, ratio {our_cpu / their_cpu:.2f} (aim: at most 2)"
    )
    frames = (ours.age_s - theirs.age_s) * fps
    print(f"rate: ratio {ours.median / theirs.median:.2f}; age: {frames:+.2f} frames (aim: within one)")


if __name__ == "__main__":
    given = dict(zip(("viewers", "seconds", "fps"), map(int, sys.argv[1:]), strict=False))
    anyio.run(partial(main, **given))
