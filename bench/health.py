"""Time of get_status while the media server hangs, and time until paths are restored after its restart.

    MEDIAMTX_BIN=... scripts/bench health

One run compares get_status with a ping, and the repair with the server's own start-up.
"""

import signal
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from agent_core.client import AgentClient, CallFailed
from agent_core.mediamtx.client import MediaServerClient
from agent_core.plugin.processes import child
from agent_core.testing import running_agent
from agent_core.testing.mediamtx import MediaServerUnderTest, find_mediamtx, running_mediamtx
from agent_core.testing.waiting import eventually

CALLS = 200


async def median_ms(work: Callable[[], Awaitable[object]]) -> float:
    taken = []
    for _ in range(CALLS):
        began_s = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(taken)


async def while_it_hangs(client: AgentClient, server: MediaServerUnderTest) -> None:
    server.signal(signal.SIGSTOP)
    try:
        with anyio.fail_after(60):
            while (await client.call("get_status"))["status"] != "UNHEALTHY":
                await anyio.sleep(0.1)
        status_ms = await median_ms(lambda: client.call("get_status"))
        ping_ms = await median_ms(lambda: client.call("ping"))
    finally:
        server.signal(signal.SIGCONT)
    print(
        f"get_status while the media server hangs: {status_ms:.2f} ms (aim < 30), {status_ms / ping_ms:.1f} pings"
    )


async def is_there(server: MediaServerClient) -> bool:
    try:
        return await server.path_config("camera0") is not None
    except Exception:  # noqa: BLE001 - it is restarting
        return False


async def answers(server: MediaServerClient) -> bool:
    try:
        return bool(await server.info())
    except Exception:  # noqa: BLE001 - it is restarting
        return False


async def after_a_restart(
    client: AgentClient, server: MediaServerUnderTest, program: str, folder: Path
) -> None:
    """Restart the server, which loses the path of a held stream; print the time from its new start to the repair."""
    await client.call("start_streaming", device="camera0")
    server.signal(signal.SIGKILL)
    await server.process.wait()
    config = next(folder.glob("*.yml"))
    began_s = time.perf_counter()
    quiet = subprocess.DEVNULL
    async with (
        child([program, str(config)], cwd=folder, stdout=quiet, stderr=quiet),
        MediaServerClient(server.api_url) as other,
    ):
        await eventually(lambda: answers(other), timeout_s=30)
        up_s = time.perf_counter() - began_s
        await eventually(lambda: is_there(other), timeout_s=30)
        back_s = time.perf_counter() - began_s
    print(
        f"path back {back_s - up_s:.2f} s after the API answers (aim < 2); its own start-up took {up_s:.2f} s"
    )


async def compare() -> None:
    program = find_mediamtx()
    if program is None:
        print("MediaMTX not found: set MEDIAMTX_BIN, or put mediamtx on PATH")
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        async with running_mediamtx(program, folder) as server:
            config = {
                "plugins": {
                    "enabled": ["virtual_camera", "ffmpeg_tier"],
                    "virtual_camera": {"cameras": [{"name": "Bench", "id": "camera0"}]},
                },
                "auth": {"calls_per_s": 1e6, "calls_burst": 1_000_000},
                "media_server": {"mode": "external", "api_url": server.api_url, "rtsp_url": server.rtsp_url},
            }
            async with running_agent(config=config) as agent, agent.client("admin") as client:
                try:
                    await while_it_hangs(client, server)
                    await anyio.sleep(3)
                    await after_a_restart(client, server, program, folder)
                except CallFailed as error:
                    print(error.details)


if __name__ == "__main__":
    anyio.run(compare)
