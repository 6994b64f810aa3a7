"""Temporary files of interrupted writes: those of killed processes are removed, those of running ones are not."""

import errno
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest

from agent_core.app.folders import claimed_folders
from agent_core.base.errors import StartFailed
from agent_core.base.files import write_atomic
from agent_core.base.partial_files import partial_names, remove_abandoned, written_beside
from agent_core.config import StorageConfig

NOBODY = 65534
#: Another process in the middle of a write of the file that the argument names.
WRITER = """
import sys
from pathlib import Path
from agent_core.base.partial_files import written_beside
with written_beside(Path(sys.argv[1]), b"new", 0o600):
    print(".", end="", flush=True)
    sys.stdin.read()
"""


@asynccontextmanager
async def writing(path: Path) -> AsyncIterator[anyio.abc.Process]:
    """Run a process that is in the middle of a write of `path`; it is killed at the end."""
    process = await anyio.open_process([sys.executable, "-c", WRITER, str(path)])
    try:
        assert process.stdout is not None
        with anyio.fail_after(20):
            assert await process.stdout.receive(1) == b"."
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def test_what_a_killed_process_was_writing_is_removed_and_the_content_before_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cameras.json"
    write_atomic(path, b"old")
    async with writing(path) as process:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert len(partial_names(tmp_path)) == 1
    remove_abandoned(tmp_path)
    assert names_in(tmp_path) == ["cameras.json"]
    assert path.read_bytes() == b"old"


async def test_what_a_running_process_writes_stays_however_old_it_is(tmp_path: Path) -> None:
    async with writing(tmp_path / "api-keys.json"):
        (name,) = partial_names(tmp_path)
        os.utime(tmp_path / name, (0, 0))
        remove_abandoned(tmp_path)
        assert partial_names(tmp_path) == [name]
    remove_abandoned(tmp_path)
    assert partial_names(tmp_path) == []


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_what_this_process_writes_stays_too(tmp_path: Path) -> None:
    with written_beside(tmp_path / "a", b"content", 0o600) as temporary:
        remove_abandoned(tmp_path)
        temporary.replace(tmp_path / "a")
        remove_abandoned(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"content"


def flock_of_nfs(descriptor: int, operation: int) -> None:
    """Lock as NFS and SMB do, where an exclusive lock needs a file that is open for writing."""
    is_writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    if operation & fcntl.LOCK_EX and not is_writable:
        raise OSError(errno.EBADF, "Bad file descriptor")
    fcntl.flock(descriptor, operation)


def flock_of_none(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


async def test_on_a_network_disk_what_a_running_process_writes_stays(tmp_path: Path) -> None:
    async with writing(tmp_path / "cameras.json"):
        remove_abandoned(tmp_path, flock=flock_of_nfs)
        assert len(partial_names(tmp_path)) == 1
    remove_abandoned(tmp_path, flock=flock_of_nfs)
    assert partial_names(tmp_path) == []


def test_without_locks_everything_counts_as_abandoned(tmp_path: Path) -> None:
    (tmp_path / ".partial-file").write_text("x")
    remove_abandoned(tmp_path, flock=flock_of_none)
    assert partial_names(tmp_path) == []


def test_folders_links_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    (tmp_path / ".partial-link").symlink_to("precious")
    (tmp_path / ".partial-folder").mkdir()
    os.mkfifo(tmp_path / ".partial-fifo")
    (tmp_path / ".other").write_text("x")
    (tmp_path / ".partial-file").write_text("x")
    remove_abandoned(tmp_path)
    assert names_in(tmp_path) == [
        ".other", ".partial-fifo", ".partial-folder", ".partial-link", "precious",
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_account_stay(tmp_path: Path) -> None:
    (tmp_path / ".partial-file").write_text("x")
    os.chown(tmp_path / ".partial-file", NOBODY, NOBODY)
    remove_abandoned(tmp_path)
    assert partial_names(tmp_path) == [".partial-file"]


async def test_a_start_tidies_the_state_folder_and_a_refused_one_does_not(tmp_path: Path) -> None:
    """The second agent must not remove what the first one is writing, or what a file system without locks would show so."""
    storage = StorageConfig(state_dir=tmp_path / "state", runtime_dir=tmp_path / "run")
    left = tmp_path / "state" / ".partial-left"
    with claimed_folders(storage):
        left.write_text("x")
        with pytest.raises(StartFailed), claimed_folders(storage):
            pass
        assert left.exists()
    async with writing(tmp_path / "state" / "api-keys.json"):  # a command, at the time of the agent's start
        with claimed_folders(storage):
            assert not left.exists()
            assert len(partial_names(tmp_path / "state")) == 1
