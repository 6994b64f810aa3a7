"""Folders that an agent claims, and folders of another agent, which it leaves alone."""

import errno
import os
import shutil
import socket
import stat
from pathlib import Path

import anyio
import pytest

from agent_core.app.folders import claimed_folders
from agent_core.base.errors import StartFailed
from agent_core.base.locks import InstanceLock
from agent_core.base.socket_place import LOOK_S
from agent_core.config import StorageConfig
from agent_core.testing import SimulatedClock

NOBODY = 65534


def storage(folder: Path, state: str = "state") -> StorageConfig:
    return StorageConfig(state_dir=folder / state, runtime_dir=folder / "run")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(path))


def refused(config: StorageConfig) -> StartFailed:
    with pytest.raises(StartFailed) as caught:
        with claimed_folders(config):
            pass
    return caught.value


def test_both_are_made_for_this_account_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with claimed_folders(storage(tmp_path / "deep" / "er")):
            pass
    finally:
        os.umask(before)
    made = [tmp_path / "deep", *(tmp_path / "deep").rglob("*")]
    assert {stat.S_IMODE(each.stat().st_mode) for each in made if each.is_dir()} == {0o700}


@pytest.mark.parametrize("second", ["state", "other"])
def test_a_second_agent_is_refused_and_has_removed_nothing(tmp_path: Path, second: str) -> None:
    with claimed_folders(storage(tmp_path)):
        a_socket(tmp_path / "run" / "camera.sock")
        error = refused(storage(tmp_path, second))
        assert (tmp_path / "run" / "camera.sock").exists()
    assert error.reason == "already_running"
    folder, setting = ("state", "state_dir") if second == "state" else ("run", "runtime_dir")
    assert str(tmp_path / folder) in error.details
    assert f"storage.{setting}" in error.suggestion
    with claimed_folders(storage(tmp_path, second)):
        assert not (tmp_path / "run" / "camera.sock").exists()


def test_only_sockets_are_removed(tmp_path: Path) -> None:
    with claimed_folders(storage(tmp_path)):
        pass
    run, precious = tmp_path / "run", tmp_path / "precious.sock"
    a_socket(precious)
    a_socket(run / "old.sock")
    (run / "file.sock").write_text("")
    (run / "folder.sock").mkdir()
    (run / "link.sock").symlink_to(precious)
    with claimed_folders(storage(tmp_path)):
        pass
    assert {each.name for each in run.glob("*.sock")} == {"file.sock", "folder.sock", "link.sock"}
    assert precious.exists()


def test_a_runtime_folder_that_is_a_link_is_refused_and_what_it_points_at_kept(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    a_socket(tmp_path / "victim" / "precious.sock")
    (tmp_path / "run").symlink_to("victim")
    error = refused(storage(tmp_path))
    assert error.reason == "linked_folder"
    assert str(tmp_path / "run") in error.details
    assert (tmp_path / "victim" / "precious.sock").exists()


def test_a_state_folder_may_be_a_link_of_this_account(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to("real")
    with claimed_folders(storage(tmp_path)):
        assert (tmp_path / "real" / "agent.lock").exists()


def test_folders_that_were_open_are_closed_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = storage(tmp_path)
    for folder in (config.state_dir, config.runtime_dir):
        folder.mkdir()
        folder.chmod(0o777)
    with claimed_folders(config):
        assert [each.stat().st_mode & 0o022 for each in (config.state_dir, config.runtime_dir)] == [0, 0]
    assert [str(config.state_dir) in caplog.text, str(config.runtime_dir) in caplog.text] == [True, True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
@pytest.mark.parametrize("name", ["state", "run"])
def test_a_folder_of_another_account_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    os.chown(tmp_path / name, NOBODY, NOBODY)
    error = refused(storage(tmp_path))
    assert error.reason == "foreign_folder"
    assert str(tmp_path / name) in error.details
    # Root is told whose agent it is, not to take the folder from it.
    assert "Run the agent as" in error.suggestion
    assert "chown" not in error.suggestion


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_lock_that_was_restored_as_another_accounts_is_named(tmp_path: Path) -> None:
    """The agent's own folder, and in it a lock file that its account may not open."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    for each in (tmp_path / "agent.lock", tmp_path):
        each.touch()
        os.chown(each, NOBODY, NOBODY)
    with pytest.raises(StartFailed) as caught, InstanceLock(tmp_path, flock=refuse):
        pass
    assert "agent.lock" in caught.value.suggestion
    assert f"chown --recursive {os.geteuid()}: {tmp_path}" in caught.value.suggestion


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give links away")
def test_a_link_of_another_account_is_no_state_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to("real")
    os.lchown(tmp_path / "state", NOBODY, NOBODY)
    assert (refused(storage(tmp_path))).reason == "linked_folder"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert str(tmp_path / "state") in (refused(storage(tmp_path))).details


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_what_is_no_file_is_no_lock(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "agent.lock"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartFailed) as caught, InstanceLock(tmp_path):
        pass
    assert str(tmp_path) in caught.value.details
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("how", ["deleted", "moved", "lock"])
async def test_a_runtime_folder_that_vanishes_is_claimed_again(tmp_path: Path, how: str) -> None:
    clock = SimulatedClock()
    with claimed_folders(storage(tmp_path)) as folder:
        async with anyio.create_task_group() as tg:
            tg.start_soon(folder.keep, clock)
            run = tmp_path / "run"
            if how == "lock":
                (run / "runtime.lock").unlink()
            else:
                shutil.rmtree(run) if how == "deleted" else run.rename(tmp_path / "elsewhere")
            await clock.advance(LOOK_S)
            assert (run / "runtime.lock").exists()
            assert refused(storage(tmp_path, "other")).reason == "already_running"
            tg.cancel_scope.cancel()


async def test_a_state_folder_that_vanishes_is_told_once_and_so_is_its_return(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when its disk is unmounted: the agent goes on, and makes no other folder in its place."""
    clock = SimulatedClock()
    caplog.set_level("WARNING", logger="camera_agent.app")
    with claimed_folders(storage(tmp_path)) as folder:
        async with anyio.create_task_group() as tg:
            tg.start_soon(folder.keep, clock)
            (tmp_path / "state").rename(tmp_path / "elsewhere")
            for _ in range(3):
                await clock.advance(LOOK_S)
            assert not (tmp_path / "state").exists()
            (tmp_path / "elsewhere").rename(tmp_path / "state")
            await clock.advance(LOOK_S)
            tg.cancel_scope.cancel()
    vanished, back = (each.getMessage() for each in caplog.records)
    assert f"the state folder {tmp_path / 'state'} or its lock file has vanished" in vanished
    assert "restart the agent" in vanished
    assert f"the state folder {tmp_path / 'state'} is back" in back


async def test_a_runtime_folder_that_another_agent_has_taken_ends_this_one(tmp_path: Path) -> None:
    clock = SimulatedClock()
    with claimed_folders(storage(tmp_path)) as folder:
        shutil.rmtree(tmp_path / "run")
        with claimed_folders(storage(tmp_path, "other")):
            async with anyio.create_task_group() as tg:
                tg.start_soon(clock.advance, LOOK_S)
                with pytest.raises(StartFailed, match="Another agent"):
                    await folder.keep(clock)


def test_one_folder_may_be_both(tmp_path: Path) -> None:
    with claimed_folders(StorageConfig(state_dir=tmp_path / "both", runtime_dir=tmp_path / "both")):
        pass


@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_other_accounts_cannot_hold_the_locks(tmp_path: Path, mode: int) -> None:
    """A file that can be read can be locked, and the agent would not start any more."""
    config = storage(tmp_path)
    locks = (config.state_dir / "agent.lock", config.runtime_dir / "runtime.lock")
    for each in locks:
        each.parent.mkdir()
        each.write_text("")
        each.chmod(mode)
    with claimed_folders(config):
        assert [stat.S_IMODE(each.stat().st_mode) for each in locks] == [0o600, 0o600]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["state/agent.lock", "run/runtime.lock"])
def test_a_lock_that_another_account_has_planted_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text("")
    os.chown(path, NOBODY, NOBODY)
    error = refused(storage(tmp_path))
    assert error.reason == "unsafe_file"
    assert str(path.parent) in error.details
