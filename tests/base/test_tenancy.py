"""Two agents, with state folders of their own, that are given one folder of recordings."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_core.base.errors import StartFailed, StorageFailed
from agent_core.base.tenancy import IN_USE, LOCK_NAME, Tenancy
from agent_core.base.volumes import KnownVolumes, Volume

NOBODY = 65534


class Agents:
    """Volumes at one root, each as another agent sees it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "recordings"
        self.is_separate = False
        self._folder = folder
        self.tenancies: list[Tenancy] = []

    def volume(self, name: str) -> Volume:
        tenancy = Tenancy(self.root, name="recordings", setting="storage.recordings_dir")
        self.tenancies.append(tenancy)
        state = self._folder / name
        state.mkdir(exist_ok=True)
        return Volume(
            self.root,
            name="recordings",
            known=KnownVolumes(state / "volumes.json"),
            state_dir=state,
            tenancy=tenancy,
            mount_point=lambda _: self.root if self.is_separate else Path("/"),
            device=lambda folder: int(self.is_separate and folder == self.root),
        )


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    made = Agents(tmp_path)
    yield made
    for each in made.tenancies:
        each.let_go()


def is_refused(volume: Volume) -> bool:
    try:
        volume.claim(make=True)
    except StorageFailed as error:
        assert error.reason == IN_USE
        assert "Another agent uses this folder of recordings" in error.details
        assert "storage.recordings_dir" in (error.suggestion or "")
        return True
    return False


def test_the_second_is_refused_everything_until_the_first_has_ended(agents: Agents) -> None:
    first, second = agents.volume("first"), agents.volume("second")
    first.claim(make=True)
    assert is_refused(second)
    for look in (second.check, second.check_writable):  # by these it would list, resume and delete
        with pytest.raises(StorageFailed) as caught:
            look()
        assert caught.value.reason == IN_USE
    first.claim()
    first.check()
    agents.tenancies[0].let_go()
    assert not is_refused(second)
    second.check()
    assert is_refused(first)


def test_at_the_start_it_names_the_folder_and_has_changed_nothing(agents: Agents, tmp_path: Path) -> None:
    agents.volume("first").claim(make=True)
    before = {each: each.stat().st_mtime_ns for each in agents.root.rglob("*")}
    with pytest.raises(StartFailed) as caught:
        agents.volume("second").claim_at_start()
    assert caught.value.reason == "already_running"
    assert str(agents.root) in caught.value.details
    assert {each: each.stat().st_mtime_ns for each in agents.root.rglob("*")} == before
    assert list((tmp_path / "second").iterdir()) == []


def test_the_first_is_alone_from_its_start_on(agents: Agents) -> None:
    agents.root.mkdir()
    agents.volume("first").claim_at_start()
    assert is_refused(agents.volume("second"))


def test_a_start_without_the_folder_makes_none(agents: Agents) -> None:
    agents.volume("first").claim_at_start()
    assert not agents.root.exists()


@pytest.mark.parametrize("is_separate", [False, True])
def test_only_a_disk_of_its_own_is_left_while_nothing_is_recorded(
    agents: Agents, *, is_separate: bool
) -> None:
    """An open file on it would keep the disk from being unmounted."""
    agents.is_separate = is_separate
    first, second = agents.volume("first"), agents.volume("second")
    first.claim(make=True)
    first.leave_if_separate()
    assert is_refused(second) is not is_separate
    agents.tenancies[1].let_go()
    first.claim()
    assert is_refused(second)


def test_a_disk_that_is_gone_is_left(agents: Agents, tmp_path: Path) -> None:
    agents.is_separate = True
    first = agents.volume("first")
    first.claim(make=True)
    agents.root.rename(tmp_path / "pulled")
    agents.root.mkdir()
    with pytest.raises(StorageFailed) as caught:
        first.claim()
    assert caught.value.reason == "disk_changed"
    with Tenancy(tmp_path / "pulled", name="recordings", setting="") as other:
        other.take()


def test_a_deleted_lock_file_is_made_again(agents: Agents) -> None:
    first = agents.volume("first")
    first.claim(make=True)
    (agents.root / f"{LOCK_NAME}.lock").unlink()
    first.claim()
    assert is_refused(agents.volume("second"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of other accounts")
def test_a_lock_file_of_root_does_not_keep_out_the_account_of_the_folder(agents: Agents) -> None:
    """As when someone has tried the service's folder with `sudo`."""
    agents.root.mkdir()
    os.chown(agents.root, NOBODY, NOBODY)
    agents.volume("first").claim()
    made = (agents.root / f"{LOCK_NAME}.lock").stat()
    assert (made.st_uid, made.st_mode & 0o777) == (NOBODY, 0o600)
    assert is_refused(agents.volume("second"))


def test_a_file_system_without_locks_is_used_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with Tenancy(tmp_path, name="recordings", setting="", flock=refuse) as tenancy:
        tenancy.take()
        tenancy.take()
    (told,) = caplog.messages
    assert str(tmp_path) in told
    assert "has no locks" in told


def test_what_is_no_file_is_no_lock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / f"{LOCK_NAME}.lock")
    with pytest.raises(StorageFailed) as caught:
        Tenancy(tmp_path, name="recordings", setting="").take()
    assert caught.value.reason == "unsafe_file"
    assert caplog.text == ""
