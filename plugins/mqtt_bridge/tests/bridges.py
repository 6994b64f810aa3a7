"""Bridges without an agent: the component with parts of the test's own, at a real broker."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from agent_core.plugin import Clock
from agent_core.testing import FakeAgent, SystemClock
from mqtt_bridge.broker.messages import Incoming, Subscription
from mqtt_bridge.broker.part import BrokerPart, BrokerPublisher
from mqtt_bridge.component import MqttBridge
from mqtt_bridge.parts import Bridge, BridgeParts, PartsBuilder, bridge_parts
from mqtt_bridge.settings import MqttBridgeSettings

__all__ = ("BridgeUnderTest", "ScriptedPart", "running_bridge", "with_parts")


class ScriptedPart:
    """Part that keeps what it receives, and lends its connection to the test."""

    def __init__(self, *filters: str) -> None:
        self.subscriptions: Sequence[Subscription] = tuple(Subscription(each) for each in filters)
        self.messages: list[Incoming] = []
        self.connections = 0
        self.broker: BrokerPublisher | None = None
        self._changed = anyio.Event()

    async def online(self, broker: BrokerPublisher) -> None:
        self.broker = broker
        self.connections += 1
        self._announce()
        try:
            await anyio.sleep_forever()
        finally:
            self.broker = None
            self._announce()

    def received(self, message: Incoming) -> None:
        self.messages.append(message)
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def wait_online(self, connections: int = 1) -> BrokerPublisher:
        """Return the connection once there is one, and have been as many."""
        with anyio.fail_after(30):
            while self.broker is None or self.connections < connections:
                await self._changed.wait()
        return self.broker

    async def wait_offline(self) -> None:
        with anyio.fail_after(30):
            while self.broker is not None:
                await self._changed.wait()

    async def wait_messages(self, count: int) -> list[Incoming]:
        with anyio.fail_after(20):
            while len(self.messages) < count:
                await self._changed.wait()
        return self.messages


def with_parts(*parts: BrokerPart) -> PartsBuilder:
    """Return a builder of the retained topics and these parts, and nothing else."""

    def build(bridge: Bridge) -> BridgeParts:
        bridge.retained.own(bridge.topics.all_state)
        return BridgeParts((bridge.retained, *parts), ())

    return build


class BridgeUnderTest:
    """Running bridge; `bridge` has what its parts share."""

    def __init__(self, component: MqttBridge, made: list[Bridge]) -> None:
        self.component = component
        self._made = made

    @property
    def bridge(self) -> Bridge:
        return self._made[-1]


@asynccontextmanager
async def running_bridge(
    folder: Path, *, parts: PartsBuilder = bridge_parts, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[BridgeUnderTest]:
    """Run a bridge with settings of `[plugins.mqtt_bridge]` while the context is open; the agent's id is `box`."""
    folder.mkdir(exist_ok=True)
    made: list[Bridge] = []

    def build(bridge: Bridge) -> BridgeParts:
        made.append(bridge)
        return parts(bridge)

    values = MqttBridgeSettings.model_validate({"agent_id": "box", **settings})
    component = MqttBridge(FakeAgent(folder, clock=clock or SystemClock()), values, parts=build)
    async with anyio.create_task_group() as tasks:
        await tasks.start(component.run)
        try:
            while not made:
                await anyio.lowlevel.checkpoint()
            yield BridgeUnderTest(component, made)
        finally:
            tasks.cancel_scope.cancel()


def warnings_of(caplog: Any) -> list[str]:
    """Return what the bridge has logged, from INFO on."""
    return [
        each.getMessage()
        for each in caplog.records
        if each.name == "camera_agent.mqtt_bridge" and each.levelno >= logging.INFO
    ]
