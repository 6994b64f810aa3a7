"""Broker of a test's own that speaks MQTT 5 well enough to speak it wrong."""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

__all__ = (
    "Conversation",
    "HostileBroker",
    "accept",
    "connack",
    "disconnect",
    "hostile_broker",
    "packet",
    "puback",
    "publish",
    "suback",
    "text",
    "user_property",
)

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14


def variable(number: int) -> bytes:
    """Return a variable byte integer."""
    encoded = bytearray()
    while True:
        number, digit = divmod(number, 128)
        encoded.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(encoded)


def text(value: str | bytes) -> bytes:
    """Return a string or binary data with its length before it."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(kind: int, body: bytes, *, flags: int = 0) -> bytes:
    return bytes((kind << 4 | flags,)) + variable(len(body)) + body


def connack(code: int = 0, properties: bytes = b"", *, session_present: bool = False) -> bytes:
    return packet(CONNACK, bytes((session_present, code)) + variable(len(properties)) + properties)


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    *,
    qos: int = 0,
    number: int = 1,
    properties: bytes = b"",
    retain: bool = False,
) -> bytes:
    identifier = struct.pack("!H", number) if qos else b""
    body = text(topic) + identifier + variable(len(properties)) + properties + payload
    return packet(PUBLISH, body, flags=qos << 1 | retain)


def puback(number: int, code: int = 0) -> bytes:
    return packet(PUBACK, struct.pack("!HB", number, code) + b"\0")


def suback(number: int, codes: bytes) -> bytes:
    return packet(SUBACK, struct.pack("!H", number) + b"\0" + codes)


def disconnect(code: int, reason: str = "") -> bytes:
    properties = b"\x1f" + text(reason) if reason else b""
    return packet(DISCONNECT, bytes((code,)) + variable(len(properties)) + properties)


def user_property(name: str | bytes, value: str | bytes) -> bytes:
    return b"\x26" + text(name) + text(value)


@dataclass
class Conversation:
    """One connection of a client: whole packets in, any bytes out."""

    stream: SocketStream
    held: bytearray = field(default_factory=bytearray)

    async def read(self) -> tuple[int, bytes]:
        """Return the first byte and the body of the client's next packet. Raises EndOfStream at its end."""
        while True:
            found = self._whole()
            if found is not None:
                return found
            self.held += await self.stream.receive()

    async def read_kind(self, kind: int) -> bytes:
        """Return the body of the client's next packet of a kind, and leave out others."""
        while True:
            first, body = await self.read()
            if first >> 4 == kind:
                return body

    async def send(self, *packets: bytes) -> None:
        await self.stream.send(b"".join(packets))

    async def answer(self, *, acknowledge: bool = True, granted: int = 1) -> None:
        """Behave well from here on, until the client leaves: ping, subscriptions and acknowledgements."""
        while True:
            first, body = await self.read()
            kind = first >> 4
            if kind == PINGREQ:
                await self.send(packet(PINGRESP, b""))
            elif kind == SUBSCRIBE:
                await self.send(suback(int.from_bytes(body[:2]), bytes((granted,)) * _filters(body)))
            elif kind == PUBLISH and acknowledge and first & 6:
                length = int.from_bytes(body[:2])
                await self.send(puback(int.from_bytes(body[2 + length : 4 + length])))

    def _whole(self) -> tuple[int, bytes] | None:
        length = shift = 0
        for index, byte in enumerate(self.held[1:5]):
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                end = 2 + index + length
                if len(self.held) < end:
                    return None
                first, body = self.held[0], bytes(self.held[2 + index : end])
                del self.held[:end]
                return first, body
        return None


def _filters(body: bytes) -> int:
    place, count = 3 + body[2], 0
    while place < len(body):
        place += 3 + int.from_bytes(body[place : place + 2])
        count += 1
    return count


Script = Callable[[Conversation], Awaitable[None]]


@dataclass
class HostileBroker:
    """Broker that follows a script with each client; `clients` counts them, and `ended` those that have left."""

    port: int
    script: Script
    clients: int = 0
    ended: int = 0
    connects: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def serve(self, stream: SocketStream) -> None:
        self.clients += 1
        async with stream:
            try:
                await self.script(Conversation(stream))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
            finally:
                self.ended += 1


def accept(*packets: bytes, properties: bytes = b"") -> Script:
    """Return a script that accepts the client, waits for its subscriptions, sends packets, and then behaves well."""

    async def script(client: Conversation) -> None:
        await client.read_kind(CONNECT)
        await client.send(connack(0, properties))
        body = await client.read_kind(SUBSCRIBE)
        await client.send(suback(int.from_bytes(body[:2]), b"\1" * _filters(body)), *packets)
        await client.answer()

    return script


@asynccontextmanager
async def hostile_broker(script: Script) -> AsyncIterator[HostileBroker]:
    """Run a broker on a free port while the context is open."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
        broker = HostileBroker(port, script)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, broker.serve)
            yield broker
            tasks.cancel_scope.cancel()
