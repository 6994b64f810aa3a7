"""Lists of many stored files compared with those of 100, and `ping` beside them. Prints ratios, and the agent's memory.

scripts/bench files [files of each kind]
"""

import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
from websockets.asyncio.client import ClientConnection

from agent_core.auth.roles import Role
from bench.agents import AgentProcess, agent_process, connected, cpu_s, spread

FEW, MANY = 100, 100_000
#: Calls that are measured together, and how often.
CALLS, ROUNDS = 60, 5
PINGS = 300
#: Recordings and snapshots begin so far apart.
APART = timedelta(minutes=3)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
METHODS = ("list_snapshots", "list_recordings")


def fill(state: Path, count: int) -> None:
    """Write `count` snapshots and as many recordings of one segment, of four cameras."""
    for number in range(count):
        camera, at = f"camera{number % 4}", BEGIN + number * APART
        stamp = at.strftime("%Y-%m-%d_%H-%M-%S")
        snapshots = state / "snapshots" / camera
        snapshots.mkdir(parents=True, exist_ok=True)
        snapshot = snapshots / f"{camera}_{stamp}-000Z.jpg"
        snapshot.write_bytes(b"a picture")
        os.utime(snapshot, (at.timestamp(), at.timestamp()))
        folder = state / "recordings" / camera / f"{camera}_{stamp}Z"
        folder.mkdir(parents=True)
        moment = at.isoformat()
        note = {
            "id": folder.name,
            "camera": camera,
            "format": "fmp4",
            "started_at": moment,
            "ended_at": moment,
        }
        (folder / "recording.json").write_text(json.dumps(note))
        (folder / f"{stamp}-000000Z.mp4").write_bytes(b"media")


async def call(ws: ClientConnection, method: str, **params: object) -> dict[str, object]:
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    reply: dict[str, object] = json.loads(await ws.recv())
    assert "result" in reply, reply
    return reply


def p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


async def cost_s(agent: AgentProcess, one: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU seconds of the agent for one call."""
    before_s = cpu_s(agent.pid)
    for _ in range(CALLS):
        await one()
    return (cpu_s(agent.pid) - before_s) / CALLS


async def viewer(agent: AgentProcess) -> ClientConnection:
    ws = await connected(agent.url)
    await call(ws, "authenticate", auth_token=agent.token(Role.VIEWER))
    return ws


async def quiet(agent: AgentProcess) -> None:
    """Wait until no child of the agent has run for two seconds: the folders are scanned."""
    still_s = 0.0
    while still_s < 2:
        await anyio.sleep(0.25)
        tasks = Path(f"/proc/{agent.pid}/task").iterdir()
        still_s = 0.0 if any((each / "children").read_text() for each in tasks) else still_s + 0.25


async def list_in_a_loop(agent: AgentProcess) -> None:
    ws = await viewer(agent)
    while True:
        for method in METHODS:
            await call(ws, method)


async def ping_p95_s(ws: ClientConnection) -> float:
    times = []
    for _ in range(PINGS):
        began = time.perf_counter()
        await call(ws, "ping")
        times.append(time.perf_counter() - began)
        await anyio.sleep(0.005)
    return p95(times)


async def ping_ratio(agent: AgentProcess, ws: ClientConnection) -> float:
    """Return the p95 of `ping` while two viewers list in a loop, divided by that without them."""
    alone_s = await ping_p95_s(ws)
    async with anyio.create_task_group() as viewers:
        for _ in range(2):
            viewers.start_soon(list_in_a_loop, agent)
        ratio = await ping_p95_s(ws) / alone_s
        viewers.cancel_scope.cancel()
    return ratio


def memory_mib(agent: AgentProcess) -> float:
    lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
    return next(int(each.split()[1]) / 1024 for each in lines if each.startswith("VmRSS"))


@asynccontextmanager
async def agent_with(count: int) -> AsyncIterator[tuple[AgentProcess, ClientConnection, float]]:
    """Run an agent with so many files; yield it, a connection, and the CPU seconds until it listened."""
    async with agent_process("[plugins]\nenabled = []\n", partial(fill, count=count)) as agent:
        start_s = cpu_s(agent.pid)
        ws = await viewer(agent)
        await quiet(agent)
        yield agent, ws, start_s
        await ws.close()


async def main(many: int) -> None:
    async with agent_with(FEW) as (few, few_ws, few_start_s), agent_with(many) as (lot, lot_ws, lot_start_s):
        print(f"{many} files of each kind / {FEW} of each, CPU of the agent:")
        print(f"  until it listens: ratio {lot_start_s / few_start_s:.2f}")
        for method in METHODS:
            for what, share in (("first page", 0.0), ("at nine tenths", 0.9)):
                ratios = []
                for _ in range(ROUNDS):
                    page = {"offset": int(FEW * share), "limit": 10}
                    few_s = await cost_s(few, partial(call, few_ws, method, **page))
                    page = {"offset": int(many * share), "limit": 10}
                    ratios.append(await cost_s(lot, partial(call, lot_ws, method, **page)) / few_s)
                print(f"  {method}, {what}: ratio {spread(ratios)}")
        for count, agent, ws in ((FEW, few, few_ws), (many, lot, lot_ws)):
            ratios = [await ping_ratio(agent, ws) for _ in range(ROUNDS)]
            print(f"{count} files of each kind:")
            print(f"  p95 of ping while two viewers list / alone: ratio {spread(ratios)}; aim <= 3")
            print(f"  memory of the agent: {memory_mib(agent):.0f} MiB; aim < 100")


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
