"""A thousand real bridges over stub controllers at one Mosquitto on this machine: what each agent, and the broker, pay.

scripts/bench fleet_scale [--agents 1000] [--processes 4] [--idle-s 60] [--spread-s 20] [--events 20]

Birth storm, idle time, a signed call to each agent from one client, events of one agent to as many subscribers as there
are agents, and the broker killed and started again without its memory. A row tells what one agent costs: publications and
bytes in both directions, by Mosquitto's own counts, and the CPU time of its bridge and of the broker. Times depend on the
machine: compare their ratios.
"""

import argparse
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from bench.agents import memory_kb
from bench.fleet_scale_calls import Replies, call_all
from bench.fleet_scale_meter import PREFIX, Phase, Row, Watch, Workers, running_workers
from bench.fleet_scale_stub import boxes, raise_descriptor_limit, record_answers
from bench.fleet_scale_wire import Broker, subscriber

HEAD = (
    f"{'one agent':28} {'published':>9} {'pkts up':>8} {'down':>8} {'B up':>8} {'down':>8} "
    f"{'bridge ms':>9} {'broker ms':>9}"
)
#: Limit of each phase.
LIMIT_S = 600.0


@dataclass(frozen=True)
class Plan:
    """Size of a run."""

    agents: int = 1000
    processes: int = 4
    idle_s: float = 60.0
    spread_s: float = 20.0
    events: int = 20
    is_counting: bool = True


@dataclass
class Result:
    """Findings of a run.

    Attributes:
        rows: costs of the phases.
        replies: of the signed calls.
        delivered: events that subscribers have got.
        births: agents that were online after the first start, and again after the broker's.
        retained: topics that the agents retained after each of the two.
        bridge_kb, broker_kb: private memory that one agent costs its process and the broker.
    """

    rows: list[Row] = field(default_factory=list)
    replies: Replies = field(default_factory=Replies)
    delivered: int = 0
    births: list[int] = field(default_factory=list)
    retained: list[int] = field(default_factory=list)
    bridge_kb: float = 0.0
    broker_kb: float = 0.0


@dataclass
class Run:
    """One run: its parts, and what it has shown so far."""

    plan: Plan
    broker: Broker
    watch: Watch
    workers: Workers
    folder: Path
    result: Result = field(default_factory=Result)

    async def all_phases(self) -> None:
        await self.birth()
        await self.idle()
        await self.calls()
        await self.events()
        await self.restart()

    def phase(self) -> Phase:
        return Phase(self.plan.agents, self.watch, self.workers, self.broker)

    def show(self, row: Row) -> None:
        self.result.rows.append(row)
        print(row, flush=True)

    async def birth(self) -> None:
        """All agents connect at once, as after a power cut of a site."""
        before = [each["memory_kb"] for each in await self.workers.order("memory")]
        broker_kb = memory_kb(self.broker.pid)[1]
        phase = self.phase()
        await phase.begin()
        began_s = time.monotonic()
        await self.workers.order("start", value=self.plan.spread_s)
        await self.watch.wait_online(self.plan.agents)
        self.show(await phase.row("birth storm", self._spread(began_s)))
        after = [each["memory_kb"] for each in await self.workers.order("memory")]
        self.result.bridge_kb = (sum(after) - sum(before)) / self.plan.agents
        self.result.broker_kb = (memory_kb(self.broker.pid)[1] - broker_kb) / self.plan.agents
        self._note_births()

    async def idle(self) -> None:
        """Nothing happens."""
        phase = self.phase()
        await phase.begin()
        await anyio.sleep(self.plan.idle_s)
        self.show(
            await phase.row(f"{self.plan.idle_s:g} s idle", "keep-alive, and numbers of health that change")
        )

    async def calls(self) -> None:
        """One client calls each agent, signed."""
        phase = self.phase()
        await phase.begin()
        self.result.replies = await call_all(self.broker.port)
        replies = self.result.replies
        client_ms = replies.cpu_s / max(1, replies.good) * 1e3
        note = f"{replies.good} of {replies.agents} replies; {replies.per_s:.0f} per s; client {client_ms:.1f} ms each"
        self.show(await phase.row("a signed call to each", note))

    async def events(self) -> None:
        """Events of the first agent go to many."""
        topics = f"{PREFIX}/{boxes([0])[0].agent}/events/#"
        many = [
            await subscriber(self.broker.port, f"many-{number}", topics) for number in range(self.plan.agents)
        ]
        phase = self.phase()
        await phase.begin()
        began_s = time.monotonic()
        await self.workers.order("publish", only=0, value=self.plan.events)
        wanted = self.plan.events * len(many)
        with anyio.fail_after(LIMIT_S):
            while sum(each.messages for each in many) < wanted:
                await anyio.sleep(0.02)
        self.result.delivered = sum(each.messages for each in many)
        rate = wanted / max(1e-9, max(each.last_s for each in many) - began_s)
        note = f"{self.plan.events} events to {len(many)} subscribers; {rate:.0f} deliveries per s"
        self.show(await phase.row("events of one agent to all", note))
        for each in many:
            each.close()

    async def restart(self) -> None:
        """The broker dies and comes back without what it retained."""
        await self.broker.kill()
        await self.broker.start()
        phase = self.phase()
        await phase.begin(counted=False)
        began_s = time.monotonic()
        await self.watch.connect()
        await self.watch.wait_online(self.plan.agents)
        last_s = max(self.watch.online_s.values()) - began_s
        note = f"{self._spread(began_s)} ({last_s / self.plan.spread_s:.2f} of the spread)"
        self.show(await phase.row("broker killed and started", note))
        self._note_births()

    def _note_births(self) -> None:
        self.result.births.append(len(self.watch.online_s))
        self.result.retained.append(len(self.watch.retained))

    def _spread(self, began_s: float) -> str:
        """Return when the agents came online, as shares of the time until the last one."""
        taken = sorted(each - began_s for each in self.watch.online_s.values())
        half, most = taken[len(taken) // 2] / taken[-1], taken[len(taken) * 9 // 10] / taken[-1]
        return f"all online after {taken[-1]:.1f} s; half after {half:.0%}, 90 % after {most:.0%} of it"


async def measure(plan: Plan, folder: Path) -> Result:
    """Run all phases, and print a row for each."""
    raise_descriptor_limit()
    await record_answers(folder / "answers.json")
    broker = Broker(folder)
    await broker.start()
    try:
        watch = Watch(broker.port, plan.is_counting)
        await watch.connect()
        async with running_workers(plan.agents, plan.processes, broker.port, folder) as workers:
            run = Run(plan, broker, watch, workers, folder)
            print(HEAD)
            await run.all_phases()
            print_memory(run)
            return run.result
    finally:
        with anyio.CancelScope(shield=True):
            await broker.kill()


def print_memory(run: Run) -> None:
    sizes = list(run.watch.retained.values())
    print(
        f"\nretained by one agent: {len(sizes) / run.plan.agents:.1f} topics, {sum(sizes) / run.plan.agents:.0f} bytes"
    )
    print(
        f"memory of one agent: {run.result.bridge_kb:.0f} KB in its process, {run.result.broker_kb:.1f} KB in the broker"
    )


def machine() -> str:
    """Return what the numbers depend on."""
    models = [
        each.partition(":")[2].strip()
        for each in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in each
    ]
    return f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), Linux {platform.release()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    plan = Plan()
    parser.add_argument("--agents", type=int, default=plan.agents)
    parser.add_argument("--processes", type=int, default=plan.processes)
    parser.add_argument("--idle-s", type=float, default=plan.idle_s)
    parser.add_argument(
        "--spread-s", type=float, default=plan.spread_s, help="reconnect_spread_s of the bridges"
    )
    parser.add_argument("--events", type=int, default=plan.events)
    given = parser.parse_args()
    print(machine())
    with TemporaryDirectory(prefix="bench-") as folder:
        anyio.run(
            measure,
            Plan(given.agents, given.processes, given.idle_s, given.spread_s, given.events),
            Path(folder),
        )


if __name__ == "__main__":
    main()
