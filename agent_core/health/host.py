"""Load of the host and of the agent's process, sampled beside other work and read from memory."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from agent_core.base.clock import Clock
from agent_core.base.metrics import MetricRegistry, Rising
from agent_core.base.workers import WorkerPool

__all__ = ("HostLoad", "HostSampler", "Readings", "read_host")

_log = logging.getLogger("camera_agent.health")

#: Age at which a sample is replaced, if other work comes by: with the disks' looks it gets at most 15 s old.
SAMPLE_S = 10.0
#: The disk of the agent's own program rarely takes longer, and a reader should not wait longer.
LIMIT_S = 2.0
#: Sampling goes on for this long after the last reader: the usual intervals of monitoring are shorter.
WANTED_FOR_S = 300.0


@dataclass(frozen=True, slots=True)
class Readings:
    """Counters of the host since its boot, as the kernel shows them; `network` has bytes in and out by interface."""

    busy_s: float
    idle_s: float
    memory_ratio: float
    load_average: float
    network: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class HostLoad:
    """Load of the host when it was last sampled.

    Attributes:
        cpu_ratio: busy part of all processors since the sample before, 0 to 1; the first one's since the host's boot.
        memory_ratio: part of the memory that programs cannot get, 0 to 1.
        load_average: processes that run or wait, averaged over the last minute.
        received_bytes, sent_bytes: traffic of all network interfaces but loopback since the host's boot.
        tasks: running tasks of the agent.
    """

    cpu_ratio: float
    memory_ratio: float
    load_average: float
    received_bytes: int
    sent_bytes: int
    tasks: int


def read_host() -> Readings:
    """Read the host's counters from /proc, which blocks on no disk. Raises OSError if the kernel hides one."""
    import psutil

    times = psutil.cpu_times()._asdict()
    idle_s = times["idle"] + times["iowait"]
    # The times of guests are part of the user's times already.
    busy_s = sum(times.values()) - idle_s - times["guest"] - times["guest_nice"]
    interfaces = psutil.net_io_counters(pernic=True, nowrap=False)
    return Readings(
        busy_s,
        idle_s,
        psutil.virtual_memory().percent / 100,
        psutil.getloadavg()[0],
        tuple((name, each.bytes_recv, each.bytes_sent) for name, each in interfaces.items() if name != "lo"),
    )


class HostSampler:
    """Keeps the newest sample of the host's load while an output reads it.

    An idle agent takes no samples and does not load psutil. `come_by` is called beside work that is done anyway, so that
    sampling wakes no processor.

    Args:
        read: reads the host's counters; may raise OSError.
        count_tasks: returns the number of running tasks; called in the event loop.
        limit_s: longest wait for the first sample.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        read: Callable[[], Readings] = read_host,
        count_tasks: Callable[[], int] = lambda: len(asyncio.all_tasks()),
        limit_s: float = LIMIT_S,
    ) -> None:
        self._clock = clock
        self._read = read
        self._count_tasks = count_tasks
        self._limit_s = limit_s
        self._thread = WorkerPool(1)
        #: The first sample has ended: reading needs no disk any more.
        self._is_loaded = False
        #: The kernel refused to show a counter, which was logged.
        self._is_hidden = False
        self._load: HostLoad | None = None
        self._sampled_s = self._wanted_s = float("-inf")
        self._cpu_s = (0.0, 0.0)
        self._received, self._sent = Rising(), Rising()

    @property
    def load(self) -> HostLoad | None:
        """The last sample; None before the first one, and if the kernel hides the host's counters."""
        return self._load

    async def prepare(self) -> None:
        """Let samples be taken for the next minutes; return at once unless there is none that is fit to show.

        The first one, after a long time without readers, is taken now, in a worker thread: it loads psutil from the
        disk. If that does not answer in time, the numbers stay unknown.
        """
        now_s = self._clock.monotonic_s()
        is_needed = not self._is_loaded or now_s - self._wanted_s > WANTED_FOR_S
        self._wanted_s = now_s
        if not is_needed or now_s - self._sampled_s <= SAMPLE_S:
            return
        self._sampled_s = now_s
        with anyio.move_on_after(self._limit_s):
            try:
                self._take(await self._thread.run_abandonable(self._read))
            except OSError as error:
                self._cannot_read(error)
            self._is_loaded = True

    def come_by(self) -> None:
        """Take a sample if one is wanted and the last one is old. Never blocks, raises nothing."""
        now_s = self._clock.monotonic_s()
        is_wanted = now_s - self._wanted_s <= WANTED_FOR_S
        if not (self._is_loaded and is_wanted) or now_s - self._sampled_s < SAMPLE_S:
            return
        self._sampled_s = now_s
        try:
            self._take(self._read())
        except OSError as error:
            self._cannot_read(error)

    def _take(self, seen: Readings) -> None:
        self._received.saw({name: received for name, received, _ in seen.network})
        self._sent.saw({name: sent for name, _, sent in seen.network})
        busy_s, idle_s = seen.busy_s - self._cpu_s[0], seen.idle_s - self._cpu_s[1]
        self._cpu_s = (seen.busy_s, seen.idle_s)
        passed_s = busy_s + idle_s
        self._load = HostLoad(
            cpu_ratio=min(1.0, max(0.0, busy_s / passed_s)) if passed_s > 0 else 0.0,
            memory_ratio=seen.memory_ratio,
            load_average=seen.load_average,
            received_bytes=self._received.total,
            sent_bytes=self._sent.total,
            tasks=self._count_tasks(),
        )

    def _cannot_read(self, error: OSError) -> None:
        self._load = None
        if not self._is_hidden:
            self._is_hidden = True
            _log.warning("cannot read the host's load, and leave it out: %s", error.strerror or error)

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the last sample."""

        def part(read: Callable[[HostLoad], float]) -> Callable[[], float | None]:
            return lambda: None if self._load is None else read(self._load)

        registry.gauge(
            "camera_agent_host_cpu_ratio",
            "Busy part of the host's processors between the last two samples, 0 to 1.",
            part(lambda load: load.cpu_ratio),
        )
        registry.gauge(
            "camera_agent_host_memory_ratio",
            "Used part of the host's memory, 0 to 1.",
            part(lambda load: load.memory_ratio),
        )
        registry.gauge(
            "camera_agent_host_load_average",
            "Processes that run or wait on the host, averaged over a minute.",
            part(lambda load: load.load_average),
        )
        registry.counter(
            "camera_agent_host_network_received_bytes_total",
            "Bytes that the host's network interfaces received, without loopback.",
            part(lambda load: load.received_bytes),
        )
        registry.counter(
            "camera_agent_host_network_sent_bytes_total",
            "Bytes that the host's network interfaces sent, without loopback.",
            part(lambda load: load.sent_bytes),
        )
        registry.gauge("camera_agent_tasks", "Running tasks of the agent.", part(lambda load: load.tasks))
