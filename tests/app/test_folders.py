"""Disks that come and go below the state folder of a running agent."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.app.folders import RuntimeFolder
from agent_core.base.errors import StartFailed
from agent_core.base.locks import InstanceLock
from agent_core.config import StorageConfig
from agent_core.testing import SimulatedClock

_ROOT, _DISK, _OTHER = 1, 2, 3


@contextmanager
def _claimed(tmp_path: Path, devices: dict[Path, int]) -> Iterator[RuntimeFolder]:
    """Claim the folders of an agent whose `devices` are those of some folders; all others are on the root's."""
    state, runtime = tmp_path / "lib" / "state", tmp_path / "run"
    state.mkdir(parents=True, exist_ok=True)

    def device(folder: Path) -> int:
        folder.stat()
        return devices.get(folder, _ROOT)

    storage = StorageConfig(state_dir=state, runtime_dir=runtime)
    lock = InstanceLock(state)
    with lock, ExitStack() as held:
        folder = RuntimeFolder(storage, state=lock, held=held, device=device)
        folder.claim()
        yield folder


async def _ends(folder: RuntimeFolder) -> str:
    """Return the reason for which the watch over the folders ends; empty if it goes on."""
    clock = SimulatedClock()
    reasons = [""]

    async def watch() -> None:
        try:
            await folder.keep(clock)
        except StartFailed as error:
            reasons.append(error.reason)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()
            await clock.advance(60.0)
        tasks.cancel_scope.cancel()
    return reasons[-1]


async def test_a_disk_mounted_over_the_state_ends_the_agent_which_starts_with_it(tmp_path: Path) -> None:
    devices: dict[Path, int] = {}
    with _claimed(tmp_path, devices) as folder:
        assert await _ends(folder) == ""
        (tmp_path / "lib").rename(tmp_path / "covered")
        (tmp_path / "lib" / "state").mkdir(parents=True)
        devices |= {tmp_path / "lib": _DISK, tmp_path / "lib" / "state": _DISK}
        assert await _ends(folder) == "state_replaced"


async def test_a_mounted_disk_without_a_state_folder_counts_too(tmp_path: Path) -> None:
    devices: dict[Path, int] = {}
    with _claimed(tmp_path, devices) as folder:
        (tmp_path / "lib").rename(tmp_path / "covered")
        (tmp_path / "lib").mkdir()
        devices[tmp_path / "lib"] = _DISK
        assert await _ends(folder) == "state_replaced"


@pytest.mark.parametrize("has_folder_below", [True, False])
async def test_a_vanished_disk_is_waited_for(tmp_path: Path, *, has_folder_below: bool) -> None:
    devices = {tmp_path / "lib": _DISK, tmp_path / "lib" / "state": _DISK}
    with _claimed(tmp_path, devices) as folder:
        (tmp_path / "lib").rename(tmp_path / "unmounted")
        devices.clear()
        if has_folder_below:
            (tmp_path / "lib" / "state").mkdir(parents=True)
        assert await _ends(folder) == ""


async def test_a_disk_that_comes_back_under_another_number_is_used_after_a_new_start(tmp_path: Path) -> None:
    devices = {tmp_path / "lib": _DISK, tmp_path / "lib" / "state": _DISK}
    with _claimed(tmp_path, devices) as folder:
        (tmp_path / "lib").rename(tmp_path / "unmounted")
        devices.clear()
        assert await _ends(folder) == ""
        (tmp_path / "lib" / "state").mkdir(parents=True)
        devices |= {tmp_path / "lib": _OTHER, tmp_path / "lib" / "state": _OTHER}
        assert await _ends(folder) == "state_replaced"
