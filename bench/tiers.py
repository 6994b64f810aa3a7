"""Snapshot tiers in one run, compared with FFmpeg at its best: medians and ratios.

scripts/bench tiers [embedded|mediamtx] [rounds]

One table is of one live stream of 1280x720; a second one is of streams with groups of 8, 50 and 100 pictures in H.264
and H.265. Then come tier 3 beside the publisher's own start, the worker's memory, and the cost of an open reader.
"""

import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import CaptureFailed, CaptureRequest, SnapshotTier
from agent_core.plugin.processes import child
from bench.agents import cpu_s
from bench.tiers_rig import FPS, Rig, published, rss_mb, running_rig, worker_of
from rtsp_tier.component import RtspTierComponent

LIMIT_S = 30.0
GROUPS = (8, 50, 100)
#: The worker decodes along for some seconds after the last request.
FORGET_S = 4.5
IDLE_S = 10.0


async def timed_ms(work: Callable[[], Awaitable[object]]) -> float:
    began_s = time.perf_counter()
    await work()
    return (time.perf_counter() - began_s) * 1000


def request(max_age_s: float) -> CaptureRequest:
    now_s = time.monotonic()
    return CaptureRequest(now_s - max_age_s, now_s + LIMIT_S)


def row(name: str, values: list[float], best_ms: float, note: str = "") -> None:
    median = statistics.median(values)
    print(
        f"  {name:34} {median:8.1f} ms  (min {min(values):7.1f}, max {max(values):7.1f})"
        f"  {best_ms / median:7.1f} times faster{note}"
    )


async def run(argv: list[str]) -> None:
    await anyio.run_process(argv)  # what it says of pictures without their key frame is not shown


async def capture(rig: Rig, tier: SnapshotTier, max_age_s: float) -> None:
    await tier.capture(rig.camera, request(max_age_s))


async def take_once(rig: Rig, name: str) -> None:
    await rig.tiers.decoder.take_once(rig.stream(name), request(60))


async def one_stream(rig: Rig, kept: RtspTierComponent, rounds: int) -> None:
    """Print tiers 0 to 2 and FFmpeg, asked in turns of one stream that is live."""
    tiers: dict[str, tuple[SnapshotTier, float]] = {
        "tier 0, ring": (next(each for each in rig.agent.parts.snapshots.tiers if each.rank == 0), 1.0),
        "tier 1, FFmpeg": (next(each for each in rig.agent.parts.snapshots.tiers if each.rank == 1), 1.0),
        "tier 2, resident": (kept.reuse, 2.0),
        "tier 2, one-shot": (rig.tiers.reuse, 2.0),
    }
    argv = rig.ffmpeg_argv("camera0", "-frames:v", "1", "-f", "mjpeg", "pipe:1")
    taken: dict[str, list[float]] = {name: [] for name in (*tiers, "FFmpeg at its best")}
    async with rig.agent.parts.media.lender.lease(rig.camera.id, "bench"):
        for number in range(rounds + 2):
            for name, (tier, age_s) in tiers.items():
                took = await timed_ms(partial(capture, rig, tier, age_s))
                taken[name] += [took] if number > 1 else []  # the first two fill caches and open the reader
            took = await timed_ms(partial(run, argv))
            taken["FFmpeg at its best"] += [took] if number > 1 else []
    best_ms = statistics.median(taken["FFmpeg at its best"])
    print(
        f"one stream of 1280x720, H.264, {FPS} frames per second, a key frame every 0.5 s; medians of {rounds}"
    )
    for name, values in taken.items():
        row(name, values, best_ms, "  (aim: 10 times, < 60 ms)" if name == "tier 2, resident" else "")


async def resident(rig: Rig, name: str, rounds: int, max_age_s: float, pause_s: float) -> list[float]:
    reader = rig.tiers.decoder.open_reader(rig.stream(name), lambda: None)
    values: list[float] = []
    for number in range(rounds + 2):
        took = await timed_ms(lambda: rig.tiers.decoder.take_resident(reader, request(max_age_s)))
        values += [took] if number > 1 else []
        await anyio.sleep(pause_s)
    rig.tiers.decoder.close_reader(reader)
    return values


async def at_random(calls: list[Callable[[], Awaitable[object]]], group_s: float) -> list[float]:
    """Time calls that begin anywhere in a group. One after the other, each would wait for a whole group."""
    values: list[float] = []
    for call in calls:
        await anyio.sleep(random.uniform(0, group_s))  # noqa: S311 - no secret
        values.append(await timed_ms(call))
    return values


async def groups(rig: Rig, rounds: int) -> None:
    """Print the readers and FFmpeg for each length of groups. Freshness counts from the arrival."""
    print(f"groups of pictures, 1280x720, {FPS} frames per second; medians of {rounds}")
    for codec in ("h264", "h265"):
        for group in GROUPS:
            name, seconds = f"{codec}-{group}", group / FPS
            print(f"  {codec}, groups of {group} ({seconds:.1f} s)")
            async with published(rig, name, codec, group):
                await anyio.sleep(seconds)
                argv = rig.ffmpeg_argv(name, "-frames:v", "1", "-f", "mjpeg", "pipe:1")
                best = await at_random([partial(run, argv)] * rounds, seconds)
                best_ms = statistics.median(best)
                row("  FFmpeg at its best", best, best_ms, "  (not a key frame)" if codec == "h265" else "")
                once = await at_random([partial(take_once, rig, name)] * rounds, seconds)
                row("  one-shot", once, best_ms, f"  (aim: < {seconds * 1000 + 100:.0f} ms)")
                old = await resident(rig, name, rounds, 60, 0.2)
                row("  resident, any age", old, best_ms)
                followed = await resident(rig, name, rounds, 0.7, 0.5)
                row("  resident, 0.2 s, asked often", followed, best_ms)
                cold = await resident(rig, name, min(rounds, 3), 0.7, FORGET_S)
                row("  resident, 0.2 s, asked seldom", cold, best_ms)


async def activation(rig: Rig, rounds: int) -> None:
    """Print tier 3 from a stream that is not live, in turns with the publisher's own start. The camera runs."""
    frames = rig.camera.frames
    assert frames is not None

    async def keep_on() -> None:
        while True:
            await frames.fresh(time.monotonic())

    ours: list[float] = []
    bare: list[float] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_on)
        for number in range(rounds + 1):
            await rig.wait_live("camera0", live=False)
            took = await timed_ms(lambda: rig.tiers.activation.capture(rig.camera, request(5)))
            alone = await start_ms(rig)
            ours, bare = ([*ours, took], [*bare, alone]) if number else (ours, bare)
        tasks.cancel_scope.cancel()
    difference = statistics.median(ours) - statistics.median(bare)
    print(f"tier 3, stream not live before; medians of {rounds}")
    print(
        f"  tier 3 {statistics.median(ours):.0f} ms, publisher's start until its stream is live {statistics.median(bare):.0f} ms:"
    )
    print(
        f"  {difference:+.0f} ms, ratio {statistics.median(ours) / statistics.median(bare):.2f} (aim: + 50 ms)"
    )


async def start_ms(rig: Rig) -> float:
    """Return the time from the start of the camera's publisher until its stream is live, key frame included."""
    publisher = rig.agent.parts.media.paths.plan.command(rig.camera)
    assert publisher is not None
    name = "bench-start"
    await rig.api.add_path(name, PathConf(source="publisher"))
    began_s = time.perf_counter()
    async with child([*publisher.argv, f"{rig.server.rtsp_url}/{name}"]):
        await rig.wait_live(name)
        took_s = time.perf_counter() - began_s
    await rig.api.delete_path(name)
    return took_s * 1000


async def memory(rig: Rig) -> None:
    """Print the worker's memory after 20 and after 100 pictures of each kind, in a new worker."""
    async with published(rig, "memory", "h264", 12):
        stream = rig.stream("memory")
        reader = rig.tiers.decoder.open_reader(stream, lambda: None)
        seen: list[float] = []
        (pid,) = await new_worker(rig)
        for number in range(1, 101):
            await rig.tiers.decoder.take_resident(reader, request(60))
            await rig.tiers.decoder.take_once(stream, request(60))
            if number in {20, 100}:
                seen.append(rss_mb(pid))
        rig.tiers.decoder.close_reader(reader)
    print(
        f"worker's memory: {seen[0]:.1f} MB after 20 pictures of each kind, {seen[1]:.1f} MB after 100:"
        f" {seen[1] / seen[0] - 1:+.1%} (aim: 5 %)"
    )


async def new_worker(rig: Rig) -> list[int]:
    """Let the client replace its worker, and return the new one, which has served one request."""
    others = set(worker_of())
    for pid in others:
        os.kill(pid, signal.SIGKILL)
    while not (found := [pid for pid in worker_of() if pid not in others]):
        try:
            await rig.tiers.decoder.take_once(rig.stream("memory"), request(60))
        except CaptureFailed:
            await anyio.sleep(0.1)
    return found


async def open_reader(rig: Rig) -> None:
    """Print the CPU of an open reader that nothing is asked, and of FFmpeg decoding the same stream meanwhile."""
    (pid,) = worker_of()[:1]
    async with published(rig, "idle", "h264", 12, noise=3):
        reader = rig.tiers.decoder.open_reader(rig.stream("idle"), lambda: None)
        await rig.tiers.decoder.take_resident(reader, request(60))
        await anyio.sleep(FORGET_S)
        async with child(rig.ffmpeg_argv("idle", "-f", "null", "-")) as decoder:
            await anyio.sleep(1)
            before = cpu_s(pid), cpu_s(decoder.pid)
            await anyio.sleep(IDLE_S)
            ours, theirs = cpu_s(pid) - before[0], cpu_s(decoder.pid) - before[1]
        rig.tiers.decoder.close_reader(reader)
    print(
        f"open reader, idle: {ours / IDLE_S:.2%} of a core (aim: 1 %), decoding the same stream {theirs / IDLE_S:.2%}:"
        f" {ours / theirs:.0%} (aim: 25 %)"
    )


async def main(kind: str, rounds: int) -> None:
    with TemporaryDirectory() as folder:
        async with running_rig(kind, Path(folder)) as rig:
            print(f"media server: {kind}")
            async with rig.keeping() as kept:
                await one_stream(rig, kept, rounds)
            await activation(rig, rounds)
            await groups(rig, rounds)
            await memory(rig)
            await open_reader(rig)


if __name__ == "__main__":
    words = sys.argv[1:]
    anyio.run(main, words[0] if words else "embedded", int(words[1]) if len(words) > 1 else 7)
