"""Client of a fleet of agents behind one broker."""

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Self

import anyio
from anyio import AsyncContextManagerMixin
from pydantic import JsonValue

from mqtt_bridge.broker.filters import matches
from mqtt_bridge.broker.messages import Incoming, Outgoing
from mqtt_bridge.client.access import BrokerAccess
from mqtt_bridge.client.agents import FleetAgent, Roster
from mqtt_bridge.client.answers import Answer, answer_of, unanswered
from mqtt_bridge.client.calls import CALL_LIFETIME_S, OutgoingCall
from mqtt_bridge.client.connection import FleetConnection
from mqtt_bridge.client.errors import (
    BrokerLost,
    BrokerUnreachable,
    CallInterrupted,
    NoAnswer,
    RequestUnusable,
)
from mqtt_bridge.client.keys import chosen_keys
from mqtt_bridge.client.pending import PendingCall, PendingCalls
from mqtt_bridge.client.selector import Selector
from mqtt_bridge.client.watch import EventWatch
from mqtt_bridge.identity import AGENT_ID
from mqtt_bridge.topics import AgentTopics, reply_topic

__all__ = ("FleetClient",)

#: Reason code of the broker for a message without a subscriber.
_NO_SUBSCRIBER = 0x10
#: Largest message that a broker may send; agents' replies have at most 16 MiB.
_PACKET_BYTES = 16_777_216
_CLIENT_ID_BYTES = 8


class FleetClient(AsyncContextManagerMixin):
    """Client of all agents of one broker; enter its context to connect. Any number of tasks may use it at once.

    It connects again after a break. Calls are signed, and only replies that the agent has signed count; the state and the events of agents
    are not signed, so the broker could make them up.

    Args:
        broker: address of the broker, or the address with credentials.
        key: key of kind `mqtt` that the agents have; None if only `fleet_key` is given, or for no calls.
        fleet_key: key of the fleet, from which the agents' own keys are derived.
        prefix: first levels of all topics.
        client: name of this client, unique at the broker, by which agents keep its session; default: a random one.
        deadline_s: default limit of a call, from its issue to its answer.
        connect_timeout_s: limit of one attempt to connect.
        now: clock of the calls' times, in UTC.

    Raises:
        ValueError: an argument cannot be used; the message is a clause.

    Raises on entering:
        BrokerUnreachable: no broker answers.
        BrokerRefused: the broker refuses this client.
    """

    def __init__(
        self,
        broker: str | BrokerAccess,
        *,
        key: str | None = None,
        fleet_key: str | None = None,
        prefix: str = "camera-agent",
        client: str | None = None,
        deadline_s: float = 20.0,
        connect_timeout_s: float = 10.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        access = BrokerAccess(broker) if isinstance(broker, str) else broker
        self.name = client or f"fleet-{secrets.token_hex(_CLIENT_ID_BYTES)}"
        if not AGENT_ID.fullmatch(self.name):
            raise ValueError("the name of a client has 1 to 64 letters, digits and _ . -")
        self._keys = chosen_keys(key, fleet_key)
        self._prefix = prefix
        self._deadline_s = deadline_s
        self._now = now
        self._own_topic = reply_topic(prefix, self.name)
        self._pending = PendingCalls()
        self._takers: list[tuple[tuple[str, ...], Callable[[Incoming], None]]] = []
        self._sentinels: dict[bytes, anyio.Event] = {}
        self._connection = FleetConnection(
            access.settings(prefix, connect_timeout_s, _PACKET_BYTES),
            self.name,
            self._own_topic,
            received=self._received,
            lost=self._lost,
        )

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            try:
                await tasks.start(self._connection.run)
                self._tasks = tasks
                yield self
            except Exception as error:  # noqa: BLE001 - raised again below, outside the task group, which would wrap it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @property
    def is_connected(self) -> bool:
        """True while the broker is connected; false during a break."""
        return self._connection.is_open

    async def wait_connected(self) -> None:
        """Wait until the broker is connected. Raises BrokerRefused if it refuses this client by now."""
        await self._connection.wait_open()

    async def agents(self, only: str | None = None, *, limit_s: float = 30.0) -> list[FleetAgent]:
        """Return the agents that the broker has kept the state of, sorted by id, online or not.

        Args:
            only: id of the one agent to look for.
            limit_s: longest time; a break of the connection in between is waited for.

        Raises:
            BrokerUnreachable: the broker did not answer in time.
            BrokerRefused: the broker refuses a subscription, or a message to the client's own topic for replies.
        """
        with anyio.move_on_after(limit_s):
            while True:
                roster = Roster(self._prefix)
                try:
                    async with self._listening(roster.filters(only or "+"), roster.take):
                        await self._all_kept_received()
                        return [*roster]
                except BrokerLost:
                    await self._connection.wait_open()
        raise BrokerUnreachable(
            "The MQTT broker did not send the state of the agents in time.", reason="timeout"
        )

    async def select(self, selector: Selector | str) -> list[FleetAgent]:
        """Return the agents that `selector` means, sorted by id. Raises as `agents`, and ValueError for no selector."""
        chosen = Selector.parse(selector) if isinstance(selector, str) else selector
        return [each for each in await self.agents(chosen.only) if chosen.matches(each)]

    async def call(self, agent: str, method: str, /, **params: JsonValue) -> JsonValue:
        """Call `method` of an agent and return its result as plain JSON values.

        Raises:
            CallFailed: the agent answered with an error.
            CallInterrupted: the connection ended meanwhile; the call may have taken effect.
            NoAnswer: no agent with this id is connected, or there was no valid answer in time.
            RequestUnusable: the call cannot be signed or sent.
            BrokerRefused: the broker refuses the call.
        """
        return await self.request(agent, method, params)

    async def request(
        self,
        agent: str,
        method: str,
        params: Mapping[str, JsonValue],
        *,
        deadline_s: float | None = None,
    ) -> JsonValue:
        """Call as `call`, with a limit of its own; beyond 30 s the agent must have begun by then."""
        limit_s = self._deadline_s if deadline_s is None else deadline_s
        pending: PendingCall | None = None
        with anyio.move_on_after(limit_s):
            await self._connection.wait_open()
            signed = self._signed(agent, method, params, limit_s)
            with self._pending.waiting(signed) as pending:
                return await self._answered(pending, agent, method)
        raise unanswered(agent, method, limit_s, pending)

    async def call_many(
        self,
        agents: Iterable[FleetAgent | str],
        method: str,
        params: Mapping[str, JsonValue] | None = None,
        *,
        deadline_s: float | None = None,
        concurrency: int = 100,
    ) -> AsyncGenerator[Answer]:
        """Call `method` of many agents; yield their answers as they come, errors included. Close the generator to end early.

        Args:
            agents: agents to call; those that are known to be offline are not called.
            method: the method.
            params: its parameters; None for none.
            deadline_s: limit of each call, from its issue.
            concurrency: most calls under way at a time.
        """

        async def ask(agent: FleetAgent) -> JsonValue:
            return await self.request(agent.id, method, params or {}, deadline_s=deadline_s)

        async with aclosing(self.for_each(agents, ask, concurrency=concurrency)) as answers:
            async for answer in answers:
                yield answer

    async def for_each(
        self,
        agents: Iterable[FleetAgent | str],
        work: Callable[[FleetAgent], Awaitable[JsonValue]],
        *,
        concurrency: int = 100,
    ) -> AsyncGenerator[Answer]:
        """Do `work` with many agents, as `call_many` does its call; a FleetError that it raises is that agent's answer.

        Raises:
            ValueError: `concurrency` is less than 1.
            Exception: another error of `work`, which ends the work with all agents.
        """
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        chosen = [FleetAgent(each, is_online=True) if isinstance(each, str) else each for each in agents]
        send, receive = anyio.create_memory_object_stream[Answer](max(1, len(chosen)))
        waiting = iter(chosen)
        scope = anyio.CancelScope()
        failures: list[Exception] = []

        async def keep_working() -> None:
            try:
                for agent in waiting:
                    send.send_nowait(await answer_of(agent, work))
            except Exception as error:  # noqa: BLE001 - raised below; here it would end the whole client
                failures.append(error)
                scope.cancel()

        async def all_of_them() -> None:
            with scope, send:
                async with anyio.create_task_group() as workers:
                    for _ in range(min(concurrency, len(chosen))):
                        workers.start_soon(keep_working)

        self._tasks.start_soon(all_of_them)
        try:
            with receive:
                async for answer in receive:
                    yield answer
        finally:
            scope.cancel()
        if failures:
            raise failures[0]

    @asynccontextmanager
    async def watch(
        self, selector: Selector | str = "all", *, capacity: int = 1000
    ) -> AsyncGenerator[EventWatch]:
        """Receive the events of the agents that `selector` means, over breaks of the connection, while the context is open.

        Args:
            selector: the agents; those that appear later belong to it, too.
            capacity: unread events to hold; then the oldest are dropped, and counted in `missed`.

        Raises:
            BrokerLost, BrokerRefused: as for `agents`.
            ValueError: `selector` is not one.
        """
        chosen = Selector.parse(selector) if isinstance(selector, str) else selector
        watch = EventWatch(self._prefix, chosen, capacity)
        async with self._listening(watch.filters, watch.take):
            yield watch

    def _signed(
        self, agent: str, method: str, params: Mapping[str, JsonValue], limit_s: float
    ) -> OutgoingCall:
        if self._keys is None:
            raise RequestUnusable(
                "Calls need a key.", reason="no_key", suggestion="Give the key of an agent or of the fleet."
            )
        if not AGENT_ID.fullmatch(agent):
            raise RequestUnusable(f"'{agent}' is not the id of an agent.", reason="bad_agent")
        return OutgoingCall.sign(
            AgentTopics(self._prefix, agent),
            self.name,
            self._keys.of(agent),
            method,
            params,
            now=self._now(),
            lifetime_s=min(limit_s, CALL_LIFETIME_S),
        )

    async def _answered(self, pending: PendingCall, agent: str, method: str) -> JsonValue:
        try:
            code = await self._connection.publish(pending.call.message())
            if code == _NO_SUBSCRIBER:
                raise NoAnswer(
                    f"No agent {agent} takes calls at the broker.",
                    reason="not_connected",
                    suggestion="Check the agent's id, that the agent runs, and that its commands.enabled is not off.",
                )
            reply = await pending.reply()
        except BrokerLost as error:
            raise CallInterrupted(
                f"The connection to the broker ended during the call of {method}: it may have taken effect."
            ) from error
        return reply.value()

    @asynccontextmanager
    async def _listening(
        self, filters: tuple[str, ...], take: Callable[[Incoming], None]
    ) -> AsyncGenerator[None]:
        taker = (filters, take)
        self._takers.append(taker)
        try:
            async with self._connection.subscribed(filters):
                yield
        finally:
            self._takers.remove(taker)

    async def _all_kept_received(self) -> None:
        """Wait until the broker has sent what it keeps: a message to this client itself comes after that."""
        sentinel, arrived = secrets.token_bytes(16), anyio.Event()
        self._sentinels[sentinel] = arrived
        try:
            await self._connection.publish(Outgoing(self._own_topic, b"", correlation=sentinel, expiry_s=60))
            while not arrived.is_set():
                await arrived.wait()
                if sentinel not in self._sentinels:
                    raise BrokerLost("The connection to the MQTT broker has ended.")
        finally:
            self._sentinels.pop(sentinel, None)

    def _received(self, message: Incoming) -> None:
        if message.topic == self._own_topic:
            sentinel = self._sentinels.get(message.correlation or b"")
            if sentinel is not None:
                sentinel.set()
            else:
                self._pending.take(message)
            return
        for filters, take in self._takers:
            if any(matches(each, message.topic) for each in filters):
                take(message)

    def _lost(self) -> None:
        self._pending.lose_all()
        sentinels, self._sentinels = self._sentinels, {}
        for each in sentinels.values():
            each.set()
