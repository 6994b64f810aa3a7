"""Watches of folders, while a disk stalls."""

import os
import threading
from pathlib import Path

import anyio.to_thread
import pytest

from agent_core.base.inotify import FolderWatches


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_names_are_told_and_a_closed_one_watches_nothing(tmp_path: Path) -> None:
    watches = FolderWatches(lambda _folder: True)
    watch = watches.add(tmp_path)
    assert watches.add(tmp_path) == watch
    (tmp_path / "a").touch()
    assert watches.read().names == {watch: {"a"}}
    fd = watches.fd
    watches.close()
    watches.close()
    assert not is_open(fd)
    with pytest.raises(OSError, match="closed"):
        watches.add(tmp_path)
    watches.remove(watch)


async def test_watches_closed_while_a_disk_stalls_add_none_to_the_next_ones(tmp_path: Path) -> None:
    stalled, goes_on = threading.Event(), threading.Event()

    def stalls(_folder: Path) -> bool:
        stalled.set()
        return goes_on.wait(60)

    watches = FolderWatches(stalls)

    def add() -> bool:
        with pytest.raises(OSError, match="closed"):
            watches.add(tmp_path)
        return True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, add)
        assert await anyio.to_thread.run_sync(stalled.wait, 30)
        watches.close()
        goes_on.set()
