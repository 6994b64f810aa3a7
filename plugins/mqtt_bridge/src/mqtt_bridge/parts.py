"""List of the parts of the bridge. A module of its own, as each feature adds itself here and nowhere else."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from agent_core.plugin import NOT_ASKED, AgentContext, Started
from mqtt_bridge.broker.part import BrokerPart
from mqtt_bridge.broker.retained import RetainedTopics
from mqtt_bridge.broker.status import BrokerStatus
from mqtt_bridge.settings import MqttBridgeSettings
from mqtt_bridge.topics import AgentTopics

__all__ = ("Bridge", "BridgeParts", "bridge_parts")


@dataclass(frozen=True, slots=True)
class Bridge:
    """Agent, settings, topics, retained topics and state of the connection, which all parts share."""

    agent: AgentContext
    settings: MqttBridgeSettings
    topics: AgentTopics
    retained: RetainedTopics
    status: BrokerStatus


class BridgeTask(Protocol):
    """Task that lives as long as the bridge, with and without a broker.

    It calls `task_status.started()` when it has set its first retained topics: the bridge connects after that.
    """

    def __call__(self, *, task_status: Started = NOT_ASKED) -> Coroutine[Any, Any, None]: ...


@dataclass(frozen=True, slots=True)
class BridgeParts:
    """Parts that use the connection, and tasks that run beside it."""

    online: tuple[BrokerPart, ...]
    tasks: tuple[BridgeTask, ...]


#: Builder of the parts of one bridge; another one in tests and benchmarks.
PartsBuilder = Callable[[Bridge], BridgeParts]


def bridge_parts(bridge: Bridge) -> BridgeParts:
    """Build all parts that the settings ask for."""
    online: list[BrokerPart] = [bridge.retained]
    tasks: list[BridgeTask] = []
    bridge.retained.own(bridge.topics.all_state)
    return BridgeParts(tuple(online), tuple(tasks))
