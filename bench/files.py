"""Agents with few and with many stored files, compared: lists, `ping` beside them, start, memory, mass deletions.

Prints one table. The files change while `ping` is measured, and other processes change and delete them.

scripts/bench files [files of each kind]
"""

import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
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
#: Time of rest.
REST_S = 40
#: Recordings and snapshots begin so far apart.
APART = timedelta(minutes=3)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
METHODS = ("list_snapshots", "list_recordings")
CAMERAS = 4
#: Of each kind: files that another program deletes at once, and then the agent.
DELETED = 10_000
#: ext4 allows 65,000 names of one file.
LINKS = 50_000
#: Writes and deletes 20 files per second in each folder.
CHANGER = """
import itertools, pathlib, sys, time
for number in itertools.count():
    for folder in map(pathlib.Path, sys.argv[1:]):
        (folder / f"changing-{number}.jpg").write_bytes(b"a picture")
        (folder / f"changing-{number - 20}.jpg").unlink(missing_ok=True)
    time.sleep(0.1)
"""


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def at(number: int) -> datetime:
    return BEGIN + number * APART


def stamp(number: int) -> str:
    return at(number).strftime("%Y-%m-%d_%H-%M-%S")


def write(name: str, data: bytes, folder: int) -> int:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=folder)
    os.write(descriptor, data)
    return descriptor


def put_snapshot(folder: int, camera: str, number: int) -> None:
    descriptor = write(f"{camera}_{stamp(number)}-000Z.jpg", b"a picture", folder)
    os.utime(descriptor, (at(number).timestamp(), at(number).timestamp()))
    os.close(descriptor)


def put_recording(folder: int, camera: str, number: int, media: Path) -> None:
    name, moment = f"{camera}_{stamp(number)}Z", at(number).isoformat()
    note = {"id": name, "camera": camera, "format": "fmp4", "started_at": moment, "ended_at": moment}
    os.mkdir(name, 0o750, dir_fd=folder)
    os.close(write(f"{name}/recording.json", json.dumps(note).encode(), folder))
    os.link(media, f"{name}/{stamp(number)}-000000Z.mp4", dst_dir_fd=folder)


def fill(state: Path, count: int) -> None:
    """Write `count` snapshots and as many recordings of one segment; then let the disk take them, so that it rests."""
    for camera in range(CAMERAS):
        name, media = f"camera{camera}", state / "media"
        with (
            opened(state / "snapshots" / name) as snapshots,
            opened(state / "recordings" / name) as recordings,
        ):
            for made, number in enumerate(range(camera, count, CAMERAS)):
                if made % LINKS == 0:
                    media.unlink(missing_ok=True)
                    media.write_bytes(b"media")
                put_snapshot(snapshots, name, number)
                put_recording(recordings, name, number, media)
        media.unlink()
    os.sync()


async def call(ws: ClientConnection, method: str, **params: object) -> dict[str, object]:
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    reply: dict[str, object] = json.loads(await ws.recv())
    assert "result" in reply, reply
    result: dict[str, object] = reply["result"]  # type: ignore[assignment] # these methods return objects
    return result


def p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


async def cost_s(agent: AgentProcess, one: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU seconds of the agent for one call."""
    before_s = cpu_s(agent.pid)
    for _ in range(CALLS):
        await one()
    return (cpu_s(agent.pid) - before_s) / CALLS


async def client(agent: AgentProcess, role: Role = Role.VIEWER) -> ClientConnection:
    ws = await connected(agent.url)
    await call(ws, "authenticate", auth_token=agent.token(role))
    return ws


def has_child(agent: AgentProcess) -> bool:
    return any((each / "children").read_text() for each in Path(f"/proc/{agent.pid}/task").iterdir())


async def indexed(agent: AgentProcess, ws: ClientConnection) -> float:
    """Wait until lists come from the index and no scan runs; return the seconds."""
    began = time.perf_counter()
    for method in METHODS:
        await call(ws, method)
    quiet_s = 0.0
    while quiet_s < 2:
        await anyio.sleep(0.25)
        quiet_s = 0.0 if has_child(agent) else quiet_s + 0.25
    return time.perf_counter() - began - quiet_s


async def list_in_a_loop(agent: AgentProcess) -> None:
    ws = await client(agent)
    while True:
        for method in METHODS:
            await call(ws, method)


async def ping_s(ws: ClientConnection) -> float:
    began = time.perf_counter()
    await call(ws, "ping")
    return time.perf_counter() - began


async def ping_p95_s(ws: ClientConnection) -> float:
    times = []
    for _ in range(PINGS):
        times.append(await ping_s(ws))
        await anyio.sleep(0.005)
    return p95(times)


@asynccontextmanager
async def viewers(agent: AgentProcess) -> AsyncIterator[None]:
    """Let two viewers list in a loop."""
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(list_in_a_loop, agent)
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def changing(agent: AgentProcess) -> AsyncIterator[None]:
    """Let another program write and delete snapshots."""
    folders = [str(agent.folder / f"state/snapshots/camera{each}") for each in range(CAMERAS)]
    process = await anyio.open_process([sys.executable, "-c", CHANGER, *folders])
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def pings_during(ws: ClientConnection, work: Callable[[], Awaitable[object]]) -> list[float]:
    """Return the seconds of pings while `work` runs."""
    times: list[float] = []
    is_done = False

    async def do() -> None:
        nonlocal is_done
        await work()
        is_done = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(do)
        while not is_done:
            times.append(await ping_s(ws))
            await anyio.sleep(0.005)
    return times


async def until_total(ws: ClientConnection, method: str, total: int) -> None:
    while (await call(ws, method, limit=1))["total"] != total:
        await anyio.sleep(0.1)


async def delete_by_hand(agent: AgentProcess, number: int) -> None:
    """Let another program delete the oldest snapshots at once, and wait until that is in the totals."""
    ws = await client(agent)
    total = (await call(ws, "list_snapshots", limit=1))["total"]
    assert isinstance(total, int)
    for camera in range(CAMERAS):
        folder = agent.folder / f"state/snapshots/camera{camera}"
        names = [f"camera{camera}_{stamp(each)}-000Z.jpg" for each in range(camera, number, CAMERAS)]
        await anyio.run_process(["rm", *names], cwd=folder)
    await until_total(ws, "list_snapshots", total - number)
    await ws.close()


async def delete_by_age(agent: AgentProcess, number: int) -> None:
    """Let retention delete the oldest files: recordings, and the snapshots that are left of their age."""
    ws = await client(agent, Role.ADMIN)
    total = (await call(ws, "list_recordings", limit=1))["total"]
    assert isinstance(total, int)
    days = (datetime.now(UTC) - at(number) + APART / 2) / timedelta(days=1)
    await call(ws, "set_retention_policy", policy_type="age", enabled=True, max_age_days=days)
    await call(ws, "cleanup_old_files")
    await until_total(ws, "list_recordings", total - number)
    await ws.close()


async def has_retention(agent: AgentProcess) -> bool:
    """Return False for a version of the agent without retention by clients."""
    ws = await client(agent, Role.ADMIN)
    request = {"method": "set_retention_policy", "params": {"policy_type": "manual", "enabled": False}}
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, **request}))
    reply = json.loads(await ws.recv())
    await ws.close()
    return "result" in reply


def memory_mib(agent: AgentProcess) -> float:
    lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
    return next(int(each.split()[1]) / 1024 for each in lines if each.startswith("VmRSS"))


@dataclass
class Rig:
    """Agent with `count` files of each kind, and a connection of a viewer."""

    count: int
    agent: AgentProcess
    ws: ClientConnection
    #: CPU seconds until it listened.
    start_s: float
    #: Seconds from then until lists came from the index, at the first start.
    index_s: float = field(default=0.0)


@asynccontextmanager
async def rig(count: int) -> AsyncIterator[Rig]:
    async with agent_process("[plugins]\nenabled = []\n", partial(fill, count=count)) as agent:
        start_s = cpu_s(agent.pid)
        ws = await client(agent)
        made = Rig(count, agent, ws, start_s)
        made.index_s = await indexed(agent, ws)
        yield made
        await ws.close()


def row(what: str, few: str, many: str, ratio: str, aim: str = "") -> None:
    print(f"| {what} | {few} | {many} | {ratio} | {aim} |", flush=True)


def times_row(what: str, few_s: float, many_s: float, aim: str = "") -> None:
    row(what, f"{few_s * 1000:.2f} ms", f"{many_s * 1000:.2f} ms", f"{many_s / few_s:.2f}", aim)


def memory_row(what: str, few: Rig, many: Rig) -> None:
    few_mib, many_mib = (f"{memory_mib(each.agent):.0f} MiB" for each in (few, many))
    row(what, few_mib, many_mib, "", "< 100 MiB")


async def rest_row(few: Rig, many: Rig) -> None:
    """Show what the looks for changes cost that inotify cannot see, which are spread evenly over 40 s."""
    before_s = [cpu_s(each.agent.pid) for each in (few, many)]
    await anyio.sleep(REST_S)
    after_s = [cpu_s(each.agent.pid) for each in (few, many)]
    few_share, many_share = (
        f"{(after - before) / REST_S:.2%}" for before, after in zip(before_s, after_s, strict=True)
    )
    row("CPU at rest, of one processor", few_share, many_share, "")


async def list_rows(few: Rig, many: Rig) -> None:
    for method in METHODS:
        for what, share in (("first page", 0.0), ("page at nine tenths", 0.9)):
            costs = []
            for _ in range(ROUNDS):
                pages = [
                    partial(call, each.ws, method, offset=int(each.count * share), limit=10)
                    for each in (few, many)
                ]
                costs.append((await cost_s(few.agent, pages[0]), await cost_s(many.agent, pages[1])))
            few_s, many_s = (statistics.median(column) for column in zip(*costs, strict=True))
            times_row(f"CPU of {method}, {what}", few_s, many_s)


async def ping_rows(few: Rig, many: Rig) -> None:
    """Measure the baseline anew before each, because the load of the host changes."""
    ratios: list[str] = []
    for each in (few, many):
        found = []
        for _ in range(ROUNDS):
            alone_s = await ping_p95_s(each.ws)
            async with changing(each.agent), viewers(each.agent):
                found.append(await ping_p95_s(each.ws) / alone_s)
        ratios.append(spread(found))
    row("p95 of `ping` while two viewers list and files change / alone", ratios[0], ratios[1], "", "<= 3")


async def deletion_rows(few: Rig, many: Rig) -> None:
    kinds = (("rm of {} snapshots", delete_by_hand), ("retention of {} files of each kind", delete_by_age))
    for what, delete in kinds if await has_retention(few.agent) else kinds[:1]:
        shown = []
        for each in (few, many):
            number = min(DELETED, each.count // 10)
            baseline_s = await ping_p95_s(each.ws)
            times = await pings_during(each.ws, partial(delete, each.agent, number))
            shown.append(
                f"p95 {p95(times) / baseline_s:.2f}, longest {max(times) * 1000:.0f} ms, {sum(times):.1f} s"
            )
        row(
            f"`ping` during {what.format(min(DELETED, many.count // 10))} / alone",
            shown[0],
            shown[1],
            "",
            "<= 3",
        )


async def main(number: int) -> None:
    async with AsyncExitStack() as stack:
        few = await stack.enter_async_context(rig(FEW))
        many = await stack.enter_async_context(rig(number))
        row("", f"{few.count} files of each kind", f"{many.count} of each", "ratio", "aim")
        row("---", "---", "---", "---", "---")
        times_row("CPU until it listens", few.start_s, many.start_s, "about 1")
        row("first index", f"{few.index_s:.1f} s", f"{many.index_s:.1f} s", "")
        await rest_row(few, many)
        await list_rows(few, many)
        await ping_rows(few, many)
        memory_row("memory after lists", few, many)
        await deletion_rows(few, many)
        memory_row("memory after deletions", few, many)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
