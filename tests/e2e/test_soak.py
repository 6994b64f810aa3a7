"""Many cameras used at random while things break at random: afterwards everything is as it should be.

`SOAK_S` is how long, in seconds (60; an hour before a release), `SOAK_SEED` which random numbers; the seed is printed.
It runs alone, because twenty cameras take the processors that other tests measure with; on both servers with
`SOAK_S=3600 make test-release`.
"""

import os
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_core.app.machine import keep_memory_compact
from agent_core.base.models import CameraId
from agent_core.mediamtx.client import MediaServerClient
from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import run
from agent_core.testing.mediamtx import find_mediamtx
from agent_core.testing.waiting import eventually

from .media import Rig, media_rig
from .soak import Chaos, KillableServer, Tally, logged_to, processes_with, publishers_at, sample_rss, use

SOAK_S = float(os.environ.get("SOAK_S", "60"))
LONG_S = 600.0
#: Paths that nobody uses are compared every 10 s; a loaded machine gets some more.
SETTLE_LIMIT_S = 45.0

QUICK: dict[str, Any] = {
    "recordings": {"stall_s": 3, "start_timeout_s": 8},
    "media_server": {"start_timeout_s": 5, "close_after_s": 2},
    "auth": {"calls_per_s": 1000, "calls_burst": 2000},
}
CAMERAS = 20
RUNS = [
    pytest.param("embedded", id="embedded"),
    pytest.param("mediamtx", id="mediamtx", marks=[pytest.mark.release, pytest.mark.real_mediamtx]),
]


def camera(number: int) -> dict[str, Any]:
    return {"name": f"Camera {number}", "id": f"camera{number}", "width": 160, "height": 120, "fps": 5}


# An hour leaves thousands of files to play.
@pytest.mark.timeout(2 * SOAK_S + 400)
@pytest.mark.alone
@pytest.mark.parametrize("kind", RUNS)
async def test_soak(kind: str, tmp_path: Path, observe: Callable[[str], None]) -> None:
    if kind == "mediamtx" and find_mediamtx() is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    seed = int(os.environ.get("SOAK_SEED", random.randrange(1 << 32)))
    say(f"soak of {CAMERAS} cameras on {kind}: SOAK_SEED={seed} SOAK_S={SOAK_S:g}")
    assert keep_memory_compact()  # as `camera-agent run` does; here the agent is in this process
    soak = Soak(CAMERAS, seed, KillableServer(kind, tmp_path / "media_server"))
    with logged_to(tmp_path / "agent.log"):
        async with soak.server.running():
            configured = tuple(map(camera, range(CAMERAS)))
            server = soak.server.server
            async with media_rig(kind, tmp_path, observe, cameras=configured, server=server, **QUICK) as rig:
                own = str(rig.agent.folder)
                await through(soak, rig)
            await eventually(lambda: nobody(lambda: processes_with(own)), timeout_s=20)
    assert not publishers_at(soak.server.rtsp_port)
    await all_play(tmp_path / "recordings", soak.tally)
    memory(soak.rss)


@dataclass
class Soak:
    """One run; `rss` are bytes of this process, in which the agent is, at equal intervals."""

    cameras: int
    seed: int
    server: KillableServer
    tally: Tally = field(default_factory=Tally)
    rss: list[int] = field(default_factory=list)

    @property
    def devices(self) -> list[str]:
        return [f"camera{number}" for number in range(self.cameras)]


async def through(soak: Soak, rig: Rig) -> None:
    await break_and_use(soak, rig)
    tally = soak.tally
    say(f"actions {dict(tally.actions)}; faults {dict(tally.faults)}; failures {dict(tally.failures)}")
    await settled(rig, soak.server.server.api_url)
    await end_all(soak, rig)
    await settled(rig, soak.server.server.api_url)
    await no_leaks(rig, soak.server)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


async def break_and_use(soak: Soak, rig: Rig) -> None:
    chaos = Chaos(rig, soak.server, soak.devices, random.Random(soak.seed), soak.tally)
    with anyio.move_on_after(SOAK_S):
        async with anyio.create_task_group() as tg:
            tg.start_soon(chaos.run)
            tg.start_soon(sample_rss, soak.rss, SOAK_S / 120)
            for number, device in enumerate(soak.devices):
                tg.start_soon(use, rig, device, random.Random(soak.seed + number + 1), soak.tally)
    await soak.server.restore()
    await chaos.mend()


async def settled(rig: Rig, api_url: str) -> None:
    """Wait until the server's configuration is what the agent wants, and every recording records."""
    differences: list[str] = []
    with anyio.move_on_after(SETTLE_LIMIT_S):
        async with MediaServerClient(api_url) as client:
            while True:
                differences = await compared(rig, client)
                if not differences:
                    return
                await anyio.sleep(0.2)
    raise AssertionError(f"not as it should be: {differences}")


async def compared(rig: Rig, client: MediaServerClient) -> list[str]:
    media = rig.agent.parts.media
    configured = {CameraId(conf.name): conf for conf in await client.list_path_configs()}
    wanted = media.paths.ensured
    found = [f"{name} is not ours" for name in configured.keys() - wanted]
    found += [f"{name} is missing" for name in wanted - configured.keys()]
    for name in wanted & configured.keys():
        active, conf = media.recordings.active(name), configured[name]
        if conf.record is not (active is not None):
            found.append(f"{name}: record is {conf.record}")
        if active and active.note.id not in (conf.record_path or ""):
            found.append(f"{name}: records to {conf.record_path}")
        if active and active.state.value != "RECORDING":
            found.append(f"{name}: {active.state.value} {active.problem and active.problem.details}")
    return found


async def end_all(soak: Soak, rig: Rig) -> None:
    media = rig.agent.parts.media
    for device in soak.devices:
        if media.recordings.active(CameraId(device)):
            await rig.call("stop_recording", device)
    while held := media.streams.held:
        for device in held:
            await rig.call("stop_streaming", device)


async def nobody(look: Callable[[], list[int]]) -> bool:
    return not look()


async def no_leaks(rig: Rig, server: KillableServer) -> None:
    media = rig.agent.parts.media
    assert media.link.current is not None
    # No one can see a lock from outside; one that is left would show only when its path hangs.
    locks = (media.link.current.paths._locks, media.recordings.locks)
    await eventually(lambda: nobody(lambda: [len(each) for each in locks if len(each)]), timeout_s=20)
    assert not media.streams.held
    await eventually(lambda: nobody(lambda: publishers_at(server.rtsp_port)), timeout_s=20)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:

        async def no_session() -> bool:
            answer = await http.get(f"{server.server.api_url}/v3/rtspsessions/list")
            return bool(answer.json()["items"] == [])

        await eventually(no_session, timeout_s=10)


async def all_play(folder: Path, tally: Tally) -> None:
    """Every file plays to its end; one that a killed server was writing may be torn there."""
    files = sorted(each for each in folder.rglob("*") if each.suffix in {".mp4", ".ts"})
    assert files
    torn = 0
    for file in files:
        written_s = file.stat().st_mtime
        may_be_torn = any(abs(written_s - killed_s) < 5 for killed_s in tally.kills_s)
        strict = () if may_be_torn else ("-xerror",)
        words = [ffmpeg.locate(), "-v", "error", *strict, "-i", str(file), "-f", "framehash", "-"]
        finished = await run(words)
        frames = [line for line in finished.stdout.splitlines() if line and not line.startswith(b"#")]
        assert finished.returncode == 0, (file, finished.stderr)
        assert frames, (file, finished.stderr)
        torn += bool(finished.stderr)
    say(f"{len(files)} files play, {torn} with a torn end, {len(tally.kills_s)} kills of the server")


def memory(rss: list[int]) -> None:
    third = len(rss) // 3
    first, last = statistics.median(rss[:third]), statistics.median(rss[-third:])
    say("RSS in MiB: " + " ".join(f"{each / 2**20:.1f}" for each in rss))
    say(f"RSS of the first third {first / 2**20:.1f} MiB, of the last {last / 2**20:.1f} MiB")
    if SOAK_S >= LONG_S:
        assert last <= 1.05 * first
