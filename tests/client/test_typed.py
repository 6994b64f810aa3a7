"""Typed methods: one per method of the contract, the same on both clients, and what a type checker makes of them."""

import inspect
import runpy
import sys
from dataclasses import is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agent_core.auth.roles import Role
from agent_core.client import AgentClient, SyncAgentClient, UnexpectedResult
from agent_core.client.methods import READS
from agent_core.client.protocol import encode
from agent_core.client.results import CameraList, StreamUrls
from agent_core.client.typed import given, typed
from agent_core.rpc.openrpc import openrpc_document
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.conftest import ToyAgent

ROOT = Path(__file__).parents[2]
CONFIG = {
    "plugins": {
        "enabled": ["virtual_camera", "ffmpeg_tier"],
        "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}]},
    }
}
#: What the clients do by themselves, apart from `authenticate`, which both have by hand.
BY_SUBSCRIBE = {"subscribe_events", "unsubscribe_events"}

PROGRAM = """
from agent_core.client import AgentClient, Reconnect, SyncAgentClient
from agent_core.client.results import CameraForm


async def waits(agent: AgentClient) -> list[CameraForm]:
    taken = await agent.take_snapshot("camera0", max_age_ms=0)
    name: str = taken.filename
    age_s: float = taken.age_ms / 1000
    print(name, age_s, (await agent.get_streams())[0].name)
    return (await agent.get_camera_list()).cameras


def blocks(agent: SyncAgentClient) -> int:
    with agent.subscribe(["camera.connected"]) as events:
        for event in events:
            print(event.topic)
    return agent.get_camera_status("camera0").metrics.readers


MORE
"""


def methods() -> list[Any]:
    tables = runpy.run_path(str(ROOT / "scripts/api-tables"))
    return [each for each in tables["method_table"]() if each.provided_by is None]


def test_the_generated_files_are_those_of_the_method_table() -> None:
    assert runpy.run_path(str(ROOT / "scripts/py-client"))["differing"]() == [], "run scripts/py-client"


def test_a_renamed_field_changes_the_generated_client() -> None:
    script = runpy.run_path(str(ROOT / "scripts/py-client"))
    tables = script["tables"]()
    table = tables["method_table"]()
    document: Any = openrpc_document(table, tables["topics"](), title="", version="")
    properties = document["components"]["schemas"]["CameraForm"]["properties"]
    properties["speed"] = properties.pop("fps")
    contract = script["Contract"](table, document)
    text = script["result_module"](contract, "cameras", ["CameraForm"])
    assert "    speed: float" in text
    assert "    fps: " not in text


@pytest.mark.parametrize("client", [AgentClient, SyncAgentClient])
def test_each_method_of_the_contract_is_a_method_of_the_client(client: type) -> None:
    wanted = {each.name.rpartition(".")[2] for each in methods()} - BY_SUBSCRIBE
    assert {name for name in wanted if not callable(getattr(client, name, None))} == set()


def test_both_clients_have_the_same_methods_and_parameters() -> None:
    def face(client: type) -> dict[str, str]:
        public = [name for name in dir(client) if not name.startswith("_")]
        return {name: str(inspect.signature(getattr(client, name))) for name in public if name not in own}

    own = {"subscribe", "is_connected", "wait_connected"}
    assert face(AgentClient) == face(SyncAgentClient)


def test_what_may_be_repeated_changes_nothing() -> None:
    """A viewer can change nothing. `authenticate` is for the client itself."""
    viewers = {each.name for each in methods() if each.role in (None, Role.VIEWER)} - {"authenticate"}
    assert viewers <= READS
    changing = {each.name for each in methods()} - READS
    assert {"take_snapshot", "start_recording", "delete_snapshot", "create_api_key"} <= changing
    assert all(name.startswith(("get_", "list_")) for name in READS - viewers)


async def test_results_of_a_real_agent_are_objects() -> None:
    async with running_agent(config=CONFIG) as agent, agent.client("admin") as client:
        listed = await client.get_camera_list()
        assert isinstance(listed, CameraList)
        assert (listed.cameras[0].device, listed.cameras[0].status) == ("camera0", "CONNECTED")
        assert isinstance(listed.cameras[0].streams, StreamUrls)
        assert datetime.now(UTC) - listed.timestamp < timedelta(minutes=1)
        taken = await client.take_snapshot("camera0", format="png", width=64)
        assert (taken.format, taken.resolution.partition("x")[0]) == ("png", "64")
        assert [each.filename for each in (await client.list_snapshots(limit=1)).files] == [taken.filename]
        assert await client.ping() == "pong"
        assert (await client.discover())["openrpc"].startswith("1.")


async def test_every_read_without_parameters_gives_an_object() -> None:
    plain = [each for each in methods() if each.name in READS - BY_SUBSCRIBE and not each.parameters.names]
    assert len(plain) > 8
    async with running_agent(config=CONFIG) as agent, agent.client("admin") as client:
        for each in plain:
            if each.name == "get_streams":  # without a media server
                continue
            result = await getattr(client, each.name.rpartition(".")[2])()
            assert is_dataclass(result) or each.name in ("ping", "rpc.discover"), each.name


async def test_a_result_of_another_form_is_told(toy: "ToyAgent") -> None:
    """The toy's cameras lack members."""
    async with AgentClient(toy.url, toy.token()) as agent:
        with pytest.raises(UnexpectedResult, match=r"at cameras\.0\.\w+: Field required") as caught:
            await agent.get_camera_list()
    assert caught.value.reason == "unexpected_result"


def test_members_and_words_of_a_later_agent_are_no_error() -> None:
    from agent_core.client.results import ProblemForm, SystemStatusForm

    problem = {"code": 1, "reason": "a", "details": "b", "suggestion": "c", "more": [1]}
    status = {"status": "hibernating", "message": "", "available_cameras": [], "discovery_active": True}
    result = typed(SystemStatusForm, {**status, "problems": [problem]})
    assert result.status == "hibernating"
    assert result.problems == [ProblemForm(code=1, reason="a", details="b", suggestion="c")]


def test_parameters_that_are_not_given_are_left_to_the_agent() -> None:
    assert given(device="camera0", limit=None, wait=False, offset=0) == {
        "device": "camera0",
        "wait": False,
        "offset": 0,
    }


def test_a_time_is_sent_in_its_iso_form() -> None:
    assert '"2026-11-22T17:03:54+00:00"' in encode(
        1, "m", {"at": datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC)}
    )
    with pytest.raises(ValueError, match="time zone"):
        encode(1, "m", {"at": datetime(2026, 11, 22)})  # noqa: DTZ001 - the mistake to refuse
    with pytest.raises(TypeError, match="set"):
        encode(1, "m", {"at": {1}})


async def judged(folder: Path, more: str) -> list[str]:
    """Return what `mypy --strict` says about a program outside this checkout."""
    (folder / "program.py").write_text(PROGRAM.replace("MORE", more))
    argv = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache/programs")]
    done = await anyio.run_process([*argv, "program.py"], cwd=folder, check=False)
    return [line for line in done.stdout.decode().splitlines() if ": error: " in line]


async def test_a_users_program_is_checked_by_its_types(tmp_path: Path) -> None:
    assert await judged(tmp_path, "") == []
    wrong = [
        "async def waits_wrongly(agent: AgentClient) -> int:",
        "    await agent.start_recording('camera0', format='avi')",
        "    await agent.take_snapshot(camera='camera0')",
        "    print((await agent.get_camera_list()).camera)",
        "    return 1",
        "def blocks_wrongly(agent: SyncAgentClient) -> int:",
        "    return agent.get_camera_list().cameras[0].fps",
        "SyncAgentClient('ws://127.0.0.1/ws', reconnect=Reconnect(pause=1))",
    ]
    found = await judged(tmp_path, "\n".join(wrong))
    assert [line.rpartition("[")[2].rstrip("]") for line in found] == [
        "arg-type",
        "call-arg",
        "attr-defined",
        "return-value",
        "call-arg",
    ]
