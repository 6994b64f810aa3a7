"""Home Assistant as the agent's hub: what the broker keeps for it, and its own starts."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import anyio

from agent_core.plugin import Clock
from mqtt_bridge.broker.messages import Incoming, Outgoing, Subscription
from mqtt_bridge.broker.part import BrokerPart, BrokerPublisher
from mqtt_bridge.home_assistant.descriptions import DescribedAgent, DescribedCamera, Descriptions

__all__ = ("HomeAssistantHub", "KeptTopics")

#: Topic at which Home Assistant tells its start and end, whatever its discovery prefix is, unless its users change it.
_DEFAULT_STATUS = "homeassistant/status"
#: Agents answer a start of Home Assistant within this time, each at another one.
_SPREAD_S = 60.0


class KeptTopics(Protocol):
    """Topics that the broker is to keep; see `RetainedTopics`."""

    def set(self, topic: str, message: Outgoing) -> None: ...

    def clear(self, topic: str) -> None: ...

    def repeat(self, topics: Iterable[str]) -> None: ...


class HomeAssistantHub(BrokerPart):
    """Keeper of the descriptions: those of cameras that are gone are cleared, and all are repeated when Home Assistant starts.

    The broker keeps them, so that Home Assistant needs the repetition only if the broker has lost them.

    Args:
        prefix: Home Assistant's discovery prefix.
        descriptions: maker of the descriptions.
        kept: topics that the broker is to keep.
        clock: for the pause before a repetition.
        random: returns a number from 0 to 1, another one for each agent.
    """

    def __init__(
        self,
        prefix: str,
        descriptions: Descriptions,
        kept: KeptTopics,
        *,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._statuses = tuple(dict.fromkeys((_DEFAULT_STATUS, f"{prefix}/status")))
        self._descriptions = descriptions
        self._kept = kept
        self._clock = clock
        self._random = random
        self._described: tuple[DescribedAgent, tuple[DescribedCamera, ...]] | None = None
        self._topics: frozenset[str] = frozenset()
        self._hub_started = anyio.Event()

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        return tuple(map(Subscription, self._statuses))

    def show(self, agent: DescribedAgent, cameras: Sequence[DescribedCamera]) -> None:
        """Describe the agent with these cameras, and no others. Never waits."""
        described = agent, tuple(cameras)
        if self._described == described:
            return
        self._described = described
        messages = self._descriptions.all(agent, cameras)
        for topic in self._topics - messages.keys():
            self._kept.clear(topic)
        for topic, payload in messages.items():
            self._kept.set(topic, Outgoing(topic, payload, retain=True, content_type="application/json"))
        self._topics = frozenset(messages)

    async def online(self, broker: BrokerPublisher) -> None:
        """Repeat the descriptions some time after each start of Home Assistant."""
        self._hub_started = anyio.Event()
        while True:
            await self._hub_started.wait()
            await self._clock.sleep(_SPREAD_S * self._random())
            self._hub_started = anyio.Event()
            self._kept.repeat(sorted(self._topics))

    def received(self, message: Incoming) -> None:
        """Note a start of Home Assistant; a message that the broker had kept tells of an earlier one."""
        if message.payload == b"online" and not message.retained:
            self._hub_started.set()
