"""Tier 0 from the ring compared with a ping, tier 1 with the same FFmpeg command run directly; ratios of one run.

scripts/bench snapshot [rounds]
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core import plugin as api
from agent_core.client import AgentClient
from agent_core.plugin import ffmpeg
from agent_core.testing import running_agent

INPUT = ("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30")


class Source(api.CameraSource):
    """Camera from which only FFmpeg can take pictures."""

    name = "bench"

    async def watch(
        self, report: api.CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        media = api.FfmpegInput(INPUT)
        report.connected(api.DetectedCamera("1", "Tier 1", api.Fingerprint(self.name, "1"), media))
        task_status.started()
        await anyio.sleep_forever()


class BenchPlugin(api.Plugin[api.Settings]):
    @api.hookimpl
    def agent_camera_sources(self) -> Iterable[api.CameraSource]:
        return [Source()]


async def timed_ms(work: Callable[[], Awaitable[object]]) -> float:
    started_s = time.perf_counter()
    await work()
    return (time.perf_counter() - started_s) * 1000


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}  (min {min(values):.2f}, max {max(values):.2f})"


async def tier_0(client: AgentClient, rounds: int) -> None:
    async def snapshot() -> None:
        taken = await client.call("take_snapshot", device="camera0", max_age_ms=1000)
        assert taken["tier_used"] == 0

    await snapshot()
    ratios = [
        await timed_ms(snapshot) / await timed_ms(lambda: client.call("ping")) for _ in range(rounds * 5)
    ]
    print(f"tier 0 from the ring, stored on disk / ping: ratio {spread(ratios)}")


async def tier_1(client: AgentClient, rounds: int) -> None:
    program = ffmpeg.locate()
    argv = [
        program,
        *ffmpeg.QUIET,
        *INPUT,
        "-frames:v",
        "1",
        "-c:v",
        "mjpeg",
        "-q:v",
        "3",
        "-f",
        "image2pipe",
        "pipe:1",
    ]

    async def direct() -> None:
        await anyio.run_process(argv, stdin=subprocess.DEVNULL)

    async def snapshot() -> None:
        taken = await client.call("take_snapshot", device="camera100", max_age_ms=1000)
        assert taken["tier_used"] == 1

    await snapshot()
    pairs = [(await timed_ms(snapshot), await timed_ms(direct)) for _ in range(rounds)]
    print(f"tier 1 / FFmpeg run directly: ratio {spread([ours / bare for ours, bare in pairs])}")
    difference = statistics.median(ours for ours, _ in pairs) - statistics.median(bare for _, bare in pairs)
    print(f"tier 1 minus FFmpeg, medians of one run: {difference:.1f} ms (aim <= 10)")


async def compare(rounds: int) -> None:
    config = {
        "plugins": {
            "enabled": ["virtual_camera", "ffmpeg_tier"],
            "virtual_camera": {
                "cameras": [{"name": "Tier 0", "id": "camera0", "width": 1280, "height": 720}]
            },
        }
    }
    async with (
        running_agent(plugins={"bench": BenchPlugin}, config=config) as agent,
        agent.client() as client,
    ):
        await tier_0(client, rounds)
        await anyio.sleep(12)  # until the virtual camera is cold and its FFmpeg does not compete with tier 1
        await tier_1(client, rounds)


if __name__ == "__main__":
    anyio.run(compare, int(sys.argv[1]) if len(sys.argv) > 1 else 20)
