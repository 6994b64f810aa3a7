"""Start-up, memory and wake-ups of an agent with all plugins, compared with a bare interpreter and a minimal server.

scripts/bench idle [starts] [seconds]

All run in turns in one environment, and medians are compared. Start-up is measured as CPU time (user and system) until
the process listens, which depends least on the machine's load, and as wall time. Wake-ups are context switches,
voluntary or not, of all threads that the process has had.
"""

import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from bench.agents import cpu_s, memory_kb

PLUGINS = ("embedded_server", "ffmpeg_tier", "v4l2_tier", "virtual_camera")
CONFIG = """\
[server]
port = 0
[storage]
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[plugins]
enabled = {plugins}
[plugins.embedded_server]
api_port = 0
rtsp_port = 0
"""
SETTLE_S = 5.0
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Side:
    """Program to measure. `argv` receives a new folder; the process listens once the file `sign` exists in it."""

    name: str
    argv: Callable[[Path], list[str]]
    sign: str | None


def agent_argv(folder: Path) -> list[str]:
    (folder / "config.toml").write_text(CONFIG.format(folder=folder, plugins=sorted(PLUGINS)))
    return [
        str(Path(sys.executable).with_name("camera-agent")),
        "run",
        "--config",
        str(folder / "config.toml"),
    ]


BARE = Side("bare interpreter", lambda _: [sys.executable, "-c", "pass"], None)
LOOP = Side(
    "bare event loop",
    lambda _: [sys.executable, "-c", "import asyncio; asyncio.run(asyncio.sleep(1e6))"],
    None,
)
SMALLEST = Side(
    "smallest server",
    lambda folder: [sys.executable, str(Path(__file__).with_name("smallest.py")), str(folder / "port")],
    "port",
)
AGENT = Side("agent", agent_argv, "state/endpoint.json")


@dataclass(slots=True)
class Process:
    """Child process, with the last count of context switches of each thread."""

    pid: int
    folder: Path
    switches: dict[int, int] = field(default_factory=dict)

    @classmethod
    def start(cls, side: Side) -> "Process":
        folder = Path(mkdtemp(prefix="bench-"))
        words = side.argv(folder)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(folder / "log"), os.O_WRONLY | os.O_CREAT, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        return cls(os.posix_spawn(words[0], words, os.environ, file_actions=actions), folder)

    def look(self) -> int:
        """Count and return the context switches so far; ended threads keep their last count."""
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                lines = (thread / "status").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            counts = (int(line.split()[1]) for line in lines if "voluntary_ctxt" in line)
            self.switches[int(thread.name)] = sum(counts)
        return sum(self.switches.values())

    def memory_mb(self) -> tuple[float, float]:
        """Return the resident memory, and the part of it that is not shared with other processes."""
        rss_kb, own_kb = memory_kb(self.pid)
        return rss_kb / 1024, own_kb / 1024

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End the process; return the kernel's count of all its context switches."""
        os.kill(self.pid, number)
        _, _, used = os.wait4(self.pid, 0)
        shutil.rmtree(self.folder)
        return used.ru_nvcsw + used.ru_nivcsw


def start_s(side: Side) -> tuple[float, float]:
    """Return CPU and wall time of one start, until the process listens; without `sign`, until it ends."""
    began_s = time.perf_counter()
    process = Process.start(side)
    if side.sign is None:
        _, _, used = os.wait4(process.pid, 0)
        shutil.rmtree(process.folder)
        return used.ru_utime + used.ru_stime, time.perf_counter() - began_s
    while not (process.folder / side.sign).exists():
        if os.waitpid(process.pid, os.WNOHANG) != (0, 0):
            raise SystemExit(f"{side.name} did not start: {(process.folder / 'log').read_text()}")
        time.sleep(0.0005)
    took = cpu_s(process.pid), time.perf_counter() - began_s
    process.end(signal.SIGTERM)
    return took


def starts(count: int) -> None:
    sides = (BARE, SMALLEST, AGENT)
    taken: dict[str, list[tuple[float, float]]] = {side.name: [] for side in sides}
    for number in range(count + 1):
        for side in sides:
            took = start_s(side)
            if number:  # the first start fills caches
                taken[side.name].append(took)
    medians = {
        name: [statistics.median(each) for each in zip(*all_, strict=True)] for name, all_ in taken.items()
    }
    print(
        f"start until it listens, medians of {count}: CPU, wall; compared with the bare interpreter and the smallest server"
    )
    for name, (used_s, wall_s) in medians.items():
        bare, least = medians[BARE.name], medians[SMALLEST.name]
        print(
            f"  {name:17} {used_s * 1000:6.0f} ms {wall_s * 1000:6.0f} ms"
            f"   CPU {used_s / bare[0]:5.1f} and {used_s / least[0]:4.1f}, wall {wall_s / bare[1]:5.1f} and"
            f" {wall_s / least[1]:4.1f} times{'   (aim: 25 bare)' if name == AGENT.name else ''}"
        )


def idle(duration_s: float) -> None:
    """Measure all programs at the same time, so that the machine's load is the same for each."""
    running = [(side, Process.start(side)) for side in (LOOP, SMALLEST, AGENT)]
    try:
        watch(running, SETTLE_S)
        before = [process.look() for _, process in running]
        cpu_before = [cpu_s(process.pid) for _, process in running]
        watch(running, duration_s)
        woken = [process.look() - seen for (_, process), seen in zip(running, before, strict=True)]
        used_s = [cpu_s(process.pid) - seen for (_, process), seen in zip(running, cpu_before, strict=True)]
        memory = [process.memory_mb() for _, process in running]
    finally:
        missed = [-process.look() + process.end() for _, process in running]
    print(f"idle for {duration_s:.0f} s, {SETTLE_S:.0f} s after the start")
    for number, (side, _) in enumerate(running):
        rss_mb, own_mb = memory[number]
        print(
            f"  {side.name:17} {rss_mb:5.1f} MB, {rss_mb / memory[0][0]:.1f} and {rss_mb / memory[1][0]:.1f} times"
            f" ({own_mb:.1f} MB its own){'   (aim: 55 MB)' if side is AGENT else ''};"
            f" {woken[number] / duration_s:.2f} wake-ups per second, {used_s[number] / duration_s:.3%} of a core"
            f" ({missed[number]} wake-ups since its start not seen)"
        )


def watch(running: list[tuple[Side, Process]], duration_s: float) -> None:
    """Count often, so that threads are counted before they end."""
    until_s = time.monotonic() + duration_s
    while time.monotonic() < until_s:
        for _, process in running:
            process.look()
        time.sleep(LOOK_S)


if __name__ == "__main__":
    numbers = [float(each) for each in sys.argv[1:]]
    print(f"Python {sys.version.split()[0]}; plugins: {', '.join(PLUGINS)}")
    starts(int(numbers[0]) if numbers else 7)
    idle(numbers[1] if len(numbers) > 1 else 20.0)
