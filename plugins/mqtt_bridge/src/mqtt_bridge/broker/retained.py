"""Retained topics of the agent: what the broker should keep, published as far as it differs."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from agent_core.plugin import Clock, first_of
from mqtt_bridge.broker.messages import Incoming, Outgoing, Subscription
from mqtt_bridge.broker.part import BrokerPart, BrokerPublisher

__all__ = ("RetainedTopics",)

#: Retained topics of ours from before, which are cleared if they are not wanted.
_STRANGERS = 10_000


class RetainedTopics(BrokerPart):
    """Mapping of topics to the messages that the broker should keep, shared by all parts that have some.

    At a new connection everything is published, then the birth message, and later only what changes. A topic below the
    filters that arrives from the broker, kept from an earlier run, is cleared unless it is wanted `settle_s` later.

    Args:
        clock: clock of the intervals.
        birth: message that follows what is retained, at each connection.
        min_interval_s: shortest time between two messages of one topic.
        settle_s: time after a connection in which the agent may still learn what it has.
    """

    def __init__(
        self, clock: Clock, *, birth: Outgoing, min_interval_s: float = 0.0, settle_s: float = 10.0
    ) -> None:
        self._clock = clock
        self._birth = birth
        self._min_interval_s = min_interval_s
        self._settle_s = settle_s
        self._filters: list[Subscription] = []
        self._wanted: dict[str, Outgoing | None] = {}
        self._sent: dict[str, Outgoing | None] = {}
        self._sent_at_s: dict[str, float] = {}
        self._changed_topics: dict[str, None] = {}
        self._changed = anyio.Event()
        self._strangers: dict[str, None] = {}
        self._arrived = anyio.Event()

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        return tuple(self._filters)

    def own(self, topic_filter: str) -> None:
        """Clear what is retained below a filter and not wanted. Call it before the first connection."""
        if all(each.filter != topic_filter for each in self._filters):
            self._filters.append(Subscription(topic_filter, kept=True))

    def set(self, topic: str, message: Outgoing) -> None:
        """Let the broker keep `message` as the newest of `topic`. Never waits."""
        message = replace(message, topic=topic, retain=True)
        if self._wanted.get(topic) != message:
            self._want(topic, message)

    def clear(self, topic: str) -> None:
        """Let the broker keep nothing in `topic`. Never waits."""
        if self._wanted.get(topic) is not None:
            self._want(topic, None)

    def repeat(self, topics: Iterable[str]) -> None:
        """Publish the wanted ones of `topics` again, although the broker has them. Never waits."""
        for topic in topics:
            if self._wanted.get(topic) is not None:
                self._sent.pop(topic, None)
                self._changed_topics[topic] = None
        self._changed.set()

    def _want(self, topic: str, message: Outgoing | None) -> None:
        self._wanted[topic] = message
        self._changed_topics[topic] = None
        self._changed.set()

    async def online(self, broker: BrokerPublisher) -> None:
        """Publish everything, the birth message, and then changes, until cancelled."""
        self._sent.clear()
        self._sent_at_s.clear()
        self._changed_topics = dict.fromkeys(self._wanted)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._clear_strangers, broker)
            await self._publish_due(broker)
            await broker.publish(self._birth)
            while True:
                self._changed = anyio.Event()
                pause_s = await self._publish_due(broker)
                if pause_s is None:
                    await self._changed.wait()
                else:
                    await first_of(self._changed.wait, partial(self._clock.sleep, pause_s))

    def received(self, message: Incoming) -> None:
        """Note a topic that the broker has kept."""
        topic = message.topic
        if message.retained and self._wanted.get(topic) is None and len(self._strangers) < _STRANGERS:
            self._strangers[topic] = None
            self._arrived.set()

    async def _publish_due(self, broker: BrokerPublisher) -> float | None:
        """Publish changed topics whose interval has passed; return the time until the next one, None if none waits."""
        now_s = self._clock.monotonic_s()
        pauses = {
            topic: self._sent_at_s[topic] + self._min_interval_s - now_s if topic in self._sent_at_s else 0.0
            for topic in self._changed_topics
        }
        async with anyio.create_task_group() as tasks:
            for topic in (topic for topic, pause_s in pauses.items() if pause_s <= 0):
                del self._changed_topics[topic]
                tasks.start_soon(self._publish, broker, topic)
        now_s = self._clock.monotonic_s()
        waiting = [
            self._sent_at_s.get(topic, now_s) + self._min_interval_s - now_s for topic in self._changed_topics
        ]
        return max(0.0, min(waiting)) if waiting else None

    async def _publish(self, broker: BrokerPublisher, topic: str) -> None:
        message = self._wanted.get(topic)
        if topic in self._sent and self._sent[topic] == message:
            return
        self._sent_at_s[topic] = self._clock.monotonic_s()
        await broker.publish(message or _nothing(topic))
        self._sent[topic] = message
        if message is None and self._wanted.get(topic) is None:
            for known in (self._wanted, self._sent, self._sent_at_s):
                known.pop(topic, None)

    async def _clear_strangers(self, broker: BrokerPublisher) -> None:
        await self._clock.sleep(self._settle_s)
        while True:
            self._arrived = anyio.Event()
            for topic in [*self._strangers]:
                del self._strangers[topic]
                if self._wanted.get(topic) is None:
                    await broker.publish(_nothing(topic))
            if not self._strangers:
                await self._arrived.wait()


def _nothing(topic: str) -> Outgoing:
    return Outgoing(topic, b"", retain=True)
