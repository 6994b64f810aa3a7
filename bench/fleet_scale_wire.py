"""Mosquitto in a process of its own, and subscribers so cheap that a thousand of them do not disturb what they watch."""

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc

__all__ = ("Broker", "Subscriber", "subscriber")

PROGRAMS = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto")
CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
persistence false
max_connections -1
sys_interval 1
log_dest none
"""
_CONNECT, _PUBLISH, _SUBSCRIBE = 0x10, 0x30, 0x82
_CONNACK, _SUBACK = 0x20, 0x90


class Broker:
    """Mosquitto without a disk: a restart loses what it retained. Start it with `start`."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "mosquitto.conf"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._config.write_text(CONFIG.format(port=self.port))
        self._process: anyio.abc.Process | None = None

    @staticmethod
    def program() -> str | None:
        """Return the path of Mosquitto; None if there is none."""
        return next((each for each in PROGRAMS if Path(each).exists()), None)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        program = self.program()
        if program is None:
            raise SystemExit("Mosquitto is not installed. Run: apt-get install mosquitto")
        self._process = await anyio.open_process(
            [program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            with contextlib.suppress(OSError):
                await (await anyio.connect_tcp("127.0.0.1", self.port)).aclose()
                return
            if self._process.returncode is not None:
                raise SystemExit(f"Mosquitto did not start: code {self._process.returncode}")
            await anyio.sleep(0.02)

    async def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


class Subscriber(asyncio.Protocol):
    """MQTT 5 client that subscribes to one filter with QoS 0, and counts what comes.

    Args:
        name: its client id.
        topics: filter.
        seen: called with topic and payload of each message; None to count only.

    Attributes:
        messages, bytes: what has come from the broker: publications, and octets of all packets.
        first_s, last_s: monotonic times of the first and the last publication.
        ready: set once the broker has accepted the subscription.
        lost: set when the connection has ended.
    """

    def __init__(self, name: str, topics: str, seen: Callable[[str, bytes], None] | None = None) -> None:
        self._name, self._topics, self._seen = name, topics, seen
        self._unread = bytearray()
        self._transport: asyncio.Transport | None = None
        self.messages = self.bytes = 0
        self.first_s = self.last_s = 0.0
        self.ready, self.lost = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Clean start, keep-alive off, no properties.
        transport.write(_packet(_CONNECT, _text("MQTT") + b"\x05\x02\x00\x00\x00" + _text(self._name)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        self._unread += data
        start = 0
        while (packet := _next_packet(self._unread, start)) is not None:
            kind, body, end = packet
            self._take(kind, bytes(self._unread[body:end]))
            start = end
        del self._unread[:start]

    def _take(self, kind: int, body: bytes) -> None:
        if kind & 0xF0 == _PUBLISH:
            self.messages += 1
            self.last_s = time.monotonic()
            self.first_s = self.first_s or self.last_s
            if self._seen is not None:
                self._seen(*_publication(body))
        elif kind == _CONNACK:
            assert self._transport is not None
            self._transport.write(_packet(_SUBSCRIBE, b"\x00\x01\x00" + _text(self._topics) + b"\x00"))
        elif kind == _SUBACK:
            self.ready.set()


async def subscriber(
    port: int, name: str, topics: str, seen: Callable[[str, bytes], None] | None = None
) -> Subscriber:
    """Connect and subscribe; try again while the broker is not there."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(OSError):
            _, made = await loop.create_connection(lambda: Subscriber(name, topics, seen), "127.0.0.1", port)
            await made.ready.wait()
            return made
        await anyio.sleep(0.02)


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _number(len(body)) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _number(value: int) -> bytes:
    """Return a variable byte integer."""
    made = bytearray()
    while True:
        value, low = divmod(value, 128)
        made.append(low | (0x80 if value else 0))
        if not value:
            return bytes(made)


def _read_number(data: bytes | bytearray, start: int) -> tuple[int, int] | None:
    """Return a variable byte integer and the place after it; None if it is not there yet."""
    value, shift = 0, 0
    for place in range(start, min(len(data), start + 4)):
        value |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            return value, place + 1
        shift += 7
    return None


def _next_packet(data: bytearray, start: int) -> tuple[int, int, int] | None:
    """Return kind, first octet of the body, and end of the packet that begins at `start`; None if it is not whole."""
    read = _read_number(data, start + 1)
    if read is None or read[1] + read[0] > len(data):
        return None
    return data[start], read[1], read[1] + read[0]


def _publication(body: bytes) -> tuple[str, bytes]:
    """Return topic and payload of a publication with QoS 0."""
    end = 2 + int.from_bytes(body[:2], "big")
    read = _read_number(body, end)
    assert read is not None
    return body[2:end].decode(), body[read[1] + read[0] :]
