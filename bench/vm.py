"""A picture from a webcam: ours against v4l2-ctl, FFmpeg and ustreamer, in the virtual machine; ratios of one run.

tests/vm/run -- python3 bench/vm.py [rounds]

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


async def median_ms(rounds: int, work: Callable[[], Awaitable[object]]) -> float:
    times = [await timed_ms(work) for _ in range(rounds)]
    print(f"      {', '.join(f'{each:.1f}' for each in times)} ms")
    return statistics.median(times)


def program(*argv: str) -> Callable[[], Awaitable[object]]:
    async def run() -> None:
        await anyio.run_process(argv)

    return run


async def until_cold(camera: Captured) -> None:
    while camera.broker.state.value != "cold":
        await anyio.sleep(0.01)


async def ours_cold_ms(node: Path, rounds: int) -> float:
    times = []
    async with captured(node, FORMATS, COLD) as camera:
        await camera.fresh()  # imports, and the format is set
        for _ in range(rounds):
            await until_cold(camera)
            sequence = camera.broker.stats.frames
            times.append(await timed_ms(lambda after=sequence: camera.broker.after(after)))  # type: ignore[misc]
    print(f"      {', '.join(f'{each:.1f}' for each in times)} ms")
    return statistics.median(times)


async def cold(node: Path, rounds: int) -> None:
    print("one picture from a camera at rest, MJPG 640x480 at 30 frames per second")
    print("  ours: open to first frame")
    ours = await ours_cold_ms(node, rounds)
    print("  v4l2-ctl --stream-mmap --stream-count=1, whole process")
    whole = await median_ms(
        rounds,
        program("v4l2-ctl", "-d", str(node), "--stream-mmap", "--stream-count=1", "--stream-to=/dev/null"),
    )
    print("  v4l2-ctl --version: its process start")
    start = await median_ms(rounds, program("v4l2-ctl", "--version"))
    print("  ffmpeg -f v4l2 -frames:v 1 -c copy, whole process")
    argv = ["ffmpeg", "-v", "error", "-f", "v4l2", "-input_format", "mjpeg", "-video_size", "640x480"]
    argv += [
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
    ffmpeg = await median_ms(rounds, program(*argv))
    print(
        f"  ours / (v4l2-ctl without its process start): {ours / max(whole - start, 0.1):.2f}   aim: 1.2 or less"
    )
    print(f"  ffmpeg / ours: {ffmpeg / ours:.1f}   aim: 2 or more")


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
            print("  ustreamer, GET /snapshot on a kept connection (the next frame)")

            async def get() -> None:
                await anyio.to_thread.run_sync(http_snapshot, connection)

            return await median_ms(rounds, get)
        finally:
            process.kill()


async def warm(node: Path, rounds: int) -> None:
    print("one picture from a camera that streams")
    async with captured(node, FORMATS) as camera:
        with camera.broker.demand():
            await camera.frames(10)
            print("  ours: the newest (ring)")
            newest = await median_ms(rounds, lambda: camera.broker.fresh(time.monotonic() - 1))
            print("  ours: exposed after the call")
            fresh = await median_ms(rounds, camera.fresh)
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
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 7)
