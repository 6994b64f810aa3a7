"""Orphans that the first process of a container adopts are reaped; exit statuses stay with those who started a child."""

import json
import subprocess
import sys

import anyio

#: Adopts orphans as PID 1 does (PR_SET_CHILD_SUBREAPER of prctl(2) is 36), which needs neither root nor a namespace.
PROGRAM = """
import ctypes, json, subprocess
from functools import partial
from pathlib import Path

import anyio
from agent_core.app.reaper import reap_orphans
from agent_core.base import processes
from agent_core.base.clock import SystemClock

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


async def status(found, number):
    async with processes.child(["sh", "-c", f"exit {number}"]) as process:
        found.append((number, await process.wait()))


async def main():
    found, late = [], subprocess.Popen(["sh", "-c", "exit 7"])
    async with anyio.create_task_group() as tg:
        before = int((await processes.run(["sh", "-c", "setsid sleep 0 >/dev/null 2>&1 & echo $!"])).stdout)
        tg.start_soon(reap_orphans, SystemClock())
        after = int((await processes.run(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"])).stdout)
        async with anyio.create_task_group() as own:
            for number in range(20):
                own.start_soon(status, found, number)
        with anyio.move_on_after(30):
            while any(Path(f"/proc/{pid}").exists() for pid in (before, after)):
                await anyio.sleep(0.05)
        left = [Path(f"/proc/{pid}").exists() for pid in (before, after)]
        tg.cancel_scope.cancel()
    print(json.dumps({"left": left, "own": sorted(found), "late": late.poll()}))


anyio.run(main)
"""


async def test_orphans_are_reaped_and_no_exit_status_is_stolen() -> None:
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [sys.executable, "-c", PROGRAM], start_new_session=True, stderr=subprocess.STDOUT
        )
    found = json.loads(done.stdout)
    assert found["left"] == [False, False]
    assert found["own"] == [[number, number] for number in range(20)]
    assert found["late"] == 7
