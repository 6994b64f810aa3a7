"""List of the parts of the bridge. A module of its own, as each feature adds itself here and nowhere else."""

import platform
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from agent_core.plugin import NOT_ASKED, AgentContext, Started
from mqtt_bridge.agent_link import AgentLink
from mqtt_bridge.broker.part import BrokerPart
from mqtt_bridge.broker.retained import RetainedTopics
from mqtt_bridge.broker.status import BrokerStatus
from mqtt_bridge.calls.desk import CallDesk
from mqtt_bridge.events.part import EventsPart, chosen_topics
from mqtt_bridge.home_assistant.feature import HomeAssistant
from mqtt_bridge.memory import BridgeMemory
from mqtt_bridge.pictures.part import PicturesPart
from mqtt_bridge.settings import MqttBridgeSettings
from mqtt_bridge.state.documents import AgentFacts
from mqtt_bridge.state.mirror import StateMirror, StatePace
from mqtt_bridge.state.view import AgentReader
from mqtt_bridge.topics import AgentTopics

__all__ = ("Bridge", "BridgeParts", "bridge_parts")


@dataclass(frozen=True, slots=True)
class Bridge:
    """Agent, settings, topics, retained topics, state of the connection and memory, which all parts share."""

    agent: AgentContext
    settings: MqttBridgeSettings
    topics: AgentTopics
    retained: RetainedTopics
    status: BrokerStatus
    memory: BridgeMemory


class BridgeTask(Protocol):
    """Task that lives as long as the bridge, with and without a broker.

    It calls `task_status.started()` when it has set its first retained topics: the bridge connects after that.
    """

    def __call__(self, *, task_status: Started = NOT_ASKED) -> Coroutine[Any, Any, None]: ...


@dataclass(frozen=True, slots=True)
class BridgeParts:
    """Parts that use the connection, and tasks that run beside it; `pictures` publishes pictures on demand."""

    online: tuple[BrokerPart, ...]
    tasks: tuple[BridgeTask, ...]
    pictures: PicturesPart | None = None


#: Builder of the parts of one bridge; another one in tests and benchmarks.
PartsBuilder = Callable[[Bridge], BridgeParts]


def bridge_parts(bridge: Bridge) -> BridgeParts:
    """Build all parts that the settings ask for."""
    settings, clock = bridge.settings, bridge.agent.clock
    bridge.retained.own(bridge.topics.all_state)
    calls = AgentLink(bridge.agent.sessions, "viewer", clock, place=bridge.memory.place)
    admin = AgentLink(bridge.agent.sessions, "admin", clock)
    mirror = _mirror(bridge, AgentReader(calls, admin))
    calls.listen(mirror)
    pictures = PicturesPart(bridge.topics, settings.pictures, calls, mirror.note_picture, clock)
    mirror.observe(lambda view: pictures.see(view.camera_ids, view.connected))
    hub = HomeAssistant(bridge.agent, settings, bridge.topics, _name(bridge), bridge.retained)
    mirror.observe(hub.see)
    online: list[BrokerPart] = [bridge.retained, pictures, *hub.online]
    if settings.events.enabled:
        events = _events(bridge)
        calls.listen(events)
        online.append(events)
    tasks: list[BridgeTask] = [hub.run, _Follower(calls, admin, mirror).run]
    if settings.commands.enabled:
        desk = CallDesk(bridge.topics, settings.commands, bridge.agent.sessions, clock)
        online.append(desk)
        tasks.append(desk.run)
    return BridgeParts(
        tuple(online),
        tuple(tasks),
        pictures if settings.pictures.on_demand else None,
    )


def _name(bridge: Bridge) -> str:
    return bridge.settings.name or platform.node()


def _mirror(bridge: Bridge, reader: AgentReader) -> StateMirror:
    settings = bridge.settings
    limits = {
        "calls": settings.commands.enabled,
        "control": settings.home_assistant.enabled and settings.home_assistant.control,
        "max_request_bytes": settings.commands.max_request_bytes,
        "max_reply_bytes": settings.commands.max_reply_bytes,
        "max_packet_bytes": settings.max_packet_bytes,
    }
    return StateMirror(
        bridge.topics,
        AgentFacts(bridge.topics.agent, _name(bridge), settings.labels, limits),
        reader,
        bridge.retained,
        told=bridge.memory.told,
        qos=settings.state.qos,
        clock=bridge.agent.clock,
        pace=StatePace(settings.state.min_interval_s, settings.state.refresh_s),
    )


def _events(bridge: Bridge) -> EventsPart:
    settings, outbox = bridge.settings.events, bridge.memory.outbox
    outbox.configure(settings.kept, settings.kept_bytes)
    return EventsPart(
        bridge.topics,
        chosen_topics(settings.topics),
        outbox,
        bridge.agent.clock,
        qos=settings.qos,
        per_s=settings.per_s,
    )


@dataclass(frozen=True, slots=True)
class _Follower:
    """Task that follows the agent: its own sessions, and the mirror."""

    calls: AgentLink
    admin: AgentLink
    mirror: StateMirror

    async def run(self, *, task_status: Started = NOT_ASKED) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.calls.run)
            tasks.start_soon(self.admin.run)
            await tasks.start(self.mirror.run, await self.calls.followed())
            task_status.started()
