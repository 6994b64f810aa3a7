"""The two methods of discovery, as a client of a whole agent calls them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.testing import RunningAgent, running_agent
from plugins.external_discovery.tests.network.cameras import running_camera
from plugins.external_discovery.tests.network.clips import Clips
from plugins.external_discovery.tests.network.lan import Network
from plugins.external_discovery.tests.network.odd import describes, is_silent, running_odd

pytestmark = pytest.mark.anyio

WIRE = "10.77.0.0/29"
PATIENT_S = 40.0


@asynccontextmanager
async def agent(observe: Callable[[str], None], **discovery: object) -> AsyncIterator[RunningAgent]:
    settings = {
        "networks": [WIRE],
        "interfaces": ["eth0"],
        "multicast_wait_s": 0.2,
        "connect_timeout_s": 2,
        "answer_timeout_s": 20,
        **discovery,
    }
    config: dict[str, Any] = {
        "plugins": {"enabled": ["external_discovery"], "external_discovery": {"discovery": settings}},
        "media_server": {"mode": "embedded"},
    }
    async with running_agent(config=config, observe=observe) as running:
        yield running


async def test_streams_are_found_and_stay_listed_while_they_are_offline(
    network: Network, clips: Clips, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    drone, camera = network.add_host("drone"), network.add_host("camera")
    async with agent(observe) as running, running.client() as client:
        async with running_odd(camera, describes()):
            paths = ("subject", "infrared")
            async with running_camera(drone, tmp_path, clips.h264(), port=5554, paths=paths):
                found = await client.call("discover_external_streams", generic_enabled=True)
        options = {"generic_enabled": True, "force_rescan": True}
        gone = await client.call("discover_external_streams", **options)
        kept = await client.call("discover_external_streams", include_offline=True, generic_enabled=True)
    assert found["total_found"] == 3
    assert [each["name"] for each in found["generic_streams"]] == [f"camera {camera.v4}"]
    assert {each["url"] for each in found["skydio_streams"]} == {
        f"rtsp://{drone.v4}:5554/{path}" for path in paths
    }
    assert found["discovery_options"] == {
        "skydio_enabled": True,
        "generic_enabled": True,
        "force_rescan": False,
        "include_offline": False,
    }
    assert found["scan_duration"].endswith("s")
    assert float(found["scan_duration"][:-1]) >= 0
    assert found["errors"] == []
    (subject,) = (each for each in found["skydio_streams"] if each["url"].endswith("subject"))
    assert (subject["type"], subject["status"], subject["online"]) == ("skydio", "DISCOVERED", True)
    assert subject["capabilities"]["codec"] == "H264"
    assert subject["capabilities"]["port"] == 5554
    assert subject["capabilities"]["stream_path"] == "/subject"
    assert gone["discovered_streams"] == []
    assert len(kept["discovered_streams"]) == 3
    assert not any(each["online"] for each in kept["discovered_streams"])
    assert kept["scan_timestamp"] == gone["scan_timestamp"]


async def test_the_kinds_of_streams_are_chosen(network: Network, observe: Callable[[str], None]) -> None:
    camera = network.add_host("camera")
    async with (
        running_odd(camera, describes()) as server,
        agent(observe) as running,
        running.client() as client,
    ):
        assert (await client.call("discover_external_streams"))["total_found"] == 0
        assert server.connections == 0
        nothing = await client.call("discover_external_streams", skydio_enabled=False)
        assert (nothing["total_found"], nothing["errors"]) == (0, [])
        only = {"skydio_enabled": False, "generic_enabled": True}
        assert (await client.call("discover_external_streams", **only))["total_found"] == 1


async def test_closing_the_callers_connection_cancels_the_scan_and_others_are_told(
    network: Network, observe: Callable[[str], None]
) -> None:
    network.wire.add_silent(5)
    stuck = {"connect_timeout_s": 30, "answer_timeout_s": 30}
    states = []
    async with agent(observe, **stuck) as running, running.client() as watcher:
        async with watcher.subscribe(["external_discovery.progress"]) as events:
            with anyio.fail_after(PATIENT_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_ask, running)
                    states.append((await anext(events)).params["state"])
                    tasks.cancel_scope.cancel()
                states.append((await anext(events)).params["state"])
    assert states == ["STARTED", "CANCELLED"]


async def _ask(running: RunningAgent) -> None:
    async with running.client() as caller:
        await caller.call("discover_external_streams")


async def test_the_interval_is_set_by_an_admin_and_takes_effect_at_once(
    network: Network, observe: Callable[[str], None]
) -> None:
    host = network.add_host("camera")
    async with (
        running_odd(host, is_silent) as server,
        agent(observe) as running,
        running.client("admin") as client,
    ):
        answer = await client.call("set_discovery_interval", scan_interval=3600)
        assert (answer["scan_interval"], answer["status"]) == (3600, "UPDATED")
        assert "3600 s" in answer["message"]
        with anyio.fail_after(PATIENT_S):
            while not server.connections:
                await anyio.sleep(0.01)
        assert (await client.call("set_discovery_interval", scan_interval=0))["scan_interval"] == 0
