"""Every topic of the contract in the whole agent: what causes it, its params, its order, and its replay."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup, TaskStatus
from pydantic import BaseModel
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from agent_core.api.schema.cameras import CameraEventForm
from agent_core.api.schema.controls import ControlsEventForm
from agent_core.api.schema.recordings import RecordingEventForm
from agent_core.api.schema.snapshots import SnapshotEventForm
from agent_core.api.schema.system import SystemEventForm
from agent_core.rpc.topics import ALIASES, CORE_TOPICS
from agent_core.testing.agents import RunningAgent

from .media import Rig, media_rig

QUICK: dict[str, Any] = {
    "recordings": {"stall_s": 2, "start_timeout_s": 5},
    "media_server": {"start_timeout_s": 3},
}
#: Methods of the notifications of a topic's name; `plugin.quarantined` needs a frozen agent, and has tests of its own.
METHODS = {
    **{topic.name: topic.method for topic in CORE_TOPICS if topic.name != "plugin.quarantined"},
    **dict(ALIASES),
}
FORMS: dict[str, type[BaseModel]] = {
    "camera.controls": ControlsEventForm,
    "camera": CameraEventForm,
    "recording": RecordingEventForm,
    "snapshot": SnapshotEventForm,
    "system": SystemEventForm,
}
#: A start of the agent that has never been: all that the journal has is replayed.
NEVER = {"boot_id": "never", "sequence": 0}


class Listener:
    """Connection with its subscriptions, that notes all notifications until the agent closes it."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.dropped: list[dict[str, Any]] = []
        self._changed = anyio.Event()

    async def run(
        self, agent: RunningAgent, subscription: dict[str, Any], *, task_status: TaskStatus[None]
    ) -> None:
        async with connect(agent.url, compression=None, proxy=None) as socket:
            calls = [
                ("authenticate", {"auth_token": agent.token("viewer")}),
                ("subscribe_events", subscription),
            ]
            for number, (method, params) in enumerate(calls):
                await socket.send(
                    json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
                )
                reply = json.loads(await socket.recv())
                assert reply["id"] == number, "an event comes before the answer"
                assert "result" in reply, reply
            task_status.started()
            try:
                async for text in socket:
                    self._note(json.loads(text))
            except ConnectionClosed:
                pass

    def _note(self, notification: dict[str, Any]) -> None:
        is_notice = notification["method"] == "system.events_dropped"
        (self.dropped if is_notice else self.heard).append(notification)
        self._changed.set()

    async def until(self, method: str, **params: object) -> dict[str, Any]:
        """Wait for a notification with these params."""
        with anyio.fail_after(30):
            while True:
                for each in self.heard:
                    if each["method"] == method and params.items() <= each["params"].items():
                        return each
                self._changed = anyio.Event()
                await self._changed.wait()

    def of(self, method: str) -> list[dict[str, Any]]:
        return [each for each in self.heard if each["method"] == method]

    def numbers(self) -> list[int]:
        return [each["params"]["sequence"] for each in self.heard]


async def listen(tasks: TaskGroup, agent: RunningAgent, *topics: str) -> Listener:
    """Listen to what has happened and happens, until the agent ends."""
    listener = Listener()
    await tasks.start(listener.run, agent, {"topics": topics, "replay_since": NEVER})
    return listener


async def live(rig: Rig, everything: Listener) -> None:
    """Cause every event of a camera's and an agent's life."""
    await rig.fault("vanish")
    await everything.until("camera.disconnected")
    await rig.fault("vanish", enabled=False)
    await everything.until("camera.connected", status="CONNECTED")
    await rig.call("set_camera_controls", controls={"brightness": 5})
    await everything.until("camera.controls", cause="set")
    started = await rig.call("start_recording", wait=True)
    await everything.until("recording.start", filename=started["filename"])
    await rig.call("take_snapshot")
    await rig.fault("stall")
    await everything.until("recording.error", filename=started["filename"])
    await everything.until("camera.status_change", status="ERROR")
    await rig.fault("stall", enabled=False)
    await everything.until("recording.start", reason="recovered")
    await rig.call("stop_recording")
    await everything.until("recording_status_update", status="STOPPED")
    rig.agent.parts.media.health.tell("A test asks.")
    await everything.until("system_health_update", reason="A test asks.")


@pytest.mark.timeout(180)
async def test_every_topic_tells_its_events_in_order_and_again_in_a_replay(
    server_kind: str, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    # The agent ends first, so that the listeners hear of its end.
    async with anyio.create_task_group() as tasks:
        async with media_rig(server_kind, tmp_path, observe, **QUICK) as rig:
            everything = await listen(tasks, rig.agent, *METHODS)
            single = {name: await listen(tasks, rig.agent, name) for name in METHODS}
            await live(rig, everything)
            again = await listen(tasks, rig.agent, *METHODS)
            await again.until("system_health_update", reason="A test asks.")
    assert everything.numbers() == sorted(everything.numbers())
    assert {each["method"] for each in everything.heard} == set(METHODS.values())
    _are_of_their_form(everything.heard)
    for name, listener in single.items():
        assert _without_links(listener.heard) == _without_links(everything.of(METHODS[name])), name
    assert _without_links(again.heard) == _without_links(everything.heard)
    for listener in (everything, *single.values(), again):
        (notice,) = listener.dropped
        assert (notice["params"]["reason"], notice["params"]["count"]) == ("agent_restarted", 0)


def _are_of_their_form(heard: Sequence[dict[str, Any]]) -> None:
    for each in heard:
        family = each["method"].replace("_", ".").partition(".")[0]
        form = FORMS.get(each["method"]) or FORMS[family]
        form.model_validate(each["params"])


def _without_links(heard: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was heard, without links, which are made anew for each receiver."""
    return [
        {**each, "params": {key: value for key, value in each["params"].items() if key != "download_url"}}
        for each in heard
    ]
