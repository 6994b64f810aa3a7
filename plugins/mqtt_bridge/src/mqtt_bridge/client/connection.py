"""Connection of a fleet client: made again as often as it ends, with the same subscriptions."""

import math
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiomqtt
import anyio
from anyio.abc import TaskStatus
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent_core.plugin import DependencyFailed, GrowingPauses
from mqtt_bridge.broker.address import BrokerAddress
from mqtt_bridge.broker.client import BrokerClient, BrokerLimits, ConnectionRefused
from mqtt_bridge.broker.messages import Incoming, Outgoing
from mqtt_bridge.broker.opening import BrokerOpening
from mqtt_bridge.broker.part import BrokerLost as ConnectionEnded
from mqtt_bridge.broker.reasons import BrokerProblem, refused_topic
from mqtt_bridge.broker.sender import PacketSender, PacketTooLarge
from mqtt_bridge.client.access import fleet_error
from mqtt_bridge.client.errors import (
    BrokerLost,
    BrokerRefused,
    FleetError,
    RequestUnusable,
)
from mqtt_bridge.settings import MqttBridgeSettings

__all__ = ("FleetConnection",)

#: Pauses between attempts. A person waits for this client, so they stay short.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_FAREWELL_S = 1.0
#: Brokers drop what waits for a client with QoS 1 beyond some number, such as 1,000: too few for the state of a fleet.
_QOS = {True: 1, False: 0}

T = TypeVar("T")


class _Live:
    """Connection that is up."""

    def __init__(self, client: BrokerClient, limits: BrokerLimits) -> None:
        self.client = client
        self.sender = PacketSender(client, limits)
        self._waits: set[anyio.CancelScope] = set()
        self._has_ended = False

    async def during(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `operation`. Raises BrokerLost if the connection ends before."""
        if not self._has_ended:
            with anyio.CancelScope() as wait:
                self._waits.add(wait)
                try:
                    return await operation()
                except aiomqtt.MqttError as error:
                    raise _lost() from error
                finally:
                    self._waits.discard(wait)
        raise _lost()

    def end(self) -> None:
        """End all that waits for the broker."""
        self._has_ended = True
        self.sender.close()
        for each in [*self._waits]:
            each.cancel()


class FleetConnection:
    """Connection to one broker. `run` owns it; any number of tasks may use it meanwhile.

    Args:
        settings: the broker, and the limits of the connection.
        client_id: name at the broker.
        standing: filter of what is subscribed to at all times.
        received: takes each message. Must not raise.
        lost: called whenever a connection has ended.
    """

    def __init__(
        self,
        settings: MqttBridgeSettings,
        client_id: str,
        standing: str,
        *,
        received: Callable[[Incoming], None],
        lost: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._lost = lost
        self._filters = Counter([standing])
        self._reliable = frozenset({standing})
        self._opening = BrokerOpening(settings, received)
        self._live: _Live | None = None
        self._given_up: FleetError | None = None
        #: Set while the connection is up, and once it was given up.
        self._changed = anyio.Event()

    @property
    def is_open(self) -> bool:
        return self._live is not None

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Connect, and again after each break; the first connection counts as started.

        Raises:
            FleetError: the first attempt failed. Later a broker that refuses the client ends all that waits.
        """
        pauses = GrowingPauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        is_first = True

        def opened() -> None:
            nonlocal is_first
            pauses.reset()
            if is_first:
                is_first = False
                task_status.started()

        try:
            while True:
                error = await self._once(opened)
                if is_first:
                    raise error
                if isinstance(error, BrokerRefused):
                    self._given_up = error
                    return
                await anyio.sleep(pauses.next_s() * random.uniform(0.5, 1.0))  # noqa: S311 - a spread, no secret
        finally:
            self._given_up = self._given_up or BrokerLost("This client has been closed.", reason="closed")
            self._changed.set()

    async def wait_open(self) -> None:
        """Wait until there is a connection. Raises BrokerRefused once the broker has refused this client, or BrokerLost."""
        await self._usable()

    async def publish(self, message: Outgoing) -> int:
        """Publish, and return the broker's reason code: 16 if there is no subscriber, if the broker says so.

        Raises:
            BrokerLost: the connection has ended; the broker may have the message.
            BrokerRefused: the broker refuses the message.
            RequestUnusable: the broker does not accept messages of that size.
        """
        live = await self._usable()
        try:
            code = await live.sender.send(message)
        except ConnectionEnded as error:
            raise _lost() from error
        except PacketTooLarge as fault:
            raise RequestUnusable(
                f"The broker accepts messages of {fault.limit_bytes} bytes, and this one has {fault.size_bytes}.",
                reason="too_large",
            ) from fault
        if code >= 0x80:
            raise BrokerRefused(
                f"The broker does not take a message for {message.topic}: it {refused_topic(code)}.",
                reason="publish_refused",
            )
        return code

    @asynccontextmanager
    async def subscribed(self, filters: Iterable[str]) -> AsyncGenerator[None]:
        """Subscribe to `filters` while the context is open, over breaks, too. The broker sends what it has kept at once.

        Raises:
            BrokerLost: the connection ended before the broker's answer.
            BrokerRefused: the broker refuses a filter.
        """
        wanted = [*filters]
        live = await self._usable()
        self._filters.update(wanted)
        try:
            await self._subscribe(live, wanted)
            yield
        finally:
            self._filters.subtract(wanted)
            await self._unsubscribe([each for each in wanted if self._filters[each] <= 0])

    async def _usable(self) -> _Live:
        while self._live is None:
            if self._given_up is not None:
                raise self._given_up
            await self._changed.wait()
        return self._live

    async def _once(self, opened: Callable[[], None]) -> FleetError:
        """Connect, serve the connection to its end, and return why it has ended."""
        address = self._settings.address
        assert address is not None  # noqa: S101 - `BrokerAccess` requires it
        try:
            client = await self._opening.dial(address, self._client_id, None)
        except ConnectionRefused as refusal:
            return fleet_error(refusal.problem)
        except DependencyFailed as error:
            return fleet_error(BrokerProblem("mqtt_credentials", error.details, error.suggestion))
        problem: BrokerProblem | None = None
        try:
            problem = await self._serve(client, address, opened)
        except ConnectionRefused as refusal:
            problem = refusal.problem
        except FleetError as error:
            return error
        finally:
            if problem is None:
                with anyio.move_on_after(_FAREWELL_S, shield=True):
                    await client.leave()
            client.close()
        return fleet_error(problem)

    async def _serve(
        self, client: BrokerClient, address: BrokerAddress, opened: Callable[[], None]
    ) -> BrokerProblem:
        live = _Live(client, await self._opening.introduce(client, address))
        try:
            return await self._keep(live, opened)
        finally:
            self._end(live)

    async def _keep(self, live: _Live, opened: Callable[[], None]) -> BrokerProblem:
        problems: list[BrokerProblem] = []
        refusals: list[FleetError] = []
        async with anyio.create_task_group() as tasks:

            async def prepare() -> None:
                try:
                    await self._subscribe(live, [each for each in self._filters if self._filters[each] > 0])
                except BrokerRefused as error:
                    refusals.append(error)
                    tasks.cancel_scope.cancel()
                except BrokerLost:
                    return
                else:
                    self._live = live
                    self._changed.set()
                    opened()

            tasks.start_soon(prepare)
            problems.append(await live.client.run())
            self._end(live)
            tasks.cancel_scope.cancel()
        if refusals:
            raise refusals[0]
        return problems[0]

    def _end(self, live: _Live) -> None:
        live.end()
        if self._live is live:
            self._live = None
            self._changed = anyio.Event()
            self._lost()

    async def _subscribe(self, live: _Live, filters: list[str]) -> None:
        wanted = [(each, SubscribeOptions(qos=_QOS[each in self._reliable])) for each in filters]
        codes = await live.during(lambda: live.client.subscribe(wanted, timeout=math.inf))
        for each, code in zip(filters, codes, strict=False):
            value = code.value if isinstance(code, ReasonCode) else code
            if isinstance(value, int) and value >= 0x80:
                raise BrokerRefused(
                    f"The broker refuses the subscription to {each}: it {refused_topic(value)}.",
                    reason="subscription_refused",
                )

    async def _unsubscribe(self, filters: list[str]) -> None:
        live = self._live
        if live is None or not filters:
            return
        with anyio.move_on_after(_FAREWELL_S, shield=True):
            try:
                await live.during(lambda: live.client.unsubscribe(filters, timeout=math.inf))
            except BrokerLost:
                return


def _lost() -> BrokerLost:
    return BrokerLost("The connection to the MQTT broker has ended.")
