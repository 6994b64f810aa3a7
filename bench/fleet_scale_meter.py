"""Watch and meters of `fleet_scale`: processes with bridges, and what a phase costs each of them."""

import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from bench.agents import cpu_s
from bench.fleet_scale_wire import Broker, Subscriber, subscriber

__all__ = ("PREFIX", "Phase", "Row", "Watch", "Workers", "running_workers")

PREFIX = "camera-agent"
#: Limit of each phase.
LIMIT_S = 600.0
#: Mosquitto's counts of packets and bytes. Its counts of publications leave retained ones out.
_COUNTS = {
    "messages/received": "up",
    "messages/sent": "down",
    "bytes/received": "up_bytes",
    "bytes/sent": "down_bytes",
}


@dataclass
class Watch:
    """Subscriber that sees everything, as a dashboard of the whole fleet does.

    Attributes:
        port: port of the broker.
        is_counting: the broker's counts are wanted; to wait for them takes some seconds in each phase.
        online_s: monotonic time of the newest `online` of each agent.
        retained: topics that agents retain now, with the size of topic and payload.
    """

    port: int
    is_counting: bool = True
    online_s: dict[str, float] = field(default_factory=dict)
    retained: dict[str, int] = field(default_factory=dict)
    sys: dict[str, int] = field(default_factory=dict)
    own: Mapping[str, int] = field(default_factory=dict)
    updates: int = 0
    connections: list[Subscriber] = field(default_factory=list)

    async def connect(self) -> None:
        """Watch a broker that has just started."""
        self.online_s.clear()
        self.retained.clear()
        self.sys.clear()
        self.connections = [
            await subscriber(self.port, "watch", f"{PREFIX}/#", self._see),
            await subscriber(self.port, "sys", "$SYS/broker/#", self._see_count),
        ]

    def _see(self, topic: str, payload: bytes) -> None:
        _, agent, kind = topic.split("/", 2)
        if kind == "status" and payload.startswith(b"online"):
            self.online_s[agent] = time.monotonic()
        if kind == "status" or kind.startswith("state/"):
            self.retained[topic] = len(topic) + len(payload)

    def _see_count(self, topic: str, payload: bytes) -> None:
        kind = topic.removeprefix("$SYS/broker/")
        if kind == "uptime":  # the first of each update
            self.updates += 1
            messages = sum(each.messages for each in self.connections)
            self.own = {"down": messages, "down_bytes": sum(each.bytes for each in self.connections)}
        elif kind in _COUNTS:
            self.sys[_COUNTS[kind]] = int(payload)

    async def wait_online(self, count: int) -> None:
        """Wait until `count` agents are online."""
        with anyio.fail_after(LIMIT_S):
            while len(self.online_s) < count:
                await anyio.sleep(0.02)

    async def counts(self) -> Mapping[str, int]:
        """Return Mosquitto's counts, which it updates every second, without what the watch itself was sent."""
        update = self.updates + 2  # the next one may have begun already
        while self.is_counting and self.updates < update:
            await anyio.sleep(0.02)
        found = {name: max(0, self.sys.get(name, 0) - self.own.get(name, 0)) for name in _COUNTS.values()}
        return {"published": self.connections[0].messages, **found}


@dataclass
class Workers:
    """Processes with bridges, and the answers of their last command."""

    processes: list[anyio.abc.Process]
    outputs: list[BufferedByteReceiveStream]

    @property
    def pids(self) -> list[int]:
        return [each.pid for each in self.processes]

    async def order(
        self, command: str, *, only: int | None = None, value: float = 0
    ) -> list[Mapping[str, int]]:
        """Give a command to all processes, or to one, and return the answers."""
        chosen = range(len(self.processes)) if only is None else [only]
        line = json.dumps({"do": command, "value": value}).encode() + b"\n"
        for number in chosen:
            stdin = self.processes[number].stdin
            assert stdin is not None
            await stdin.send(line)
        return [json.loads(await self.outputs[each].receive_until(b"\n", 1 << 20)) for each in chosen]


@contextlib.asynccontextmanager
async def running_workers(agents: int, processes: int, port: int, folder: Path) -> AsyncIterator[Workers]:
    """Run `agents` stubs in `processes`; no bridge has started yet."""
    workers, first = Workers([], []), 0
    try:
        for number in range(processes):
            count = agents // processes + (number < agents % processes)
            words = [
                sys.executable,
                "-m",
                "bench.fleet_scale_worker",
                str(first),
                str(count),
                str(port),
                str(folder),
            ]
            process = await anyio.open_process(words, stderr=None)
            assert process.stdout is not None
            workers.processes.append(process)
            workers.outputs.append(BufferedByteReceiveStream(process.stdout))
            first += count
        yield workers
    finally:
        for process in workers.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with anyio.CancelScope(shield=True):
                await process.aclose()


@dataclass(frozen=True)
class Row:
    """Costs of one phase for one agent: publications below the prefix, packets and bytes to and from the broker, CPU."""

    name: str
    published: float
    up: float
    down: float
    up_bytes: float
    down_bytes: float
    bridge_ms: float
    broker_ms: float
    note: str

    def __str__(self) -> str:
        packets = f"{self.published:9.2f} {self.up:8.2f} {self.down:8.2f}"
        cpu = f"{self.bridge_ms:9.2f} {self.broker_ms:9.3f}"
        return f"{self.name:28} {packets} {self.up_bytes:8.0f} {self.down_bytes:8.0f} {cpu}  {self.note}"


@dataclass
class Phase:
    """Meter of one phase: read the counts before and after."""

    agents: int
    watch: Watch
    workers: Workers
    broker: Broker
    before: Mapping[str, int] = field(default_factory=dict)
    cpu: tuple[float, float] = (0.0, 0.0)

    async def begin(self, *, counted: bool = True) -> None:
        """Begin; `counted` is False if the broker has just started, and its counts are zero."""
        self.before = await self.watch.counts() if counted else {}
        self.cpu = self._cpu()

    async def row(self, name: str, note: str) -> Row:
        """End the phase."""
        bridge, broker = (after - before for after, before in zip(self._cpu(), self.cpu, strict=True))
        after = await self.watch.counts()
        spent = {key: (value - self.before.get(key, 0)) / self.agents for key, value in after.items()}
        return Row(
            name,
            **spent,
            bridge_ms=bridge / self.agents * 1e3,
            broker_ms=broker / self.agents * 1e3,
            note=note,
        )

    def _cpu(self) -> tuple[float, float]:
        return sum(cpu_s(pid) for pid in self.workers.pids), cpu_s(self.broker.pid)
