"""Stills of cameras with H.264 or H.265 of their own, in one run: tiers 0 and 1, and a bare FFmpeg at the same socket.

scripts/bench coded [rounds]

A client keeps the cameras running, so that no number has their start. Each way is asked in turns for a picture exposed
after the call, which takes half a frame interval and the camera's own coding in any case; then for one of any age.
"""

import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from agent_core.plugin import Camera, CameraId, CaptureRequest, FrameSocket, SnapshotTier, ffmpeg
from agent_core.testing import RunningAgent, SystemClock, running_agent
from bench.tiers_rig import component, rss_mb, worker_of

FPS, SIZE = 25, (1280, 720)
CAMERAS = [("h264", 0.5), ("h264", 2.0), ("h264", 10.0), ("h265", 2.0)]
LIMIT_S = 60.0
PLUGINS = {
    "enabled": ["virtual_camera", "ffmpeg_tier"],
    "virtual_camera": {
        "cameras": [
            {
                "name": f"{codec}, a key frame every {interval_s:g} s",
                "id": f"camera{number}",
                "codec": codec,
                "key_interval_s": interval_s,
                "width": SIZE[0],
                "height": SIZE[1],
                "fps": FPS,
            }
            for number, (codec, interval_s) in enumerate(CAMERAS)
        ]
    },
}
#: FFmpeg's fastest way to the first picture of a frame socket.
BEST = ("-probesize", "32", "-fpsprobesize", "0", "-thread_type", "slice", "-flags", "low_delay")


async def timed_ms(work: Callable[[], Awaitable[object]]) -> float:
    began_s = time.perf_counter()
    await work()
    return (time.perf_counter() - began_s) * 1000


async def by_tier(tier: SnapshotTier, camera: Camera, max_age_s: float) -> None:
    now_s = time.monotonic()
    await tier.capture(camera, CaptureRequest(now_s - max_age_s, now_s + LIMIT_S))


async def by_ffmpeg(socket: FrameSocket, *, is_new: bool) -> None:
    """Run FFmpeg for the first picture that comes, or for the first one of its own time after the start."""
    passed = (
        ("-copyts", "-vf", rf"select=gte(t\,{time.monotonic():.6f})*gt(t-prev_t\,0.001)") if is_new else ()
    )
    opened = (*BEST, "-f", "matroska", "-i", f"unix:{socket.path}")
    await anyio.run_process(
        [ffmpeg.locate(), *ffmpeg.QUIET, *opened, "-frames:v", "1", *passed, "-f", "mjpeg", "pipe:1"]
    )


async def watch(socket: FrameSocket) -> None:
    async with await anyio.connect_unix(socket.path) as client:
        while True:
            await client.receive()


async def measured(ways: dict[str, Callable[[], Awaitable[object]]], rounds: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, way in ways.items():
            took = await timed_ms(way)
            taken[name] += [took] if number > 1 else []  # the first two fill caches and open the reader
    bare_ms = statistics.median(taken["bare FFmpeg"])
    for name, values in taken.items():
        median = statistics.median(values)
        print(
            f"    {name:28} {median:8.1f} ms  (min {min(values):7.1f}, max {max(values):7.1f})"
            f"  {bare_ms / median:7.1f} times faster"
        )


async def compare(agent: RunningAgent, camera: Camera, rounds: int) -> None:
    socket = camera.media_input
    assert isinstance(socket, FrameSocket)
    ffmpeg_tier = next(each for each in agent.parts.snapshots.tiers if each.rank == 1)
    kept, single = component(agent), component(agent, resident_readers=0)
    async with anyio.create_task_group() as tasks:
        for each in (kept, single):
            await tasks.start(each.run)
        tasks.start_soon(watch, socket)
        await anyio.sleep(3)
        print(f"{camera.name}, {SIZE[0]}x{SIZE[1]}, {FPS} frames per second; medians of {rounds}")
        for words, max_age_s in (("exposed after the call", 0.0), ("of any age", LIMIT_S)):
            print(f"  {words}")
            ways: dict[str, Callable[[], Awaitable[object]]] = {
                "tier 0, open reader": partial(by_tier, kept.decoded, camera, max_age_s),
                "tier 0, reader of its own": partial(by_tier, single.decoded, camera, max_age_s),
                "bare FFmpeg": partial(by_ffmpeg, socket, is_new=max_age_s == 0),
            }
            if max_age_s == 0:  # tier 1 knows no other
                ways["tier 1, FFmpeg"] = partial(by_tier, ffmpeg_tier, camera, max_age_s)
            await measured(ways, rounds)
        print(f"  workers: {', '.join(f'{rss_mb(pid):.0f} MB' for pid in worker_of())}")
        tasks.cancel_scope.cancel()


async def main(rounds: int) -> None:
    async with running_agent(config={"plugins": PLUGINS}, clock=SystemClock()) as agent:
        for number in range(len(CAMERAS)):
            await compare(agent, agent.parts.cameras.get(CameraId(f"camera{number}")), rounds)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 7)
