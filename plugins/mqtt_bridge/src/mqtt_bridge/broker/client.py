"""Client of one connection: aiomqtt's, on a socket that is connected already, without threads and without queues.

aiomqtt 2.5 lets paho connect in a thread, which the end of the agent would wait for; keeps incoming messages without a
limit; leaves a publisher waiting when the connection ends; and leaves the socket open if the broker does not answer.
This class replaces those parts. They have private names, hence the narrow range of versions in pyproject.toml.
"""

import asyncio
import logging
import math
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import aiomqtt
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from mqtt_bridge.broker.messages import Incoming, Outgoing
from mqtt_bridge.broker.packets import BrokerMisbehaves, PacketReader
from mqtt_bridge.broker.part import BrokerLost
from mqtt_bridge.broker.reasons import BrokerProblem, broken, disconnected, misbehaving, refused, silent

__all__ = ("BrokerClient", "BrokerLimits", "ClientOptions", "ConnectionRefused")

#: Bytes that one turn of the event loop takes from the socket.
_TURN_BYTES = 8192
#: Packets that a broker may send while it takes none of our answers.
_UNANSWERED = 1000
#: Messages that the agent has on their way at most; a broker may allow fewer.
_ON_THEIR_WAY = 16
_LEAVE_S = 2.0
#: Least time between two looks at the times of the last packets, for clocks that differ by a tick.
_SHORTEST_TURN_S = 0.05


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Contents of CONNECT; `will` is published by the broker when the connection ends without a farewell."""

    client_id: str
    keep_alive_s: int
    max_packet_bytes: int
    will: Outgoing | None
    user: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """Limits that the broker has announced.

    `on_their_way` counts messages with QoS 1 that it has not acknowledged.
    """

    packet_bytes: int = 268_435_460
    qos: int = 1
    retain: bool = True
    on_their_way: int = _ON_THEIR_WAY


class ConnectionRefused(Exception):  # the broker's answer, no fault of the agent
    """Broker that has not accepted the connection, or did not keep it until its answer."""

    def __init__(self, problem: BrokerProblem) -> None:
        super().__init__(problem.details)
        self.problem = problem


class _PacketSocket:
    """Socket as paho uses it: it gives out one whole packet at a time."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._packet = memoryview(b"")
        self.unanswered = 0

    def offer(self, packet: bytes) -> None:
        self._packet = memoryview(packet)
        # Only a message with QoS 1 needs an answer: a broker may send thousands of others at once, such as those it has kept.
        self.unanswered += packet[0] & 0xF6 == 0x32

    def recv(self, buffer_size: int) -> bytes:
        if not self._packet:
            raise BlockingIOError
        taken, self._packet = self._packet[:buffer_size], self._packet[buffer_size:]
        return bytes(taken)

    def send(self, buffer: bytes | bytearray) -> int:
        sent = self._raw.send(buffer)
        self.unanswered = 0
        return sent

    def close(self) -> None:
        self._raw.close()

    def fileno(self) -> int:
        return self._raw.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - paho's interface
        self._raw.setblocking(flag)


class BrokerClient(aiomqtt.Client):
    """Client of one connection.

    Args:
        raw: connected socket that does not block; the client closes it.
        options: contents of CONNECT.
        deliver: takes each message of the broker. Must not raise.
    """

    def __init__(
        self, raw: socket.socket, options: ClientOptions, deliver: Callable[[Incoming], None]
    ) -> None:
        # No part of the hierarchy: a broker could fill the log with what paho says about its packets.
        silent = logging.Logger("paho")  # noqa: LOG001
        silent.addHandler(logging.NullHandler())
        will = options.will
        super().__init__(
            "broker",
            protocol=aiomqtt.ProtocolVersion.V5,
            identifier=options.client_id,
            username=options.user,
            password=options.password,
            keepalive=options.keep_alive_s,
            clean_start=True,
            properties=_connect_properties(options),
            will=None if will is None else _last_will(will),
            logger=silent,
        )
        self._raw = raw
        self._packets = _PacketSocket(raw)
        self._reader = PacketReader(options.max_packet_bytes)
        self._deliver = deliver
        self._own_keep_alive_s = options.keep_alive_s
        self._answer: asyncio.Future[BrokerLimits] = self._loop.create_future()
        self._end: asyncio.Future[BrokerProblem] = self._loop.create_future()
        self._waiting: dict[int, asyncio.Future[int | None]] = {}
        self._client._create_socket = lambda: self._packets  # type: ignore[method-assign]  # noqa: SLF001

    async def open(self) -> BrokerLimits:
        """Introduce the agent, and return the broker's limits.

        Raises:
            ConnectionRefused: the broker has refused, or closed the connection.
        """
        self._client_connect()
        either: tuple[asyncio.Future[BrokerLimits] | asyncio.Future[BrokerProblem], ...] = (
            self._answer,
            self._end,
        )
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._answer.done():
            raise ConnectionRefused(self._end.result())
        return self._answer.result()

    async def run(self) -> BrokerProblem:
        """Keep the connection alive until it ends, and return why it has."""
        while not self._end.done():
            await asyncio.wait({self._end}, timeout=self._quiet_s_left())
            self._client.loop_misc()
        return self._end.result()

    def _quiet_s_left(self) -> float:
        """Return the time until the client has to ping, or to give up a broker that has not answered a ping."""
        client = self._client
        quiet_since_s = min(client._last_msg_out, client._last_bytes_received)  # noqa: SLF001 - no public access
        return max(_SHORTEST_TURN_S, quiet_since_s + client.keepalive - time.monotonic())

    async def subscribe_all(
        self, filters: Mapping[str, bool], *, as_published: Collection[str] = ()
    ) -> Mapping[str, int]:
        """Subscribe; cancel it when the connection ends. Raises BrokerLost if it has ended already.

        Args:
            filters: filters, each with True if the agent's own messages are to come back, too.
            as_published: those of the filters whose messages tell if they were published to be kept.

        Returns:
            The broker's reason code for each filter.
        """
        if not filters:
            return {}
        wanted = [
            (each, SubscribeOptions(qos=1, noLocal=not own, retainAsPublished=each in as_published))
            for each, own in filters.items()
        ]
        try:
            codes = await self.subscribe(wanted, timeout=math.inf)
        except aiomqtt.MqttError as error:
            raise BrokerLost from error
        values = [each.value if isinstance(each, ReasonCode) else each for each in codes]
        return dict(zip(filters, values, strict=False))

    async def unsubscribe_all(self, filters: Iterable[str]) -> None:
        """End subscriptions; cancel it when the connection ends. Raises BrokerLost if it has ended already."""
        unwanted = [*filters]
        try:
            if unwanted:
                await self.unsubscribe(unwanted, timeout=math.inf)
        except aiomqtt.MqttError as error:
            raise BrokerLost from error

    def begin(self, message: Outgoing, properties: Properties) -> "asyncio.Future[int | None]":
        """Begin to publish a message.

        Returns:
            Future of the broker's reason code: 0 without an acknowledgement, when the socket has taken the message;
            None if the connection has ended.

        Raises:
            BrokerLost: the connection has ended already.
        """
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain, properties)
        if self._end.done() or info.rc != 0:
            raise BrokerLost
        self._waiting[info.mid] = future = self._loop.create_future()
        return future

    async def leave(self) -> None:
        """Say farewell, so that the broker does not publish the will. Waits up to two seconds."""
        self._client.disconnect()
        await asyncio.wait({self._end}, timeout=_LEAVE_S)

    def close(self) -> None:
        """Close the socket. May be called at any time, and again."""
        self.end(BrokerProblem("mqtt_closed", "The agent has closed the connection.", ""))
        self._client._sock_close()  # noqa: SLF001 - the only way that also forgets what waits for the socket
        self._raw.close()

    def end(self, problem: BrokerProblem) -> None:
        """End the connection for all who wait. The socket stays: paho's callbacks, which call this, may not close it."""
        if not self._end.done():
            self._end.set_result(problem)
        if self._raw.fileno() >= 0:
            self._loop.remove_reader(self._raw.fileno())
            self._loop.remove_writer(self._raw.fileno())
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            if not each.done():
                each.set_result(None)

    def _readable(self) -> None:
        try:
            self._take(self._raw.recv(_TURN_BYTES))
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except BrokerMisbehaves as fault:
            self.end(misbehaving(str(fault)))
        except OSError as error:
            self.end(broken(error))
        except Exception:  # noqa: BLE001 - paho raises whatever its parser meets
            self.end(misbehaving("sends what is not MQTT 5"))
        else:
            if isinstance(self._raw, ssl.SSLSocket) and self._raw.fileno() >= 0 and self._raw.pending():
                self._loop.call_soon(self._readable)

    def _take(self, data: bytes) -> None:
        if not data:
            raise ConnectionResetError
        for packet in self._reader.feed(data):
            if self._end.done():
                return
            self._packets.offer(packet)
            self._client.loop_read()
            if self._packets.unanswered > _UNANSWERED and self._client.want_write():
                raise BrokerMisbehaves("sends without end, and takes no answer")

    def _writable(self) -> None:
        try:
            self._client.loop_write()
        except Exception:  # noqa: BLE001 - as in _readable
            self.end(misbehaving("cannot be sent to"))

    def _on_socket_open(self, client: Client, userdata: object, sock: object) -> None:
        self._loop.add_reader(self._raw.fileno(), self._readable)

    def _on_socket_close(self, client: Client, userdata: object, sock: object) -> None:
        self._loop.remove_reader(self._raw.fileno())

    def _on_socket_register_write(self, client: Client, userdata: object, sock: object) -> None:
        if not self._end.done():
            self._loop.add_writer(self._raw.fileno(), self._writable)

    def _on_socket_unregister_write(self, client: Client, userdata: object, sock: object) -> None:
        self._loop.remove_writer(self._raw.fileno())

    def _on_connect(
        self,
        client: Client,
        userdata: object,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if self._answer.done():
            raise BrokerMisbehaves("answers twice")
        if reason_code.value != 0:
            self.end(refused(reason_code.value))
            return
        self._answer.set_result(_limits(properties))
        asked_s = getattr(properties, "ServerKeepAlive", None)
        # Without pings nothing would notice a broker that has gone; more than it asks for are always allowed.
        if asked_s is not None and not 0 < asked_s <= self._own_keep_alive_s:
            self._client._keepalive = self._own_keep_alive_s  # noqa: SLF001 - the setter refuses while connected

    def _on_disconnect(
        self,
        client: Client,
        userdata: object,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        code = reason_code.value
        if flags.is_disconnect_packet_from_server:
            self.end(disconnected(code))
        elif code == 0x8D:
            self.end(silent())
        elif code == 0x82:
            self.end(misbehaving("sends what is not MQTT 5"))
        else:
            self.end(broken(None))

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        properties = message.properties
        self._deliver(
            Incoming(
                message.topic,
                bytes(message.payload),
                message.retain,
                dict(getattr(properties, "UserProperty", ())),
                getattr(properties, "CorrelationData", None),
                getattr(properties, "ResponseTopic", ""),
                getattr(properties, "ContentType", ""),
            )
        )

    def _on_publish(
        self, client: Client, userdata: object, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        waiting = self._waiting.pop(mid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reason_code.value)


def _connect_properties(options: ClientOptions) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0
    properties.MaximumPacketSize = options.max_packet_bytes
    properties.ReceiveMaximum = _UNANSWERED // 2
    return properties


def _last_will(will: Outgoing) -> aiomqtt.Will:
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    if will.properties:
        properties.UserProperty = [*will.properties.items()]
    return aiomqtt.Will(will.topic, will.payload, will.qos, will.retain, properties)


def _limits(properties: Properties | None) -> BrokerLimits:
    default = BrokerLimits()
    return BrokerLimits(
        getattr(properties, "MaximumPacketSize", default.packet_bytes),
        min(getattr(properties, "MaximumQoS", default.qos), default.qos),
        bool(getattr(properties, "RetainAvailable", default.retain)),
        min(getattr(properties, "ReceiveMaximum", default.on_their_way), default.on_their_way),
    )
