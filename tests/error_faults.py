"""Faults of an agent, its disks, its cameras and its media server, each made for real, and the codes that calls end with."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from agent_core.auth.view_links import MOST_VIEW_LINKS
from agent_core.base.errors import ConfigError
from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import (
    NOT_ASKED,
    AgentContext,
    CameraReport,
    CameraSource,
    Component,
    DetectedCamera,
    Fingerprint,
    Plugin,
    Settings,
    hookimpl,
)
from agent_core.testing import WHOLE_CONTRACT, running_agent
from external_discovery.plugin import ExternalDiscoveryPlugin
from external_discovery.streams import STREAMS_FILE
from virtual_camera.controls import CONTROLS, PictureControls

__all__ = ("OF_CONNECTIONS", "Cells", "Observe", "code_of", "provoke_all")

Observe = Callable[[str], None]

OF_CONNECTIONS = {"ping", "authenticate", "rpc.discover"}
PLUGINS = {
    **WHOLE_CONTRACT["plugins"],
    "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}], "faults": True},
    "external_discovery": {"probe_timeout_s": 0.2},
}
BARE = {**WHOLE_CONTRACT, "plugins": PLUGINS}
MEDIA = {
    **WHOLE_CONTRACT,
    "plugins": {
        **PLUGINS,
        "enabled": ["virtual_camera", "ffmpeg_tier", "embedded_server", "external_discovery"],
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    },
}
WITHOUT_CAMERA = {**WHOLE_CONTRACT, "plugins": {**PLUGINS, "virtual_camera": {"cameras": []}}}
DOWN = {"mode": "external", "api_url": "http://127.0.0.1:9", "rtsp_url": "rtsp://127.0.0.1:9"}
REMOTE = {**DOWN, "shares_recordings": False}
CONFIGURED, ADDED = "rtsp://192.0.2.20/live", "rtsp://192.0.2.10/live"
STREAMS = {
    **BARE,
    "plugins": {
        **PLUGINS,
        "external_discovery": {"probe_timeout_s": 0.2, "streams": [{"url": CONFIGURED, "name": "Gate"}]},
    },
}
INTERVAL_FILE = "external_discovery-interval.json"
#: Required params of all methods.
PLAUSIBLE: Mapping[str, Any] = {
    "controls": {"brightness": 1},
    "device": "camera0",
    "enabled": True,
    "fault": "vanish",
    "filename": "camera0_2026-01-01_00-00-00Z",
    "id": "none",
    "policy_type": "manual",
    "role": "viewer",
    "scan_interval": 0,
    "stream_name": "Yard",
    "stream_url": "rtsp://192.0.2.10/live",
    "topics": ["none"],
    "user": "dashboard",
}


async def code_of(client: AgentClient, method: str, params: Mapping[str, Any]) -> int:
    """Return the code of the error that the call ends with; 0 without one."""
    try:
        await client.call(method, **params)
    except CallFailed as error:
        return error.code
    return 0


class Cells:
    """Pairs of method and code that calls have ended with; `missing` are those that are expected and have not come."""

    def __init__(self, methods: Mapping[str, Any], expected: frozenset[tuple[str, int]]) -> None:
        self._methods = dict(methods)
        self._expected = expected
        self.seen: set[tuple[str, int]] = set()

    @property
    def missing(self) -> list[tuple[str, int]]:
        return sorted(self._expected - self.seen)

    def only_missing(self) -> None:
        """Leave out of `call_all` the methods of which no code is missing."""
        wanted = {name for name, _ in self.missing}
        self._methods = {name: method for name, method in self._methods.items() if name in wanted}

    async def call(self, client: AgentClient, method: str, **params: object) -> None:
        self.seen.add((method, await code_of(client, method, params)))

    async def call_all(self, client: AgentClient, **values: object) -> None:
        """Call each method about the agent with its required params, from `values` or plausible ones."""
        for name, method in self._methods.items():
            if name not in OF_CONNECTIONS:
                needed = [each["name"] for each in method["params"] if each["required"]]
                await self.call(client, name, **{each: {**PLAUSIBLE, **values}[each] for each in needed})


async def provoke_missing_things(cells: Cells, client: AgentClient) -> None:
    await cells.call_all(client, device="camera9", filename="camera9_2026-01-01_00-00-00Z")
    for method in ("list_snapshots", "list_recordings", "create_view_link"):
        await cells.call(client, method, device="camera9")
    await cells.call(client, "set_camera_controls", device="camera9", controls={"brightness": 1})


async def provoke_states(cells: Cells, client: AgentClient) -> None:
    for _ in range(2):
        await cells.call(client, "take_snapshot", device="camera0", filename="twice.jpg")
        await cells.call(client, "create_api_key", role="viewer", user="twice")
    running = await client.call("start_recording", device="camera0")
    await cells.call(client, "start_recording", device="camera0")
    await cells.call(client, "delete_recording", filename=running["filename"])


async def provoke_without_server(cells: Cells, client: AgentClient) -> None:
    for is_gone in (False, True):
        await client.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=is_gone)
        await cells.call_all(client, device="camera0", fault="vanish", enabled=is_gone)
        await cells.call(client, "set_camera_controls", device="camera0", controls={"brightness": 1})


async def provoke_storage(cells: Cells, client: AgentClient, folder: Path) -> None:
    """Put files where the folders of media should be, and folders where stored files should be."""
    for name in ("snapshots", "recordings"):
        with anyio.fail_after(20):
            while not (folder / "state" / name).is_dir():
                await anyio.sleep(0.02)
        shutil.rmtree(folder / "state" / name)
        (folder / "state" / name).write_text("not a folder")
    for name in ("api-keys.json", "view-links.json", "camera-controls.json", "retention.json", INTERVAL_FILE):
        (folder / "state" / name).unlink(missing_ok=True)
        (folder / "state" / name).mkdir()
    await cells.call_all(client)
    await cells.call(client, "set_camera_controls", device="camera0", controls={"brightness": 1})
    await cells.call(client, "set_retention_policy", policy_type="age", max_age_days=3)
    await cells.call(client, "set_discovery_interval", scan_interval=77)


async def provoke_full_view_links(cells: Cells, observe: Observe) -> None:
    async with running_agent(observe=observe) as agent, agent.client("admin") as client:
        made = await client.call("create_view_link")
        await cells.call(client, "revoke_view_link", id=made["id"])
        link = {key: made[key] for key in ("user", "created_at", "expires_at")}
        many = [{**link, "camera": None, "sha256": f"{number:064x}"} for number in range(MOST_VIEW_LINKS)]
        (agent.folder / "state/view-links.json").write_text(json.dumps({"version": 1, "links": many}))
        await cells.call(client, "create_view_link")


async def provoke_invalid_configuration(cells: Cells, observe: Observe) -> None:
    sections: dict[str, Any] = {}

    def reread() -> Mapping[str, Any]:
        if sections:
            raise ConfigError("server.max_calls must be above 0.", reason="invalid_value")
        return sections

    async with running_agent(reread=reread, observe=observe) as agent, agent.client("admin") as client:
        sections["server"] = {"max_calls": 0}
        await cells.call(client, "reload_configuration")


class Scanless(ExternalDiscoveryPlugin):
    """The plugin in the moment before the component of its scans starts."""

    @hookimpl
    def agent_components(self, agent: AgentContext) -> list[Component]:
        return []


async def provoke_calls_before_the_start(cells: Cells, observe: Observe) -> None:
    plugins = {"external_discovery": Scanless}
    async with (
        running_agent(plugins=plugins, config=BARE, observe=observe) as agent,
        agent.client("admin") as client,
    ):
        await cells.call(client, "discover_external_streams")
        await cells.call(client, "set_discovery_interval", scan_interval=0)


class LeavingSource(CameraSource):
    """Source of a camera that was unplugged a moment ago, which the source has not noticed yet."""

    name = "leaving"

    async def watch(self, report: CameraReport, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        controls = PictureControls()
        panel = controls.appear(lambda _: None)
        fingerprint = Fingerprint(self.name, "S")
        report.connected(
            DetectedCamera("k", "Leaving", fingerprint, None, controls=CONTROLS, panel=panel, number_hint=0)
        )
        controls.vanish()
        task_status.started()
        await anyio.sleep_forever()


class Leaving(Plugin[Settings]):
    Settings = Settings

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        return [LeavingSource()]


async def provoke_unplugging(cells: Cells, observe: Observe) -> None:
    async with (
        running_agent(plugins={"leaving": Leaving}, observe=observe) as agent,
        agent.client() as client,
    ):
        await cells.call(client, "set_camera_controls", device="camera0", controls={"brightness": 1})


async def provoke_stop_of_a_start(cells: Cells, client: AgentClient) -> None:
    """Stop a stream that does not become live, because its camera sends no pictures."""
    await client.call("virtual_camera.set_fault", device="camera0", fault="stall", enabled=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: cells.call(client, "start_streaming", device="camera0"))
        while await code_of(client, "stop_streaming", {"device": "camera0"}):
            await anyio.sleep(0.02)
    await client.call("virtual_camera.set_fault", device="camera0", fault="stall", enabled=False)


async def provoke_streams(cells: Cells, observe: Observe) -> None:
    async with running_agent(config=STREAMS, observe=observe) as agent, agent.client("admin") as client:
        await cells.call(client, "remove_external_stream", stream_url=CONFIGURED)
        yard = {"stream_url": ADDED, "stream_name": "Yard", "verify": False}
        added = await client.call("add_external_stream", **yard)
        await cells.call(client, "add_external_stream", **yard)
        await cells.call(client, "set_camera_controls", device=added["device"], controls={"brightness": 1})
        (agent.folder / "state" / STREAMS_FILE).unlink()
        (agent.folder / "state" / STREAMS_FILE).mkdir()
        await cells.call(client, "remove_external_stream", stream_url=ADDED)


@contextmanager
def separate_folder(other: Path) -> Iterator[Path]:
    """Make a folder on another file system than that of the folder `other`; skips where this account has none."""
    shared = Path("/dev/shm")  # noqa: S108 - the folder gets a name of its own
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == other.stat().st_dev:
        pytest.skip("there is no second file system that this account may write to")
    with TemporaryDirectory(dir=shared, prefix="ca-") as made:
        yield Path(made)


async def provoke_vanished_disk(cells: Cells, observe: Observe) -> None:
    """Unplug the disk of snapshots and recordings, one of which waits to continue, as its camera is not there either."""
    with TemporaryDirectory(prefix="ca-") as temporary, separate_folder(Path(temporary)) as disk:
        folder, point = Path(temporary), Path(temporary) / "disk"
        point.symlink_to(disk)
        storage = {"recordings_dir": point / "recordings", "snapshots_dir": point / "snapshots"}
        async with (
            running_agent(config={**MEDIA, "storage": storage}, folder=folder, observe=observe) as agent,
            agent.client() as client,
        ):
            await client.call("take_snapshot", device="camera0")
            await client.call("start_recording", device="camera0")
        async with (
            running_agent(
                config={**WITHOUT_CAMERA, "storage": storage}, folder=folder, observe=observe
            ) as agent,
            agent.client("admin") as client,
        ):
            point.unlink()
            point.mkdir()
            await cells.call(client, "stop_recording", device="camera0")
            await client.call("set_retention_policy", policy_type="age", enabled=True, max_age_days=3)
            await cells.call(client, "cleanup_old_files")
            await cells.call_all(client)


async def provoke_all(cells: Cells, observe: Observe) -> None:
    """Make each fault, and call methods meanwhile."""
    for config, provoke in (
        (MEDIA, (provoke_stop_of_a_start, provoke_missing_things, provoke_states)),
        (BARE, (provoke_without_server,)),
        ({**BARE, "media_server": DOWN}, (provoke_without_server,)),
        ({**BARE, "media_server": REMOTE}, (provoke_without_server,)),
    ):
        async with running_agent(config=config, observe=observe) as agent, agent.client("admin") as client:
            for each in provoke:
                await each(cells, client)
    async with running_agent(config=BARE, observe=observe) as agent, agent.client("admin") as client:
        await provoke_storage(cells, client, agent.folder)
    for other in (
        provoke_calls_before_the_start,
        provoke_unplugging,
        provoke_streams,
        provoke_vanished_disk,
        provoke_full_view_links,
        provoke_invalid_configuration,
    ):
        await other(cells, observe)
