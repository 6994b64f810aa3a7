"""Part of the bridge that publishes the agent's events."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import anyio

from agent_core.plugin import Clock
from mqtt_bridge.broker.messages import Incoming, Outgoing, Subscription
from mqtt_bridge.broker.part import BrokerPublisher
from mqtt_bridge.events.outbox import EventOutbox
from mqtt_bridge.link import EVENTS_DROPPED, AgentEvent
from mqtt_bridge.topics import AgentTopics

__all__ = ("AGENT_TOPICS", "EventsPart", "chosen_topics")

#: The agent's own topics, without summaries of others.
AGENT_TOPICS = (
    "camera.connected",
    "camera.disconnected",
    "camera.status_change",
    "camera.controls",
    "recording.start",
    "recording.stop",
    "recording.error",
    "snapshot.taken",
    "system.health",
    "system.startup",
    "system.shutdown",
    "plugin.quarantined",
)

#: Events that may leave at once after a quiet time: more than one change makes.
_BURST = 5


class EventsPart:
    """Publisher of events, one after the other: the next leaves when the broker has acknowledged the one before.

    Order and delivery do not depend on how the broker treats messages that are on their way together, nor on what a
    client library sends again.

    Args:
        topics: the agent's topics.
        wanted: topics of events to publish.
        outbox: keeps what waits.
        clock: for the rate.
        qos: 0 or 1.
        per_s: most events per second.
    """

    subscriptions: Sequence[Subscription] = ()

    def __init__(
        self,
        topics: AgentTopics,
        wanted: Sequence[str],
        outbox: EventOutbox,
        clock: Clock,
        *,
        qos: int,
        per_s: float,
    ) -> None:
        self.topics = tuple(wanted)
        self._topics = topics
        self._outbox = outbox
        self._clock = clock
        self._qos = qos
        self._interval_s = 1 / per_s
        #: Time at which an even flow of the events sent so far would have ended.
        self._even_s = 0.0
        self._arrived = anyio.Event()

    def take(self, event: AgentEvent) -> None:
        """Queue an event, if it is of a wanted topic."""
        if event.topic in self.topics or event.topic == EVENTS_DROPPED:
            self._outbox.add(event)
            self._arrived.set()

    def received(self, message: Incoming) -> None:
        """Do nothing: this part subscribes to nothing."""

    async def online(self, broker: BrokerPublisher) -> None:
        """Publish what waits and what comes; the event that was on its way at the last break comes first."""
        while True:
            letter = self._outbox.next()
            if letter is None:
                self._arrived = anyio.Event()
                await self._arrived.wait()
                continue
            await self._keep_pace()
            await broker.publish(
                Outgoing(
                    self._topics.event(letter.topic),
                    letter.payload,
                    qos=self._qos,
                    content_type="application/json",
                )
            )
            self._outbox.delivered()

    async def _keep_pace(self) -> None:
        now_s = self._clock.monotonic_s()
        early_s = self._even_s - (_BURST - 1) * self._interval_s - now_s
        if early_s > 0:
            await self._clock.sleep(early_s)
        self._even_s = max(self._even_s, self._clock.monotonic_s()) + self._interval_s


def chosen_topics(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the topics that the settings name: the agent's own by pattern, any other by its name."""
    matching = [topic for topic in AGENT_TOPICS if any(fnmatchcase(topic, each) for each in patterns)]
    named = [each for each in patterns if "*" not in each]
    return tuple(dict.fromkeys((*matching, *named)))
