"""Time of a call over MQTT, beside the same call over the WebSocket and a bare round trip through the same broker. Prints ratios.

scripts/bench fleet [calls]

Needs Debian's Mosquitto. One agent and one Mosquitto run on this machine; a client asks one call after the other, in rounds that take turns:

- socket: the call over the agent's WebSocket
- bare: a message with QoS 1 of the size of the request to a client that sends back one of the size of the reply, both by the same client library
- disk: a line appended to a file beside the agent's state and synced, as the agent does with each call's nonce before it runs the call
- call over MQTT: the signed call, by the fleet client

`calls` is the number of calls of one round.
"""

import contextlib
import json
import os
import shutil
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory

import anyio
import anyio.to_thread
from websockets.asyncio.client import ClientConnection

from agent_core.auth.api_keys import ApiKeys, NewKey
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import KeyKind
from agent_core.base.clock import SystemClock
from bench.agents import agent_process, connected
from mqtt_bridge.broker.address import BrokerAddress
from mqtt_bridge.broker.client import BrokerClient, ClientOptions
from mqtt_bridge.broker.dialler import Dialler
from mqtt_bridge.broker.messages import Incoming, Outgoing
from mqtt_bridge.broker.sender import packet_properties
from mqtt_bridge.client import FleetClient, agent_key, new_fleet_key

ROUNDS, CALLS = 7, 200
METHODS = ("ping", "get_camera_list", "get_metrics")
PLUGINS = """
[plugins]
enabled = ["virtual_camera", "mqtt_bridge"]
[plugins.virtual_camera]
cameras = [{{name = "One"}}, {{name = "Two"}}]
[plugins.mqtt_bridge]
url = "mqtt://127.0.0.1:{port}"
agent_id = "box"
[plugins.mqtt_bridge.commands]
trust_clock = true
"""
#: What a signed call has beside its request, and a reply beside its content: topics and properties.
REQUEST_EXTRA_BYTES, REPLY_EXTRA_BYTES = 450, 130
Ask = Callable[[], Awaitable[object]]


@contextlib.asynccontextmanager
async def mosquitto() -> AsyncIterator[int]:
    """Run a broker; yield its port."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        raise SystemExit("needs Debian's mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory(prefix="bench-") as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
        process = await anyio.open_process([program, "-c", str(config)], stdout=None, stderr=DEVNULL)
        try:
            yield port
        finally:
            process.terminate()
            await process.wait()


class Bare:
    """Client that asks another one through the broker, with QoS 1 there and back."""

    client: BrokerClient

    def __init__(self) -> None:
        self._arrived = anyio.Event()
        self.reply = Outgoing("bare/reply", b"")

    async def echo(self, request: Outgoing) -> None:
        """Send a message, and wait for that which the other client sends back."""
        self._arrived = anyio.Event()
        await self.client.begin(request, packet_properties(request))
        await self._arrived.wait()

    def received(self, _message: Incoming) -> None:
        self._arrived.set()


@contextlib.asynccontextmanager
async def client_of(
    port: int, name: str, topic: str, received: Callable[[Incoming], None]
) -> AsyncIterator[BrokerClient]:
    """Connect a bare client that is subscribed to `topic`."""
    raw = await Dialler().open(BrokerAddress("127.0.0.1", port, tls=False), None, None)
    client = BrokerClient(raw, ClientOptions(name, 60, 1 << 24, None), received)
    await client.open()
    await client.subscribe_all({topic: False})
    try:
        yield client
    finally:
        await client.leave()
        client.close()


@contextlib.asynccontextmanager
async def bare_pair(port: int) -> AsyncIterator[Bare]:
    """Connect two clients: one asks, the other answers with the reply that is set."""
    answering: list[BrokerClient] = []

    def answer(_message: Incoming) -> None:
        answering[0].begin(asking.reply, packet_properties(asking.reply))

    asking = Bare()
    async with (
        client_of(port, "asks", "bare/reply", asking.received) as asking.client,
        client_of(port, "answers", "bare/request", answer) as second,
    ):
        answering.append(second)
        yield asking


def append(path: Path) -> None:
    """Append a line as long as that of a nonce, and wait until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, bytes(64))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


async def timed(ask: Ask, calls: int) -> tuple[float, float]:
    """Ask one call after the other; return the median and the 95th percentile of the time, in milliseconds."""
    taken = []
    for _ in range(calls):
        began_s = time.perf_counter()
        await ask()
        taken.append(1000 * (time.perf_counter() - began_s))
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


async def compare(calls: int) -> None:
    fleet_key = new_fleet_key()

    def give_key(state: Path) -> None:
        wanted = NewKey("bench", Role.ADMIN, KeyKind.MQTT, text=agent_key(fleet_key, "box"))
        ApiKeys(state / "api-keys.json", SystemClock()).add(wanted)

    async with (
        mosquitto() as port,
        agent_process(PLUGINS.format(port=port), give_key) as process,
        bare_pair(port) as bare,
        # A short deadline, as the agent remembers a limited number of calls until their ends.
        FleetClient(f"mqtt://127.0.0.1:{port}", fleet_key=fleet_key, deadline_s=3) as fleet,
    ):
        while not any(each.is_online for each in await fleet.agents()):
            await anyio.sleep(0.1)
        async with await connected(process.url) as ws:
            await over_socket(ws, "authenticate", auth_token=process.token(Role.ADMIN))
            print(
                f"{calls} calls in each of {ROUNDS} rounds, one after the other; milliseconds, median (95th percentile)"
            )
            heads = "  ".join(f"{head:>15}" for head in ("socket", "bare MQTT", "disk", "call over MQTT"))
            print(
                f"  {'method':16} {'reply':>8}  {heads}   call over MQTT to socket, to bare, to the sum of the three"
            )
            for method in METHODS:
                reply = await over_socket(ws, method)
                bare.reply = Outgoing("bare/reply", bytes(len(reply) + REPLY_EXTRA_BYTES))
                request = Outgoing("bare/request", bytes(len(method) + 60 + REQUEST_EXTRA_BYTES))
                asks: tuple[Ask, ...] = (
                    partial(over_socket, ws, method),
                    partial(bare.echo, request),
                    partial(anyio.to_thread.run_sync, append, process.folder / "nonces"),
                    partial(fleet.call, "box", method),
                )
                await report(method, len(reply), asks, calls)


async def over_socket(ws: ClientConnection, method: str, **params: object) -> str:
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    reply = str(await ws.recv())
    assert '"result"' in reply, reply
    return reply


async def report(method: str, size_bytes: int, asks: tuple[Ask, ...], calls: int) -> None:
    """Let the ways take turns, and print a line."""
    rounds = []
    for number in range(ROUNDS + 1):
        times = [await timed(ask, calls) for ask in asks]
        if number:  # the first round fills caches
            rounds.append(times)
    values = [
        tuple(statistics.median(each[way][part] for each in rounds) for part in (0, 1))
        for way in range(len(asks))
    ]
    cells = "  ".join(f"{f'{median:.2f} ({p95:.2f})':>15}" for median, p95 in values)
    ratios = []
    for ways in ((0,), (1,), (0, 1, 2)):
        median, p95 = (
            statistics.median(each[-1][part] / sum(each[way][part] for way in ways) for each in rounds)
            for part in (0, 1)
        )
        ratios.append(f"{median:.1f} (p95 {p95:.1f})")
    print(f"  {method:16} {size_bytes:6} B  {cells}   {', '.join(ratios)}")


if __name__ == "__main__":
    anyio.run(compare, int(sys.argv[1]) if len(sys.argv) > 1 else CALLS)
