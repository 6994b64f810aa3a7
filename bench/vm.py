"""A picture from a webcam: ours against v4l2-ctl, FFmpeg and ustreamer, in the virtual machine; ratios of one run.

tests/vm/run -- python3 -m bench.vm [rounds]

The machine's processor is emulated (about eight times slower than the host's), the webcam simulated behind the real
`uvcvideo`: only the ratios mean something, and those of one run only.
"""

import http.client
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread

from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import Root, Webcam
from tests.vm.guest.captured import Captured, captured, offered
from v4l2_tier.settings import CaptureSettings

SIZE = FrameSize(640, 480, (30,))
LAYOUT = Layout(mjpeg=(SIZE,), yuyv=(SIZE,))
FORMATS = offered(LAYOUT)
COLD = CaptureSettings(warm_ttl_s=0, parked_ttl_s=0)
PORT = 8097


async def timed_ms(work: Callable[[], Awaitable[object]]) -> float:
    started_s = time.perf_counter()
    await work()
    return (time.perf_counter() - started_s) * 1000


def told(name: str, times: list[float]) -> float:
    """Print and return the least: what disturbs this machine only ever adds."""
    print(f"  {min(times):8.1f} ms  {name}  (median {statistics.median(times):.1f}, most {max(times):.1f})")
    return min(times)


async def repeated(name: str, rounds: int, work: Callable[[], Awaitable[object]]) -> float:
    return told(name, [await timed_ms(work) for _ in range(rounds)])


async def ours_cold_ms(camera: Captured) -> float:
    while camera.broker.state.value != "cold":
        await anyio.sleep(0.01)
    sequence = camera.broker.stats.frames
    took_ms = await timed_ms(lambda: camera.broker.after(sequence))
    while camera.broker.state.value != "cold":  # nobody else may have it open now
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
        await ours_cold_ms(camera)  # imports, and the format is set
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


def http_snapshot(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/snapshot")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read(2) == b"\xff\xd8"
    answer.read()


async def ustreamer_ms(node: Path, rounds: int) -> float:
    argv = ["ustreamer", "--device", str(node), "--format=MJPEG", "--resolution=640x480", "--desired-fps=30"]
    argv += ["--host=127.0.0.1", f"--port={PORT}", "--encoder=HW", "--log-level=0"]
    async with await anyio.open_process(argv) as process:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
            with anyio.fail_after(60):
                while True:
                    try:
                        await anyio.to_thread.run_sync(http_snapshot, connection)
                        break
                    except (OSError, AssertionError, http.client.HTTPException):
                        connection.close()
                        await anyio.sleep(0.1)
            await anyio.sleep(2)

            async def get() -> None:
                await anyio.to_thread.run_sync(http_snapshot, connection)

            return await repeated("ustreamer, GET /snapshot on a kept connection", rounds, get)
        finally:
            process.kill()


async def warm(node: Path, rounds: int) -> None:
    print("one picture from a camera that streams")
    async with captured(node, FORMATS) as camera:
        with camera.broker.demand():
            await camera.frames(10)
            newest = await repeated(
                "ours, the newest", rounds, lambda: camera.broker.fresh(time.monotonic() - 1)
            )
            fresh = await repeated("ours, exposed after the call", rounds, camera.fresh)
    other = await ustreamer_ms(node, rounds)
    print(
        f"  newest / ustreamer: {newest / other:.3f}   exposed after the call / ustreamer: {fresh / other:.2f}"
    )


async def cpu(node: Path) -> None:
    print("processor time of one frame in this process (system calls, checks, ring; nobody else looks)")
    for settings in (CaptureSettings(pixel_format="MJPG"), CaptureSettings(pixel_format="YUYV")):
        async with captured(node, FORMATS, settings) as camera:
            with camera.broker.demand():
                await camera.frames(10)
                frames, began_s, cpu_s = camera.broker.stats.frames, time.monotonic(), time.process_time()
                await anyio.sleep(5)
                frames, took_s = camera.broker.stats.frames - frames, time.monotonic() - began_s
                cpu_s = time.process_time() - cpu_s
                print(
                    f"  {settings.pixel_format}: {cpu_s / max(frames, 1) * 1000:.2f} ms a frame,"
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
