"""Calls that answer from memory, and idle clients, compared with a bare echo on the same stack. Prints ratios.

scripts/bench rpc [calls]

Each method is compared with an echo of the method's own reply, by as many clients, in the same round: the ratio of the
CPU time that the server needs for an answer (aim for get_camera_list with one client: at most 2), and the ratio of the
95th percentiles of the time until the answer. `calls` is the number of calls of one round, by all clients together.
"""

import json
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection

from agent_core.auth.roles import Role
from bench.agents import agent_process, connected, cpu_s, memory_kb

METHODS = ("ping", "get_camera_list", "get_status", "get_metrics")
CLIENTS = (1, 50, 500)
ROUNDS, CALLS = 5, 1000
CAMERAS = 8
PLUGINS = """
[plugins]
enabled = ["virtual_camera"]
[plugins.virtual_camera]
cameras = [{cameras}]
"""
Ask = Callable[[ClientConnection], Awaitable[object]]


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text(await ws.receive_text())
    except WebSocketDisconnect:
        return


def serve_echo(port: int) -> None:
    app = Starlette(routes=[WebSocketRoute("/ws", echo)])
    uvicorn.run(app, port=port, ws="websockets-sansio", ws_per_message_deflate=False, log_level="error")


@asynccontextmanager
async def echo_server() -> AsyncIterator[tuple[str, int]]:
    """Run the bare echo; yield its URL and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await anyio.open_process([sys.executable, __file__, "--echo", str(port)], stderr=None)
    try:
        await (await connected(f"ws://127.0.0.1:{port}/ws")).close()
        yield f"ws://127.0.0.1:{port}/ws", process.pid
    finally:
        process.kill()
        await process.wait()


async def call(ws: ClientConnection, method: str, **params: object) -> str:
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    reply = str(await ws.recv())
    assert '"result"' in reply, reply
    return reply


async def echoed(ws: ClientConnection, text: str) -> None:
    await ws.send(text)
    await ws.recv()


@dataclass(slots=True)
class Load:
    """Clients of one server, and what their calls cost it."""

    url: str
    pid: int
    token: str = ""
    clients: list[ClientConnection] = field(default_factory=list)

    async def connect(self, count: int) -> None:
        """Bring the number of clients to `count`."""
        while len(self.clients) < count:
            client = await connected(self.url)
            if self.token:
                await call(client, "authenticate", auth_token=self.token)
            self.clients.append(client)

    async def round(self, ask: Ask, calls: int) -> tuple[float, float]:
        """Let all clients ask at the same time; return CPU per answer and the 95th percentile of its time, in seconds."""
        each = max(1, calls // len(self.clients))
        taken: list[float] = []

        async def keep_asking(client: ClientConnection) -> None:
            for _ in range(each):
                began_s = time.perf_counter()
                await ask(client)
                taken.append(time.perf_counter() - began_s)

        before_s = cpu_s(self.pid)
        async with anyio.create_task_group() as tasks:
            for client in self.clients:
                tasks.start_soon(keep_asking, client)
        return (cpu_s(self.pid) - before_s) / len(taken), statistics.quantiles(taken, n=20)[-1]

    async def each_kb(self, count: int) -> float:
        """Connect up to `count` clients; return the memory that each of the new ones costs."""
        before, had = memory_kb(self.pid)[1], len(self.clients)
        await self.connect(count)
        await anyio.sleep(1)
        return (memory_kb(self.pid)[1] - before) / max(1, count - had)

    async def shrink(self, count: int) -> None:
        """Close clients until `count` are left."""
        async with anyio.create_task_group() as tasks:
            for client in self.clients[count:]:
                tasks.start_soon(client.close)
        del self.clients[count:]


async def cell(agent: Load, bare: Load, method: str, calls: int) -> str:
    """Return the ratios for one method and the present number of clients."""
    reply = await call(agent.clients[0], method)
    cpu, p95 = [], []
    for number in range(ROUNDS + 1):
        plain = await bare.round(lambda client: echoed(client, reply), calls)
        real = await agent.round(lambda client: call(client, method), calls)
        if number:  # the first round fills caches
            cpu.append(real[0] / plain[0])
            p95.append(real[1] / plain[1])
    spread = f"({min(cpu):.2f} to {max(cpu):.2f})"
    return f"{statistics.median(cpu):5.2f} {spread:15} p95 {statistics.median(p95):5.2f}"


async def warm(*loads: Load) -> None:
    """Let both servers allocate what the first connections need, so that it does not count as that of a client."""
    for load in loads:
        await load.connect(20)
        await load.shrink(1)


async def compare(calls: int) -> None:
    cameras = ", ".join(f'{{name = "Camera {number}"}}' for number in range(CAMERAS))
    async with echo_server() as (url, pid), agent_process(PLUGINS.format(cameras=cameras)) as process:
        bare, agent = Load(url, pid), Load(process.url, process.pid, process.token(Role.ADMIN))
        await warm(bare, agent)
        rows: dict[str, list[str]] = {method: [] for method in METHODS}
        for count in CLIENTS:
            each_kb = await agent.each_kb(count), await bare.each_kb(count)
            for method in METHODS:
                rows[method].append(await cell(agent, bare, method, calls))
        sizes = {method: len(await call(agent.clients[0], method)) for method in METHODS}
        report(rows, sizes, each_kb)
        await agent.shrink(0)
        await bare.shrink(0)


def report(rows: dict[str, list[str]], sizes: dict[str, int], each_kb: tuple[float, float]) -> None:
    print(f"{CAMERAS} cameras; each cell: CPU of the server per answer / that of an echo of the same reply,")
    print(f"median of {ROUNDS} rounds (least to most); p95: 95th percentile of the time / that of the echo")
    heads = [f"{count} client{'s' if count > 1 else ''}" for count in CLIENTS]
    print(f"  {'method':16} {'reply':>8}  " + "  ".join(f"{head:31}" for head in heads))
    for method, cells in rows.items():
        print(f"  {method:16} {sizes[method]:6} B  " + "  ".join(f"{each:31}" for each in cells))
    own, bare = each_kb
    print(
        f"memory of an idle client (from {CLIENTS[-2]} to {CLIENTS[-1]} of them): {own / bare:.2f} times that of the echo"
        f" ({own:.0f} and {bare:.0f} kB)"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--echo"]:
        serve_echo(int(sys.argv[2]))
    else:
        anyio.run(compare, int(sys.argv[1]) if len(sys.argv) > 1 else CALLS)
