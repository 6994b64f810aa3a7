"""Metrics of a whole agent: `get_metrics` and `/metrics` show the same numbers, and cost others nothing."""

import itertools
import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.plugin import (
    AgentContext,
    CameraId,
    CameraReport,
    CameraSource,
    DetectedCamera,
    FfmpegInput,
    Fingerprint,
    Plugin,
    Settings,
    hookimpl,
)
from agent_core.testing import running_agent
from agent_core.testing.mediamtx import MediaServerUnderTest

from .media import CAMERA, Rig, media_rig, read_stream
from .scraped import Scrape, expected, leaves, scrape
from .test_health import config, until_open

Observe = Callable[[str], None]
#: Rounding of the result of `get_metrics`.
ROUNDED = 0.006


async def numbers(rig: Rig) -> dict[str, Any]:
    told: dict[str, Any] = await rig.call("get_metrics", None)
    return told


async def busy(rig: Rig) -> None:
    """Let every service count something, failures included."""
    await rig.call("start_recording", wait=True)
    await rig.call("take_snapshot")
    await rig.refused("take_snapshot", "camera7")
    await rig.fault("stall")
    await rig.refused("take_snapshot", max_age_ms=0, deadline_ms=1500)
    await rig.fault("stall", enabled=False)
    url = (await rig.call("get_stream_url"))["stream_url"]
    await read_stream(url, frames=10)


def differing(seen: Scrape, before: Any, after: Any) -> dict[str, object]:
    """Return the numbers that the scrape, made between two results of `get_metrics`, does not have."""
    first, last = dict(leaves(before)), dict(leaves(after))
    wanted = expected(seen, before)
    wrong: dict[str, object] = {}
    for path, value in first.items():
        between = wanted.get(path)
        low, high = sorted((value, last.get(path, value)))
        if between is None or not low - ROUNDED <= between <= high + ROUNDED:
            wrong[path] = (value, between, last.get(path))
    return wrong


@pytest.mark.timeout(120)
async def test_both_outputs_show_the_same_numbers(server_kind: str, tmp_path: Path, observe: Observe) -> None:
    async with media_rig(server_kind, tmp_path, observe) as rig, httpx.AsyncClient(timeout=30) as http:
        await busy(rig)
        await numbers(rig)
        before = await numbers(rig)
        seen = await scrape(http, rig.agent)
        after = await numbers(rig)
        assert differing(seen, before, after) == {}
        assert after["camera_metrics"]["cameras"]["camera0"]["recording"]
        assert after["recording_metrics"]["recordings"]["camera0"]["file_size"] > 0
        tiers = after["snapshot_metrics"]["tiers"]
        assert sum(each["count"] for each in tiers) >= 1
        assert sum(sum(each["failures"].values()) for each in tiers) >= 1
        assert after["path_metrics"]["writes"] >= 1
        assert after["rpc_metrics"]["methods"]["take_snapshot"] == {
            **after["rpc_metrics"]["methods"]["take_snapshot"],
            "calls": 3,
            "errors": 2,
        }
        assert seen.get("health", status=after["health_metrics"]["status"]) == 1
        assert seen.get("breaker_state", state=after["health_metrics"]["breaker"]) == 1
        assert (seen.sum("health"), seen.sum("breaker_state")) == (1, 1)

        async def traffic_is_seen() -> bool:
            camera = (await numbers(rig))["camera_metrics"]["cameras"]["camera0"]
            return bool(camera["live"] and camera["bytes_received"])

        await until(traffic_is_seen)


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(30):
        while not await condition():
            await anyio.sleep(0.05)


@pytest.mark.timeout(120)
async def test_no_counter_falls_and_no_series_doubles_when_a_camera_is_plugged_in_again(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with media_rig(server_kind, tmp_path, observe) as rig, httpx.AsyncClient(timeout=30) as http:
        scrapes: list[Scrape] = []

        async def look() -> Scrape:
            scrapes.append(await scrape(http, rig.agent))
            return scrapes[-1]

        async def received() -> float:
            return (await look()).get("stream_received_bytes_total", camera="camera0") or 0.0

        await rig.call("start_streaming")
        await until(received)
        at_first = await received()
        await rig.fault("vanish")
        await until(_is(look, "camera_connected", 0))
        await until(_is(look, "stream_live", 0))
        gone = scrapes[-1]
        assert gone.get("cameras", status="DISCONNECTED") == 1
        assert gone.get("camera_uptime_seconds", camera="camera0") is None
        assert (gone.get("stream_received_bytes_total", camera="camera0") or 0.0) >= at_first
        await rig.fault("vanish", enabled=False)
        await until(_is(look, "camera_connected", 1))
        await rig.call("start_streaming")
        before = scrapes[-1].get("stream_received_bytes_total", camera="camera0")
        await until(lambda: _grew(received, before or 0.0))
    for earlier, later in itertools.pairwise(scrapes):
        fell = {key: value for key, value in earlier.rising().items() if later.samples.get(key, -1) < value}
        assert fell == {}


def _is(look: Callable[[], Any], name: str, value: float) -> Callable[[], Any]:
    async def holds() -> bool:
        return bool((await look()).get(name, camera="camera0") == value)

    return holds


async def _grew(received: Callable[[], Any], before: float) -> bool:
    return bool(await received() > before)


@pytest.mark.timeout(120)
async def test_a_hanging_media_server_holds_up_neither_output(
    any_media_server: MediaServerUnderTest, observe: Observe
) -> None:
    async with (
        running_agent(config=config(any_media_server), observe=observe) as agent,
        agent.client("admin") as client,
        httpx.AsyncClient(timeout=30) as http,
    ):
        with anyio.fail_after(20):
            while (await scrape(http, agent)).get("streams") != 1:
                await anyio.sleep(0.05)
        any_media_server.signal(signal.SIGSTOP)
        try:
            await until_open(client)
            with anyio.fail_after(30):
                while (seen := await scrape(http, agent)).get("streams") != 0:
                    told = await client.call("get_metrics")
                    assert told["health_metrics"]["openings"] >= 1
                    await anyio.sleep(0.05)
            assert seen.get("media_server_up") in (0, 1)  # a test call goes through now and then
            assert seen.sum("breaker_state") == 1
            assert (seen.get("breaker_openings_total") or 0) >= 1
            assert seen.get("stream_live", camera="camera0") == 0
        finally:
            any_media_server.signal(signal.SIGCONT)


class Removable(CameraSource):
    """One camera that the test takes away."""

    name = "removable"

    def __init__(self) -> None:
        self.camera = DetectedCamera(
            "one",
            "One",
            Fingerprint("removable", serial="1"),
            FfmpegInput(("-re", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=15")),
            configured_id=CameraId("camera40"),
        )
        self.report: CameraReport | None = None

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        self.report = report
        report.connected(self.camera)
        task_status.started()
        await anyio.sleep_forever()

    def plugin(self) -> type[Plugin[Settings]]:
        source = self

        class RemovablePlugin(Plugin[Settings]):
            Settings = Settings

            @hookimpl
            def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
                return [source]

        return RemovablePlugin


@pytest.mark.timeout(120)
async def test_all_series_of_a_camera_end_when_it_is_removed_and_go_on_when_it_returns(
    tmp_path: Path, observe: Observe
) -> None:
    source = Removable()
    async with (
        media_rig("embedded", tmp_path, observe, added={"removable": source.plugin()}) as rig,
        httpx.AsyncClient(timeout=30) as http,
    ):
        assert source.report is not None

        async def series() -> dict[str, float]:
            seen = await scrape(http, rig.agent)
            of_camera = ("camera", "camera40"), ("path", "camera40")
            return {name: value for (name, has), value in seen.samples.items() if has & set(of_camera)}

        async def has_path() -> bool:
            return "camera_agent_path_writes_total" in await series()

        await until(has_path)
        before, told = await series(), await numbers(rig)
        assert {"camera_agent_camera_connected", "camera_agent_stream_live"} <= before.keys()
        source.report.removed("one", "It was removed.")
        assert await series() == {}
        after = await numbers(rig)
        assert "camera40" not in after["camera_metrics"]["cameras"]
        assert "camera40" not in after["path_metrics"]["paths"]
        assert after["path_metrics"]["writes"] >= told["path_metrics"]["writes"]
        source.report.connected(source.camera)
        await until(has_path)
        again = await series()
        name = "camera_agent_path_writes_total"
        assert again[name] >= before[name]
        assert again.keys() == before.keys()


#: Runs an agent, and prints what the two outputs open, list or connect to while they are collected.
WATCHED = """
import json
import sys
import threading

import anyio

WATCHED = ("open", "os", "socket", "subprocess", "sqlite3", "shutil")
seen = []
watching = False


def hook(event, arguments):
    is_here = threading.current_thread() is threading.main_thread()  # others work meanwhile, as they should
    if watching and is_here and event.partition(".")[0] in WATCHED:
        seen.append([event, str(arguments[:1])])


async def main():
    global watching
    from agent_core.api.metrics import _Handlers
    from agent_core.app import Agent
    from agent_core.config import AgentConfig

    async with anyio.create_task_group() as tg:
        running = await tg.start(Agent(AgentConfig.model_validate_json(sys.argv[1])).run)
        controller = running.parts.controller
        registry = running.parts.metrics
        await running.parts.monitor.wait_settled()
        with anyio.fail_after(30):
            while not controller.metrics().disk:
                await anyio.sleep(0.01)
        await controller.prepare_metrics()
        unloaded = "prometheus_client" not in sys.modules
        watching = True
        for _ in range(20):
            controller.metrics()
            registry.collect()
        open("/dev/null").close()
        watching = False
        print(json.dumps({"seen": seen, "unloaded": unloaded, "metrics": len(registry.collect())}))
        tg.cancel_scope.cancel()


sys.addaudithook(hook)
anyio.run(main)
"""


async def test_collecting_reads_no_disk_and_calls_nothing(tmp_path: Path) -> None:
    plugins = {
        "enabled": ["virtual_camera", "ffmpeg_tier", "embedded_server"],
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
        "virtual_camera": {"cameras": [dict(CAMERA)]},
    }
    storage = {"state_dir": str(tmp_path / "state"), "runtime_dir": str(tmp_path / "run")}
    settings = json.dumps({"server": {"port": 0}, "storage": storage, "plugins": plugins})
    done = await anyio.run_process([sys.executable, "-c", WATCHED, settings], stderr=None, cwd=tmp_path)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["seen"] == [["open", "('/dev/null',)"]]  # the look itself works
    assert told["unloaded"]
    assert told["metrics"] > 30


@pytest.mark.timeout(120)
async def test_labels_are_ids_and_words_and_their_number_is_bounded(tmp_path: Path, observe: Observe) -> None:
    """Names of cameras, and of methods that a client makes up, would be series without end, and tell too much."""
    odd = {**CAMERA, "name": 'Front "door"\n} 1'}
    async with (
        media_rig("embedded", tmp_path, observe, cameras=(odd,)) as rig,
        httpx.AsyncClient(timeout=30) as http,
    ):
        await rig.call("take_snapshot")
        first = await scrape(http, rig.agent)
        for number in range(50):
            await rig.refused(f"made_up_{number}", None)
            await rig.refused("get_camera_status", f"camera{number + 5}")
            await rig.refused("get_snapshot_info", None, filename=f"none-{number}.jpg")
        last = await scrape(http, rig.agent)
        told = json.dumps(await numbers(rig))
    labels = [value for _, each in last.samples for _, value in each]
    assert all(re.fullmatch(r"[A-Za-z0-9_.+#-]{1,40}", each) for each in labels)
    assert "made_up" not in told
    assert "Front" not in told
    new = last.samples.keys() - first.samples.keys()
    methods = {dict(each)["method"] for _, each in new}
    assert methods <= {"get_camera_status", "get_snapshot_info", "unknown"}
    assert last.get("rpc_errors_total", method="unknown") == 50
