"""Start and stop of a recording compared with one bare PATCH, time to the first bytes, CPU of a reader; in one run.

scripts/bench media [rounds]

The embedded server runs in a process of its own, so that its CPU is measured without the agent's.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from agent_core.client import AgentClient
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import child
from agent_core.testing.agents import running_agent
from agent_core.testing.mediamtx import MediaServerUnderTest, find_mediamtx, free_ports, running_mediamtx
from bench.agents import cpu_s
from tests.embedded_program import CREDENTIALS

READERS, READING_S, READER_ROUNDS = 8, 4.0, 3
EMBEDDED = Path(__file__).parents[1] / "tests/embedded_program.py"
PLUGINS = {
    "enabled": ["virtual_camera", "ffmpeg_tier"],
    "virtual_camera": {
        "cameras": [{"name": "Bench", "id": "camera0", "width": 640, "height": 480, "fps": 30}]
    },
}


def ms(values: list[float]) -> float:
    return statistics.median(values) * 1000


async def timed(client: AgentClient, method: str, **params: object) -> float:
    began_s = time.perf_counter()
    await client.call(method, device="camera0", **params)
    return time.perf_counter() - began_s


async def patched(api: MediaServerClient, conf: PathConf) -> float:
    """Send a PATCH and wait until the server shows it, as the agent does; return the seconds."""
    began_s = time.perf_counter()
    await api.patch_path("camera0", conf)
    while (now := await api.path_config("camera0")) is None or conf.missing_from(now) != PathConf():
        await anyio.sleep(0.001)
    return time.perf_counter() - began_s


async def recording_times(client: AgentClient, api: MediaServerClient, rounds: int, name: str) -> None:
    """Print the times of a recording on a live path, and of PATCHes like the agent's, sent between recordings."""
    bare: list[float] = []
    starts: list[float] = []
    stops: list[float] = []
    firsts: list[float] = []
    await client.call("start_streaming", device="camera0")
    for _ in range(rounds):
        bare.append(await patched(api, PathConf(record=False, record_segment_duration_s=3601.0 + len(bare))))
        starts.append(await timed(client, "start_recording"))
        await anyio.sleep(1.0)
        stops.append(await timed(client, "stop_recording"))
        firsts.append(await timed(client, "start_recording", wait=True))
        await client.call("stop_recording", device="camera0")
    await client.call("stop_streaming", device="camera0")
    print(f"{name}: bare PATCH until applied {ms(bare):.1f} ms, at most {max(bare) * 1000:.1f}")
    print(f"{name}: start_recording {ms(starts):.1f} ms, PATCH + {ms(starts) - ms(bare):.1f} ms (aim 5)")
    print(f"{name}: stop_recording {ms(stops):.1f} ms, PATCH + {ms(stops) - ms(bare):.1f} ms (aim 5)")
    print(
        f"{name}: first bytes on disk after {ms(firsts):.0f} ms, at most {max(firsts) * 1000:.0f} (aim 1200)"
    )


async def reader_cost(client: AgentClient, server: MediaServerUnderTest) -> float:
    """Return the server's CPU seconds per second for one reader, beyond those without readers."""
    url = f"{server.rtsp_url}/camera0"
    words = [
        ffmpeg.locate(),
        *ffmpeg.QUIET,
        "-rtsp_transport",
        "tcp",
        "-i",
        url,
        "-c",
        "copy",
        "-f",
        "null",
        "-",
    ]
    await client.call("start_streaming", device="camera0")
    differences_s: list[float] = []
    for _ in range(READER_ROUNDS):
        before_s = await spent(server)
        async with AsyncExitStack() as stack:
            for _ in range(READERS):
                await stack.enter_async_context(child(words))
            await readers(client, READERS)
            with_readers_s = await spent(server)
        await readers(client, 0)
        differences_s.append(with_readers_s - (before_s + await spent(server)) / 2)
    await client.call("stop_streaming", device="camera0")
    return statistics.median(differences_s) / READERS / READING_S


async def readers(client: AgentClient, count: int) -> None:
    """Wait until the path has `count` readers besides the agent."""
    with anyio.fail_after(30):
        while (await client.call("get_stream_url", device="camera0"))["active_consumers"] != count:
            await anyio.sleep(0.1)


async def spent(server: MediaServerUnderTest) -> float:
    before_s = cpu_s(server.process.pid)
    await anyio.sleep(READING_S)
    return cpu_s(server.process.pid) - before_s


async def measure(server: MediaServerUnderTest, rounds: int) -> float:
    media = {"mode": "external", "api_url": server.api_url, "rtsp_url": server.rtsp_url}
    async with (
        running_agent(config={"plugins": PLUGINS, "media_server": media}) as agent,
        agent.client("admin") as client,
        MediaServerClient(server.api_url) as api,
    ):
        while agent.parts.media.link.current is None:
            await anyio.sleep(0.01)
        await recording_times(client, api, rounds, server.name)
        cost = await reader_cost(client, server)
    print(f"{server.name}: a reader of 640x480 at 30 frames/s costs {cost * 1000:.1f} ms CPU per second")
    return cost


@asynccontextmanager
async def running_embedded(folder: Path) -> AsyncIterator[MediaServerUnderTest]:
    folder.mkdir()
    api_port, rtsp_port = free_ports()
    words = [sys.executable, str(EMBEDDED), str(api_port), str(rtsp_port), str(folder)]
    async with child(words, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        with anyio.fail_after(20):
            await process.stdout.receive()
        own = f"{CREDENTIALS.user}:{CREDENTIALS.password}@"
        urls = f"http://{own}127.0.0.1:{api_port}", f"rtsp://127.0.0.1:{rtsp_port}"
        yield MediaServerUnderTest("embedded", *urls, folder, process)


async def main(rounds: int) -> None:
    with TemporaryDirectory() as folder:
        async with running_embedded(Path(folder) / "embedded") as server:
            ours = await measure(server, rounds)
        program = find_mediamtx()
        if program is None:
            print("MediaMTX not found, so there is no ratio")
            return
        (Path(folder) / "mediamtx").mkdir()
        async with running_mediamtx(program, Path(folder) / "mediamtx") as server:
            theirs = await measure(server, rounds)
        told = f"{ours / theirs:.1f}" if theirs > 0 else "none: MediaMTX's is too small to measure here"
        print(f"CPU of a reader, embedded to MediaMTX: {told}")


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 10)
