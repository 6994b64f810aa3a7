"""The idle agent: memory and start-up against a bare interpreter in the same run, and its wake-ups.

.venv/bin/python bench/idle.py [seconds]
"""

import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from anyio.abc import Process

CONFIG = """
[server]
port = 0
[storage]
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[plugins]
enabled = [{plugins}]
"""
STARTS = 5


def status(pid: int, key: str) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1])


def wake_ups(pid: int) -> int:
    """Voluntary context switches of all threads: how often something woke up and went back to sleep."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        total += int(next(line for line in text.splitlines() if line.startswith("voluntary")).split()[1])
    return total


async def start_agent(folder: Path, plugins: Sequence[str]) -> tuple[Process, float]:
    folder.mkdir()
    named = ", ".join(f'"{name}"' for name in plugins)
    (folder / "config.toml").write_text(CONFIG.format(folder=folder, plugins=named))
    began_s = time.perf_counter()
    process = await anyio.open_process(
        [sys.executable, "-m", "agent_core", "run", "--config", str(folder / "config.toml")],
        stdout=None,
        stderr=None,
    )
    endpoint = folder / "state/endpoint.json"
    while not endpoint.exists():
        await anyio.sleep(0.002)
    json.loads(endpoint.read_text())
    return process, time.perf_counter() - began_s


async def bare_start_s() -> float:
    began_s = time.perf_counter()
    await anyio.run_process([sys.executable, "-c", "pass"])
    return time.perf_counter() - began_s


async def measure(duration_s: float) -> None:
    root = Path(__file__).parents[1] / "plugins"
    plugins = [each.name for each in sorted(root.iterdir()) if (each / "pyproject.toml").exists()]
    with TemporaryDirectory() as temporary:
        ratios = []
        for number in range(STARTS):
            process, agent_s = await start_agent(Path(temporary) / str(number), plugins)
            ratios.append(agent_s / await bare_start_s())
            if number < STARTS - 1:
                process.terminate()
                await process.wait()
        bare = await anyio.open_process([sys.executable, "-c", "input()"])
        await anyio.sleep(3)
        before = wake_ups(process.pid)
        await anyio.sleep(duration_s)
        woken = wake_ups(process.pid) - before
        rss_kb = status(process.pid, "VmRSS")
        print(f"plugins: {', '.join(plugins)}")
        print(f"start to listening / start of a bare interpreter: ratio {statistics.median(ratios):.1f}")
        print(
            f"memory: {rss_kb / 1024:.1f} MB, {rss_kb / status(bare.pid, 'VmRSS'):.1f} times a bare interpreter (aim < 60 MB)"
        )
        print(f"wake-ups: {woken / duration_s:.2f} a second over {duration_s:.0f} s of idling")
        bare.kill()
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    anyio.run(measure, float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
