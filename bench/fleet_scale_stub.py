"""Stub controllers: the agent's own session logic over recorded answers, and real keys, signatures and nonces."""

import json
import random
import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from agent_core.auth.api_keys import ApiKeys, NewKey
from agent_core.auth.call_verifier import CallVerifier
from agent_core.auth.nonce_file import NonceFile
from agent_core.auth.nonces import UsedNonces
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import KeyKind
from agent_core.base.clock import Clock, SystemClock
from agent_core.plugin.sessions import SignedCall, VerifiedCall
from agent_core.testing import FakeAgent, FakeSessions, running_agent
from mqtt_bridge.client.keys import agent_key

__all__ = ("FLEET_KEY", "Box", "Stub", "boxes", "raise_descriptor_limit", "record_answers", "stubs")

#: Methods that the bridge may ask for the state of an agent, and one that a fleet calls.
METHODS = (
    "get_camera_list",
    "get_metrics",
    "get_server_info",
    "get_status",
    "get_storage_info",
    "get_system_status",
    "list_recordings",
    "list_snapshots",
)
_CAMERAS = 2
FLEET_KEY = "fk_" + 43 * "x"
_MOMENT = "2026-11-30T12:00:00.000Z"


async def record_answers(path: Path) -> None:
    """Write what a real agent with two virtual cameras answers, as a table by method."""
    plugins = {
        "enabled": ["virtual_camera"],
        "virtual_camera": {
            "cameras": [{"id": f"camera{number}", "name": f"Camera {number}"} for number in range(_CAMERAS)]
        },
    }
    answers: dict[str, object] = {}
    async with running_agent(config={"plugins": plugins}) as agent, agent.client("admin") as client:
        await agent.parts.monitor.wait_settled()
        for method in METHODS:
            answers[method] = await client.call(method)
    path.write_text(json.dumps(answers))


@dataclass(frozen=True)
class Box:
    """One agent as its operator knows it: its id, and the key of its calls."""

    agent: str
    key: str


def boxes(numbers: Iterable[int]) -> list[Box]:
    """Return agents, each with its own key of the fleet."""
    agents = [f"box-{number:05}" for number in numbers]
    return [Box(agent, agent_key(FLEET_KEY, agent)) for agent in agents]


class StubSessions(FakeSessions):
    """The agent's session logic over recorded answers; calls are verified with the box's key, and run once."""

    def __init__(self, box: Box, folder: Path, clock: Clock) -> None:
        super().__init__(clock, plugin="mqtt_bridge")
        folder.mkdir()
        keys = ApiKeys(folder / "keys.json", clock)
        keys.add(NewKey("fleet", Role.VIEWER, KeyKind.MQTT, text=box.key))
        nonces = UsedNonces(NonceFile(folder / "nonces"), clock)
        self._verifier = CallVerifier(keys, nonces, clock, catch_up=_nothing)

    async def verify(self, call: SignedCall, *, agent: str, trust_clock: bool = False) -> VerifiedCall:
        principal, signer = await self._verifier.verify(call, agent=agent, needs=Role.VIEWER)
        return VerifiedCall(principal, signer)


@dataclass(frozen=True)
class Stub:
    """Context that the core lends to one bridge, and the sessions in it."""

    box: Box
    context: FakeAgent
    sessions: StubSessions

    def publish(self, number: int) -> None:
        """Publish an event, as long as that of a recording."""
        params = {
            "device": "camera0",
            "recording": f"{number:032x}",
            "status": "STARTED",
            "timestamp": _MOMENT,
        }
        self.sessions.publish("recording.start", params)


def stubs(boxes: Iterable[Box], answers: Path, folder: Path) -> list[Stub]:
    """Return a stub for each box, with its own state folder below `folder`."""
    known, clock = json.loads(answers.read_text()), SystemClock()
    made = []
    for box in boxes:
        sessions = StubSessions(box, folder / box.agent, clock)
        sessions.answers.update(known)
        sessions.answers["get_metrics"] = partial(_metrics, known["get_metrics"])
        context = FakeAgent(folder / box.agent, clock=clock)
        context.sessions = sessions
        made.append(Stub(box, context, sessions))
    return made


def _metrics(known: Mapping[str, Any], _params: object) -> JsonValue:
    """Return metrics with another load, as those of a host are at each look."""
    load = {"cpu_usage": round(random.uniform(0, 100), 1), "load_average": round(random.uniform(0, 2), 2)}  # noqa: S311
    return {**known, "system_metrics": {**known["system_metrics"], **load}}


def raise_descriptor_limit() -> None:
    """Let this process, and those that it starts, open as many files as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _nothing() -> None:
    """Keys do not change here."""
