"""Delay of an event to many subscribed sockets, compared with a bare broadcast to as many sockets in the same run.

Delays are measured from the cause of the event: an RPC call makes a virtual camera vanish or return, and a message
makes the bare server send the same text. The sockets are in a process of their own, which only notes arrival times.
The CPU time of the two servers is the work for an event, which other load on the machine changes less than the delays.

scripts/bench events [sockets] [events]
"""

import contextlib
import json
import resource
import select
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from agent_core.auth.roles import Role
from bench.agents import agent_process, connected, cpu_s

TOPIC = "camera_status_update"
TEXT_FRAME = 0x81
WARM_UP = 2
PLUGINS = """
[plugins]
enabled = ["virtual_camera"]
[plugins.virtual_camera]
faults = true
cameras = [{name = "Bench", id = "camera0"}]
"""


def request(method: str, **params: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


# Process of the sockets


class Listener:
    """WebSocket client; its handshake and calls use `websockets`, later events are read from the plain socket."""

    def __init__(self, url: str) -> None:
        uri = parse_uri(url)
        self.socket = socket.create_connection((uri.host, uri.port))
        self._protocol = ClientProtocol(uri)
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        while self._protocol.state is State.CONNECTING:
            self._protocol.receive_data(self.socket.recv(65536))
        self._protocol.events_received()

    def call(self, text: str) -> None:
        self._protocol.send_text(text.encode())
        self._flush()
        while not any(isinstance(event, Frame) for event in self._protocol.events_received()):
            self._protocol.receive_data(self.socket.recv(65536))

    def _flush(self) -> None:
        self.socket.sendall(b"".join(self._protocol.data_to_send()))


def listen(url: str, count: int, greetings: list[str]) -> None:
    """Open `count` sockets, send `greetings` on each, print "ready", then print the arrival times of each event."""
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(count):
        listener = Listener(url)
        for text in greetings:
            listener.call(text)
        sockets[listener.socket.fileno()] = listener.socket
        poll.register(listener.socket, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        arrived_s: list[float] = []
        while len(arrived_s) < count:
            for number, _ in poll.poll():
                data = sockets[number].recv(65536)
                if not data:
                    return
                assert data[0] == TEXT_FRAME
                arrived_s.append(time.monotonic())
        print(json.dumps(arrived_s), flush=True)


# Process of the bare server


async def serve_bare(port: int) -> None:
    """Serve: send each message of a socket to all others."""
    others: set[ServerConnection] = set()

    async def handle(ws: ServerConnection) -> None:
        others.add(ws)
        with contextlib.suppress(ConnectionClosed):  # the process of the sockets ends without closing them
            async for text in ws:
                broadcast(others - {ws}, text)

    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=None):
        await anyio.sleep_forever()


# Process that measures


@dataclass
class Side:
    """Server under test: `cause` makes it send an event, `lines` are the output of its sockets' process."""

    pid: int
    cause: Callable[[], Awaitable[None]]
    lines: BufferedByteReceiveStream

    async def line(self) -> str:
        return (await self.lines.receive_until(b"\n", 1 << 20)).decode()

    async def delays_ms(self) -> list[float]:
        began_s = time.monotonic()
        await self.cause()
        return [(each - began_s) * 1000 for each in json.loads(await self.line())]


@contextlib.asynccontextmanager
async def child(*argv: str) -> AsyncIterator[Process]:
    process = await anyio.open_process([sys.executable, *argv], stderr=None)
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def side(
    pid: int, cause: Callable[[], Awaitable[None]], url: str, sockets: int, *greetings: str
) -> AsyncIterator[Side]:
    async with child(__file__, "--listen", url, str(sockets), *greetings) as process:
        assert process.stdout is not None
        made = Side(pid, cause, BufferedByteReceiveStream(process.stdout))
        assert (await made.line()).strip() == "ready"
        yield made


@contextlib.asynccontextmanager
async def agent_side(sockets: int) -> AsyncIterator[tuple[Side, str]]:
    """Run the agent; yield it with the text of one of its events."""
    async with agent_process(PLUGINS) as agent:
        url, token = agent.url, agent.token(Role.ADMIN)
        admin = await connected(url)
        present = True

        async def call(text: str) -> str:
            await admin.send(text)
            reply = str(await admin.recv())
            assert '"error"' not in reply, reply
            return reply

        async def cause() -> None:
            nonlocal present
            params = {"device": "camera0", "fault": "vanish", "enabled": present}
            await call(request("virtual_camera.set_fault", **params))
            present = not present

        greeting = request("authenticate", auth_token=token)
        await call(greeting)
        while '"connected":1' not in await call(request("get_camera_list")):
            await anyio.sleep(0.05)
        await call(request("subscribe_events", topics=[TOPIC]))
        await cause()
        event = str(await admin.recv())
        await cause()
        await admin.recv()
        await call(request("unsubscribe_events"))
        subscribe = request("subscribe_events", topics=[TOPIC])
        async with side(agent.pid, cause, url, sockets, greeting, subscribe) as made:
            yield made, event


@contextlib.asynccontextmanager
async def bare_side(event: str, sockets: int) -> AsyncIterator[Side]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with child(__file__, "--bare", str(port)) as process:
        url = f"ws://127.0.0.1:{port}/"
        teller = await connected(url)
        async with side(process.pid, lambda: teller.send(event), url, sockets) as made:
            yield made


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def compare(sockets: int, events: int) -> None:
    async with (
        agent_side(sockets) as (agent, event),
        bare_side(event, sockets) as bare,
    ):
        ours: list[float] = []
        plain: list[float] = []
        began_s = dict.fromkeys((agent.pid, bare.pid), 0.0)
        for number in range(WARM_UP + events):
            if number == WARM_UP:
                began_s = {pid: cpu_s(pid) for pid in began_s}
            for one, into in ((bare, plain), (agent, ours)):
                delays_ms = await one.delays_ms()
                if number >= WARM_UP:
                    into.extend(delays_ms)
        agent_us, bare_us = (
            (cpu_s(pid) - before_s) * 1e6 / events / sockets for pid, before_s in began_s.items()
        )
    print(f"{events} events of {len(event)} bytes to {sockets} sockets: agent / bare broadcast")
    for percent, aim in ((50, ""), (99, "  (aim < 50 ms)")):
        mine_ms, bare_ms = percentile(ours, percent), percentile(plain, percent)
        print(f"  p{percent}: ratio {mine_ms / bare_ms:.2f}, {mine_ms:.1f} ms against {bare_ms:.1f} ms{aim}")
    print(
        f"  CPU of each event and socket: ratio {agent_us / bare_us:.2f}, {agent_us:.0f} us against {bare_us:.0f} us"
    )


def many_files() -> None:
    """Raise the soft limit of open files to the hard limit, for this process and its children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--listen"]:
        listen(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    elif sys.argv[1:2] == ["--bare"]:
        anyio.run(serve_bare, int(sys.argv[2]))
    else:
        many_files()
        numbers = [int(each) for each in sys.argv[1:]]
        sockets, events = numbers + [1000, 20][len(numbers) :]
        anyio.run(compare, sockets, events)
