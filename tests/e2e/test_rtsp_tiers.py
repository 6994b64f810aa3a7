"""Tiers 2 and 3 with real streams, a real decoder and each media server; the burnt-in marks are the judge."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import Camera, CaptureFailed, CaptureRequest, Picture, SnapshotTier, TierUnavailable
from agent_core.testing import SystemClock, TierContract
from virtual_camera import burnt_in

from .conftest import descendants
from .media import CAMERA, PLUGINS, Rig, media_rig

#: The marks have whole milliseconds.
ROUNDING = timedelta(milliseconds=1)
LIMIT_S = 30.0
REUSE, ACTIVATION = "rtsp", "rtsp_activation"


class Tiers:
    """The plugin's tiers in an agent with one camera."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    @property
    def camera(self) -> Camera:
        return self.rig.agent.parts.cameras.get("camera0")

    def tier(self, name: str) -> SnapshotTier:
        return next(each for each in self.rig.agent.parts.snapshots.tiers if each.name == name)

    async def take(self, name: str, *, max_age_s: float = 0.0, limit_s: float = LIMIT_S) -> Picture:
        now_s = SystemClock().monotonic_s()
        request = CaptureRequest(now_s - max_age_s, now_s + limit_s)
        return await self.tier(name).capture(self.camera, request)

    async def judged(self, name: str, *, max_age_s: float = 0.0) -> burnt_in.Mark:
        """Take a picture; assert that it is as new as asked, and not older than it says."""
        called_at, called_s = datetime.now(UTC), SystemClock().monotonic_s()
        picture = await self.take(name, max_age_s=max_age_s)
        mark = burnt_in.read(picture.data)
        assert picture.captured_s >= called_s - max_age_s
        assert mark.drawn_at >= called_at - timedelta(seconds=max_age_s) - ROUNDING
        assert mark.drawn_at >= called_at + timedelta(seconds=picture.captured_s - called_s) - ROUNDING
        return mark

    async def is_live(self) -> bool:
        path = await self.rig.agent.parts.media.paths.runtime(self.camera.id)
        return path is not None and path.live


def workers() -> list[int]:
    """The decoding processes below this one."""
    return [pid for pid in descendants(os.getpid()) if b"rtsp_tier.worker" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@asynccontextmanager
async def tiers_on(kind: str, folder: Path, observe: Callable[[str], None]) -> AsyncIterator[Tiers]:
    media_server = {"close_after_s": 1.0}
    async with media_rig(kind, folder, observe, plugins={"rtsp_tier": {}}, media_server=media_server) as rig:
        yield Tiers(rig)


@pytest.fixture
async def tiers(server_kind: str, tmp_path: Path, observe: Callable[[str], None]) -> AsyncIterator[Tiers]:
    async with tiers_on(server_kind, tmp_path, observe) as tiers:
        yield tiers


async def test_tier_3_starts_a_stream_and_tier_2_serves_while_it_is_live_each_fresh(tiers: Tiers) -> None:
    with anyio.fail_after(55):
        with pytest.raises(TierUnavailable) as caught:
            await tiers.take(REUSE)
        assert caught.value.reason == "not_live"
        assert not await tiers.is_live()
        assert workers() == []
        counters = [(await tiers.judged(ACTIVATION)).counter]
        for max_age_s in (0.0, 0.0, 2.0, 0.0, 2.0, 0.0):
            mark = await tiers.judged(REUSE, max_age_s=max_age_s)
            if max_age_s == 0.0:
                counters.append(mark.counter)
        assert counters == sorted(set(counters))
        assert len(workers()) == 1


async def test_a_reader_is_no_viewer(tiers: Tiers) -> None:
    with anyio.fail_after(55):
        await tiers.take(ACTIVATION)
        for _ in range(3):
            await tiers.take(REUSE, max_age_s=2)
        assert (await tiers.rig.call("get_stream_url"))["active_consumers"] == 0


async def test_pictures_do_not_keep_a_stream_live_that_nothing_else_uses(tiers: Tiers) -> None:
    with anyio.fail_after(55):
        await tiers.rig.call("start_streaming")
        for _ in range(3):
            await tiers.take(REUSE, max_age_s=2)
        await tiers.rig.call("stop_streaming")
        assert await tiers.is_live()  # by the resident reader
        while await tiers.is_live():
            await anyio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_worker_that_is_killed_or_stopped_is_replaced(
    tmp_path: Path, observe: Callable[[str], None], number: signal.Signals
) -> None:
    with anyio.fail_after(55):
        async with tiers_on("embedded", tmp_path, observe) as tiers:
            await tiers.take(ACTIVATION)
            await tiers.take(REUSE)
            (first,) = workers()
            os.kill(first, number)
            while True:  # the attempt in flight when it is found out may fail, no other
                try:
                    await tiers.judged(REUSE)
                except CaptureFailed as error:
                    assert error.reason == "worker_failed"
                else:
                    break
            assert len(workers()) == 1
            assert workers() != [first]


class _Contract(TierContract):
    """Contract of a tier of the plugin in an agent, whose worker already runs."""

    name: str

    @pytest.fixture(autouse=True)
    async def _set_up(self, tmp_path: Path, observe: Callable[[str], None]) -> AsyncIterator[None]:
        async with tiers_on("embedded", tmp_path, observe) as tiers:
            self._tiers = tiers
            await tiers.take(ACTIVATION)
            yield

    def make_tier(self) -> SnapshotTier:
        return self._tiers.tier(self.name)

    def camera(self) -> Camera:
        return self._tiers.camera


class TestReuse(_Contract):
    name = REUSE


class TestActivation(_Contract):
    name = ACTIVATION


del _Contract  # its tests are those of the two classes above


#: Runs an agent; prints its decoding processes and if it has the decoder's libraries, idle and after two pictures.
PROGRAM = """
import json
import sys
from pathlib import Path

import anyio

from agent_core.testing import children


def state():
    maps = Path("/proc/self/maps").read_text()
    words = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children()]
    return {
        "workers": sum(b"rtsp_tier.worker" in each for each in words),
        "imported": "av" in sys.modules,
        "mapped": "av.libs" in maps or "libavcodec" in maps,
    }


async def main():
    from agent_core.app import Agent
    from agent_core.config import AgentConfig
    from agent_core.plugin import CaptureRequest

    async with anyio.create_task_group() as tg:
        running = await tg.start(Agent(AgentConfig.model_validate_json(sys.argv[1])).run)
        parts = running.parts
        await parts.monitor.wait_settled()
        while parts.media.link.current is None:
            await anyio.sleep(0.01)
        await anyio.sleep(0.5)
        print(json.dumps(state()))
        for name in ("rtsp_activation", "rtsp"):
            tier = next(each for each in parts.snapshots.tiers if each.name == name)
            now_s = anyio.current_time()
            await tier.capture(parts.cameras.get("camera0"), CaptureRequest(now_s, now_s + 30))
        print(json.dumps(state()))
        tg.cancel_scope.cancel()


anyio.run(main)
"""


async def test_the_agent_never_loads_the_decoder_and_idle_runs_no_process(tmp_path: Path) -> None:
    config = {
        "server": {"port": 0},
        "storage": {"state_dir": f"{tmp_path}/state", "runtime_dir": f"{tmp_path}/run"},
        "plugins": {
            "enabled": [*PLUGINS, "embedded_server", "rtsp_tier"],
            "embedded_server": {"api_port": 0, "rtsp_port": 0},
            "virtual_camera": {"cameras": [dict(CAMERA)]},
        },
    }
    with anyio.fail_after(55):
        done = await anyio.run_process([sys.executable, "-c", PROGRAM, json.dumps(config)], stderr=None)
    idle, used = map(json.loads, done.stdout.decode().splitlines())
    assert idle == {"workers": 0, "imported": False, "mapped": False}
    assert used == {"workers": 1, "imported": False, "mapped": False}
