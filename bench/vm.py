"""Time of a picture from a webcam, compared with v4l2-ctl, FFmpeg and ustreamer, in the virtual machine.

tests/vm/run -- python3 -m bench.vm [rounds]

The machine's processor is emulated (about eight times slower than the host's), and the webcam is simulated behind the
real `uvcvideo`: only ratios within one run are meaningful.
"""

import http.client
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from agent_core.auth.roles import Role
from agent_core.client import AgentClient
from bench.agents import agent_process
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import Root, Webcam
from tests.vm.guest.captured import Captured, captured, offered
from v4l2_tier.settings import CaptureSettings

SIZE = FrameSize(640, 480, (30,))
LAYOUT = Layout(mjpeg=(SIZE,), yuyv=(SIZE,))
FORMATS = offered(LAYOUT)
COLD = CaptureSettings(warm_ttl_s=0, parked_ttl_s=0)
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
AGENT = """
[plugins]
enabled = ["v4l2_tier"]
[[plugins.v4l2_tier.cameras]]
match = "*"
pixel_format = "MJPG"
width = 640
height = 480
fps = 30
"""


async def timed_ms(work: Callable[[], Awaitable[object]]) -> float:
    started_s = time.perf_counter()
    await work()
    return (time.perf_counter() - started_s) * 1000


def told(name: str, times: list[float]) -> float:
    """Print the times and return the shortest: disturbances only add to it."""
    print(f"  {min(times):8.1f} ms  {name}  (median {statistics.median(times):.1f}, most {max(times):.1f})")
    return min(times)


async def repeated(name: str, rounds: int, work: Callable[[], Awaitable[object]]) -> float:
    return told(name, [await timed_ms(work) for _ in range(rounds)])


async def ours_settled_ms(camera: Captured) -> float:
    """Time of a still from a camera at rest, which waits for a steady brightness."""
    while camera.broker.state.value != "cold":
        await anyio.sleep(0.01)
    return await timed_ms(camera.fresh)


async def settled(node: Path, rounds: int, first_ms: float) -> None:
    """Compare stills with first pictures, of a camera whose exposure is as it was, and of one that starts anew."""
    async with captured(node, FORMATS, COLD) as camera:
        again = [await ours_settled_ms(camera) for _ in range(rounds + 1)]
    kept_ms = told("ours, open to a settled frame, the exposure as before", again[1:])
    anew = []
    for _ in range(rounds):
        async with captured(node, FORMATS, COLD) as camera:
            anew.append(await ours_settled_ms(camera))
    anew_ms = told("ours, open to a settled frame, nothing known of the camera", anew)
    print(
        f"  settled / first: {kept_ms / first_ms:.2f} as before, {anew_ms / first_ms:.2f} if nothing is known"
    )


async def ours_cold_ms(camera: Captured) -> float:
    while camera.broker.state.value != "cold":
        await anyio.sleep(0.01)
    sequence = camera.broker.stats.frames
    took_ms = await timed_ms(lambda: camera.broker.after(sequence))
    while camera.broker.state.value != "cold":  # other programs open the camera next
        await anyio.sleep(0.01)
    return took_ms


async def cold(node: Path, rounds: int) -> None:
    print("one picture from a camera at rest, MJPG 640x480 at 30 frames per second")
    v4l2_ctl = ["v4l2-ctl", "-d", str(node), "--stream-mmap", "--stream-count=1", "--stream-to=/dev/null"]
    ffmpeg = ["ffmpeg", "-v", "error", "-f", "v4l2", "-input_format", "mjpeg", "-video_size", "640x480"]
    ffmpeg += [
        "-framerate",
        "30",
        "-i",
        str(node),
        "-frames:v",
        "1",
        "-c",
        "copy",
        "-f",
        "mjpeg",
        "-y",
        "/dev/null",
    ]
    programs = {
        "v4l2-ctl --stream-mmap --stream-count=1": v4l2_ctl,
        "v4l2-ctl --version, its process start": ["v4l2-ctl", "--version"],
        "ffmpeg -f v4l2 -frames:v 1 -c copy": ffmpeg,
    }
    ours: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in programs}
    async with captured(node, FORMATS, COLD) as camera:
        await ours_cold_ms(camera)  # for imports and the camera's format
        for _ in range(rounds):
            ours.append(await ours_cold_ms(camera))
            for name, argv in programs.items():
                theirs[name].append(await timed_ms(lambda argv=argv: anyio.run_process(argv)))  # type: ignore[misc]
    own_ms = told("ours, open to first frame", ours)
    whole_ms, start_ms, ffmpeg_ms = (told(name, times) for name, times in theirs.items())
    print(f"  ours / v4l2-ctl: {own_ms / whole_ms:.2f}")
    print(
        f"  ours / v4l2-ctl without its process start: {own_ms / (whole_ms - start_ms):.2f}   aim: 1.2 or less"
    )
    print(f"  ffmpeg / ours: {ffmpeg_ms / own_ms:.1f}   aim: 2 or more")
    await settled(node, rounds, own_ms)


class HttpPictures:
    """HTTP client that fetches JPEG files on one connection. It blocks: call it in a worker thread."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def get(self, target: str) -> None:
        """Fetch a picture. Raises AssertionError if the response is not a JPEG."""
        self._connection.request("GET", target)
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 200
        assert data.startswith(JPEG_START)
        assert data.endswith(JPEG_END)

    def close(self) -> None:
        self._connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def ustreamer_ms(node: Path, rounds: int) -> float:
    port = free_port()
    argv = ["ustreamer", "--device", str(node), "--format=MJPEG", "--resolution=640x480", "--desired-fps=30"]
    argv += ["--host=127.0.0.1", f"--port={port}", "--encoder=HW", "--log-level=0"]
    pictures = HttpPictures(port)

    async def get() -> None:
        await anyio.to_thread.run_sync(pictures.get, "/snapshot")

    async with await anyio.open_process(argv) as process:
        try:
            with anyio.fail_after(60):
                while True:
                    try:
                        await get()
                        break
                    except (OSError, AssertionError, http.client.HTTPException):
                        pictures.close()
                        await anyio.sleep(0.1)
            await anyio.sleep(2)
            return await repeated("ustreamer, GET /snapshot on a kept connection", rounds, get)
        finally:
            pictures.close()
            process.kill()


async def agent_ms(rounds: int) -> tuple[float, float]:
    """Return the times of the newest picture and of one exposed after the call; each is stored, then fetched."""
    async with agent_process(AGENT) as agent, AgentClient(agent.url, agent.token(Role.OPERATOR)) as client:
        pictures = HttpPictures(urlsplit(agent.http_url).port or 0)
        device = await first_camera(client)

        async def get(max_age_ms: int) -> None:
            taken = await client.call("take_snapshot", device=device, max_age_ms=max_age_ms)
            at = urlsplit(taken["download_url"])
            await anyio.to_thread.run_sync(pictures.get, f"{at.path}?{at.query}")

        await get(0)  # from here on the camera streams
        await anyio.sleep(2)
        newest = "agent, the newest: take_snapshot, and GET of its file on a kept connection"
        newest_ms = await repeated(newest, rounds, lambda: get(1000))
        fresh_ms = await repeated("agent, exposed after the call: the same", rounds, lambda: get(0))
        pictures.close()
    return newest_ms, fresh_ms


async def first_camera(client: AgentClient) -> str:
    with anyio.fail_after(60):
        while True:
            for camera in (await client.call("get_camera_list"))["cameras"]:
                if camera["status"] == "CONNECTED":
                    return str(camera["device"])
            await anyio.sleep(0.1)


async def warm(node: Path, rounds: int) -> None:
    """Print times until the client has the whole JPEG file, from the agent and from ustreamer."""
    print("one picture from a camera that streams, at the client")
    newest_ms, fresh_ms = await agent_ms(rounds)
    async with captured(node, FORMATS) as camera:
        with camera.broker.demand():
            await camera.frames(10)
            await repeated(
                "of which the broker, the newest (a call inside the process)",
                rounds,
                lambda: camera.broker.fresh(time.monotonic() - 1),
            )
            await repeated("of which the broker, exposed after the call", rounds, camera.fresh)
    other_ms = await ustreamer_ms(node, rounds)
    print(
        f"  newest / ustreamer: {newest_ms / other_ms:.2f}"
        f"   exposed after the call / ustreamer: {fresh_ms / other_ms:.2f}"
    )


async def cpu(node: Path) -> None:
    print("processor time of one frame in this process (system calls, checks, ring; no other readers)")
    for settings in (CaptureSettings(pixel_format="MJPG"), CaptureSettings(pixel_format="YUYV")):
        async with captured(node, FORMATS, settings) as camera:
            with camera.broker.demand():
                await camera.frames(10)
                frames, began_s, cpu_s = camera.broker.stats.frames, time.monotonic(), time.process_time()
                await anyio.sleep(5)
                frames, took_s = camera.broker.stats.frames - frames, time.monotonic() - began_s
                cpu_s = time.process_time() - cpu_s
                print(
                    f"  {settings.pixel_format}: {cpu_s / max(frames, 1) * 1000:.2f} ms per frame,"
                    f" {cpu_s / took_s:.1%} of a core at {frames / took_s:.1f} frames per second;"
                    f" not used: {camera.dropped or 'none'}"
                )


async def main(rounds: int) -> None:
    async with Root.connected() as root:
        camera = Webcam(LAYOUT, root)
        await camera.plug()
        await cold(camera.node, rounds)
        await warm(camera.node, rounds)
        await cpu(camera.node)
        await camera.unplug()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 9)
