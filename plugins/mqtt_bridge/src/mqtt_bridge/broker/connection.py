"""Connection to the broker: made again as often as it ends."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

import anyio

from agent_core.plugin import Clock, DependencyFailed
from mqtt_bridge.broker.address import BrokerAddress
from mqtt_bridge.broker.client import BrokerClient, BrokerLimits, ConnectionRefused
from mqtt_bridge.broker.filters import matches
from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.broker.opening import BrokerOpening
from mqtt_bridge.broker.outages import Outages
from mqtt_bridge.broker.part import BrokerLost, BrokerPart
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.broker.publisher import DroppedTopics, LivePublisher
from mqtt_bridge.broker.reasons import (
    TAKEN_OVER_CODE,
    BrokerProblem,
    disconnected,
    misbehaving,
    refused_topic,
)
from mqtt_bridge.broker.status import BrokerStatus
from mqtt_bridge.settings import MqttBridgeSettings
from mqtt_bridge.topics import AgentTopics

__all__ = ("BrokerConnection",)

#: Limit of the farewell at the agent's end.
_FAREWELL_S = 2.0
#: Time for a broker to send what it has kept.
_HEARING_S = 5.0
#: Pause between two corrections of the status.
_CORRECTION_PAUSE_S = 5.0

_log = logging.getLogger("camera_agent.mqtt_bridge")


class BrokerConnection:
    """Owner of the connection and of what the parts do with it.

    Args:
        settings: the plugin's settings, with an address.
        topics: the agent's topics; the agent's id is also its client identifier.
        parts: parts of the bridge, in the order in which they begin.
        presence: birth message, which a part publishes, and last will.
        clock: clock of the pauses.
        status: state to keep.
    """

    def __init__(
        self,
        settings: MqttBridgeSettings,
        topics: AgentTopics,
        parts: Sequence[BrokerPart],
        *,
        presence: Presence,
        clock: Clock,
        status: BrokerStatus,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._parts = tuple(parts)
        self._clock = clock
        self._status = status
        self._opening = BrokerOpening(settings, self._received)
        self._outages = Outages(settings.reconnect_spread_s)
        self._dropped = DroppedTopics()
        self._presence = presence
        self._rival: BrokerProblem | None = None
        self._contradicted = anyio.Event()
        #: Filters of kept messages that have been heard.
        self._heard: set[str] = set()
        self._faulty: set[int] = set()

    async def run(self) -> None:
        """Connect again and again until cancelled."""
        address = self._settings.address
        if address is None:
            return
        while True:
            lasted_s, problem = await self._once(address)
            if self._rival is not None and problem.reason == "mqtt_closed":
                problem = self._rival
            self._rival = None
            self._ended(address, problem, lasted_s)
            await self._clock.sleep(self._outages.pause_s(problem))

    async def _once(self, address: BrokerAddress) -> tuple[float, BrokerProblem]:
        """Try to connect, and serve the connection to its end. Returns its length, and why it ended."""
        began_s: float | None = None
        try:
            client = await self._opening.dial(address, self._topics.agent, self._presence.farewell)
            try:
                limits = await self._opening.introduce(client, address)
                began_s = self._clock.monotonic_s()
                self._connected(address)
                problem = await self._serve(client, limits)
            finally:
                client.close()
        except ConnectionRefused as refusal:
            problem = refusal.problem
            self._presence.adapt(problem.code)
        except DependencyFailed as error:
            problem = BrokerProblem(error.reason, error.details, error.suggestion)
        return 0.0 if began_s is None else self._clock.monotonic_s() - began_s, problem

    async def _serve(self, client: BrokerClient, limits: BrokerLimits) -> BrokerProblem:
        publisher = LivePublisher(client, limits, status=self._status, dropped=self._dropped)
        problem: BrokerProblem | None = None
        try:
            async with anyio.create_task_group() as work:
                work.start_soon(_until_lost, partial(self._work, client, publisher))
                problem = await client.run()
                publisher.close()
                work.cancel_scope.cancel()
        finally:
            self._status.is_connected = False
            if problem is None:
                with anyio.move_on_after(_FAREWELL_S, shield=True):
                    await self._leave(client, publisher)
            publisher.close()
        assert problem is not None  # noqa: S101 - else the scope above was cancelled
        return problem

    async def _leave(self, client: BrokerClient, publisher: LivePublisher) -> None:
        try:
            await publisher.publish(self._presence.farewell)
        except BrokerLost:
            return
        await client.leave()

    async def _work(self, client: BrokerClient, publisher: LivePublisher) -> None:
        """Subscribe for all parts, then let each use the connection."""
        self._presence.begin()
        self._contradicted = anyio.Event()
        wanted = [each for part in self._parts for each in part.subscriptions]
        live = {each.filter: False for each in wanted if not each.kept}
        kept = {
            each.filter: True for each in wanted if each.kept and each.filter not in {*live, *self._heard}
        }
        as_published = {each.filter for each in wanted if each.as_published}
        await self._subscribe(client, {self._topics.status: True, **live, **kept}, as_published)
        async with anyio.create_task_group() as work:
            work.start_soon(_until_lost, partial(self._hear, client, kept))
            work.start_soon(_until_lost, partial(self._correct, publisher))
            for part in self._parts:
                work.start_soon(_until_lost, partial(part.online, publisher))

    async def _subscribe(
        self, client: BrokerClient, filters: Mapping[str, bool], as_published: Collection[str]
    ) -> None:
        """Subscribe; a broker that answers pings, and not this, would leave the bridge waiting for ever.

        Raises:
            BrokerLost: the connection has ended, or the broker does not answer.
        """
        with anyio.move_on_after(self._settings.connect_timeout_s):
            codes = await client.subscribe_all(filters, as_published=as_published)
            for refused, code in codes.items():
                if code >= 0x80:
                    self._dropped.tell(refused, f"refuses the subscription: it {refused_topic(code)}")
            return
        client.end(misbehaving("accepts the connection, and does not answer the agent's SUBSCRIBE in time"))
        raise BrokerLost

    async def _hear(self, client: BrokerClient, kept: Iterable[str]) -> None:
        """Listen for a while to what the broker has kept; from then on it would be the agent's own alone."""
        await self._clock.sleep(_HEARING_S)
        self._heard.update(kept)
        await client.unsubscribe_all(kept)

    async def _correct(self, publisher: LivePublisher) -> None:
        """Repeat the birth message when others have written the status: it would stay wrong until the next connection."""
        while True:
            await self._contradicted.wait()
            self._contradicted = anyio.Event()
            await publisher.publish(self._presence.birth)
            await self._clock.sleep(_CORRECTION_PAUSE_S)

    def _received(self, message: Incoming) -> None:
        if message.topic == self._topics.status and self._presence.is_contradicted(message):
            self._contradicted.set()
        if (
            message.topic == self._topics.status
            and self._rival is None
            and self._presence.shows_rival(message)
        ):
            self._rival = self._status.problem = disconnected(TAKEN_OVER_CODE)
            _log.warning("%s %s", self._rival.details, self._rival.suggestion)
        for index, part in enumerate(self._parts):
            if any(matches(each.filter, message.topic) for each in part.subscriptions):
                try:
                    part.received(message)
                except Exception:  # noqa: BLE001 - logged once: a message could be sent again and again
                    if index not in self._faulty:
                        self._faulty.add(index)
                        _log.exception("A part of the MQTT bridge failed at a message")

    def _connected(self, address: BrokerAddress) -> None:
        self._status.is_connected, self._status.problem = True, None
        self._status.connections += 1
        if self._outages.connected() or self._status.connections == 1:
            _log.info("Connected to the MQTT broker %s as %s", address, self._topics.agent)

    def _ended(self, address: BrokerAddress, problem: BrokerProblem, lasted_s: float) -> None:
        self._status.problem = problem
        if self._outages.ended(problem, lasted_s):
            _log.warning(
                "%s %s The agent goes on without the broker, and tries again.",
                problem.details,
                problem.suggestion,
                extra={"fields": {"reason": problem.reason, "broker": str(address)}},
            )


async def _until_lost(use: Callable[[], Awaitable[None]]) -> None:
    try:
        await use()
    except* BrokerLost:
        pass  # the connection's own task ends the others
