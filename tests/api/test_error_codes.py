"""Every error code that a method declares, produced by a call: the cells of the table that the suite prints."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.base.errors import ConfigError
from agent_core.client import AgentClient, CallFailed
from agent_core.testing import WHOLE_CONTRACT, document_of, running_agent

INVALID, LIMITED, NOBODY, DENIED, BUG = -32602, -32040, -32001, -32002, -32603
MISSING, STATE, UNSUPPORTED, DEPENDENCY = -32010, -32020, -32030, -32050
#: What any call can end with. tests/rpc/test_errors.py produces BUG, by methods that are wrong on purpose.
OF_ANY_CALL = {INVALID, LIMITED, NOBODY, DENIED, BUG}
OF_CONNECTIONS = {"ping", "authenticate", "rpc.discover"}
PLUGINS = {
    **WHOLE_CONTRACT["plugins"],
    "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}], "faults": True},
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
DOWN = {"mode": "external", "api_url": "http://127.0.0.1:9", "rtsp_url": "rtsp://127.0.0.1:9"}
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
#: Cells that need more than these agents, such as a full disk or a second call at the right moment: tests of the method
#: produce them, or none does yet, as the table of the whole suite shows. A method that declares another code needs a call here.
ELSEWHERE = {
    *(
        (name, DEPENDENCY)
        for name in ("get_snapshot_info", "delete_snapshot", "get_recording_info", "delete_recording")
    ),
    # The index may answer until its next sweep.
    *((name, DEPENDENCY) for name in ("list_snapshots", "list_recordings")),
    *((name, DEPENDENCY) for name in ("get_storage_info", "cleanup_old_files", "stop_recording")),
    *((name, DEPENDENCY) for name in ("remove_external_stream", "set_camera_controls")),
    *(
        (name, STATE)
        for name in ("add_external_stream", "remove_external_stream", "discover_external_streams")
    ),
    *((name, STATE) for name in ("set_discovery_interval", "get_stream_url", "start_streaming")),
    *((name, UNSUPPORTED) for name in ("get_recording_info", "delete_recording", "set_camera_controls")),
}


def roles_below(role: str) -> Iterator[str]:
    """Yield the roles that may not call a method of this role."""
    order = ("none", "viewer", "operator", "admin")
    yield from order[1 : order.index(role)] if role != "none" else ()


async def code_of(client: AgentClient, method: str, params: Mapping[str, Any]) -> int:
    """Return the code of the error that the call ends with; 0 without one."""
    try:
        await client.call(method, **params)
    except CallFailed as error:
        return error.code
    return 0


@pytest.fixture(scope="module")
def methods() -> Mapping[str, Any]:
    return {each["name"]: each for each in anyio.run(document_of)["methods"]}


def declared(method: Any) -> set[int]:
    return {each["code"] for each in method["errors"]}


async def test_no_method_answers_without_its_role(
    methods: Mapping[str, Any], observe: Callable[[str], None]
) -> None:
    async with running_agent(config=WHOLE_CONTRACT, observe=observe) as agent:
        async with agent.client(None) as nobody:
            for name, method in methods.items():
                if method["x-role"] != "none":
                    assert await code_of(nobody, name, {}) == NOBODY, name
        for role in ("viewer", "operator"):
            async with agent.client(role) as client:
                for name, method in methods.items():
                    if role in roles_below(method["x-role"]):
                        assert await code_of(client, name, {}) == DENIED, (name, role)


async def test_every_method_refuses_unknown_params(
    methods: Mapping[str, Any], observe: Callable[[str], None]
) -> None:
    async with (
        running_agent(config=WHOLE_CONTRACT, observe=observe) as agent,
        agent.client("admin") as client,
    ):
        for name, method in methods.items():
            assert INVALID in declared(method), name
            assert await code_of(client, name, {"no_such_parameter": 1}) == INVALID, name


async def test_every_method_has_the_limit_of_calls(
    methods: Mapping[str, Any], observe: Callable[[str], None]
) -> None:
    few = {
        **WHOLE_CONTRACT,
        "auth": {"keys_over_network": True, "calls_per_s": 0.001, "calls_burst": 1, "failures_per_minute": 1},
    }
    async with running_agent(config=few, observe=observe) as agent, agent.client("admin") as client:
        await code_of(client, "get_status", {})
        for name, method in methods.items():
            assert LIMITED in declared(method), name
            if method["x-role"] != "none":
                assert await code_of(client, name, {}) == LIMITED, name
        async with agent.client(None) as nobody:
            await code_of(nobody, "ping", {})
            assert await code_of(nobody, "authenticate", {"auth_token": "x"}) == NOBODY
            for name, method in methods.items():
                if method["x-role"] == "none":
                    assert await code_of(nobody, name, {"auth_token": "x"}) == LIMITED, name


class Cells:
    """Pairs of method and code that calls have ended with."""

    def __init__(self, methods: Mapping[str, Any]) -> None:
        self._methods = methods
        self.seen: set[tuple[str, int]] = set()

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
    for method in ("list_snapshots", "list_recordings"):
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
    for name in ("api-keys.json", "camera-controls.json", "retention.json", INTERVAL_FILE):
        (folder / "state" / name).unlink(missing_ok=True)
        (folder / "state" / name).mkdir()
    await cells.call_all(client)
    await cells.call(client, "set_camera_controls", device="camera0", controls={"brightness": 1})
    await cells.call(client, "set_retention_policy", policy_type="age", max_age_days=3)
    await cells.call(client, "set_discovery_interval", scan_interval=77)


async def provoke_invalid_configuration(cells: Cells, observe: Callable[[str], None]) -> None:
    sections: dict[str, Any] = {}

    def reread() -> Mapping[str, Any]:
        if sections:
            raise ConfigError("server.max_calls must be above 0.", reason="invalid_value")
        return sections

    async with running_agent(reread=reread, observe=observe) as agent, agent.client("admin") as client:
        sections["server"] = {"max_calls": 0}
        await cells.call(client, "reload_configuration")


async def provoke_all(cells: Cells, observe: Callable[[str], None]) -> None:
    for config, provoke in (
        (MEDIA, (provoke_missing_things, provoke_states)),
        (BARE, (provoke_without_server,)),
        ({**BARE, "media_server": DOWN}, (provoke_without_server,)),
    ):
        async with running_agent(config=config, observe=observe) as agent, agent.client("admin") as client:
            for each in provoke:
                await each(cells, client)
    async with running_agent(config=BARE, observe=observe) as agent, agent.client("admin") as client:
        await provoke_storage(cells, client, agent.folder)
    await provoke_invalid_configuration(cells, observe)


@pytest.mark.timeout(180)
async def test_every_declared_code_of_a_method_is_produced(
    methods: Mapping[str, Any], observe: Callable[[str], None]
) -> None:
    cells = Cells(methods)
    own = {(name, code) for name, method in methods.items() for code in declared(method) - OF_ANY_CALL}
    # Some answers depend on what a watch or a sweep of the agent has noticed by then: they come in one of three rounds.
    for _ in range(3):
        await provoke_all(cells, observe)
        if own - cells.seen <= ELSEWHERE:
            break
    assert own - cells.seen <= ELSEWHERE, sorted(own - cells.seen - ELSEWHERE)
