"""Volumes by the decisions of `Volume`: which folder is the right one, and what is written to it."""

import shutil
from pathlib import Path
from uuid import UUID

import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.volume_records import VolumeRecord
from agent_core.base.volumes import MARK, KnownVolumes, Volume


class Disks:
    """A root on a disk, and where it seems to be mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "usb" / "recordings"
        self.usb = str(folder / "usb")
        self.point = self.usb
        self.state = folder / "state"
        self.state.mkdir()
        self.link = folder / "link"
        #: A temporary folder has only one disk.
        self.is_separate = True

    def volume(self) -> Volume:
        """Return the volume as an agent sees it that has just started."""
        known = KnownVolumes(self.state / "volumes.json")
        assert known.load() is None
        return Volume(
            self.root,
            name="recordings",
            known=known,
            state_dir=self.state,
            link=self.link,
            mount_point=lambda _: Path(self.point),
            device=self.device,
        )

    def used(self, *, is_separate: bool = True) -> Volume:
        """Return a volume that an earlier run of the agent has used."""
        self.is_separate = is_separate
        self.volume().claim(make=True)
        return self.volume()

    def device(self, folder: Path) -> int:
        return int(self.is_separate and folder == self.root)

    def vanish(self, into: str = "away") -> None:
        """Unmount the disk: the empty folder below is left."""
        Path(self.usb).rename(self.folder / into)
        Path(self.usb).mkdir()
        self.point = "/"

    def mount(self, name: str = "away") -> None:
        Path(self.usb).rmdir()
        (self.folder / name).rename(self.usb)
        self.point = self.usb


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


def reason(volume: Volume) -> str | None:
    """Return the reason that both a look and a claim give; None if both succeed."""
    found: list[str | None] = []
    for look in (volume.check, lambda: volume.claim(make=True)):
        try:
            look()
        except StorageFailed as error:
            assert error.suggestion
            found.append(error.reason)
        else:
            found.append(None)
    assert found[0] == found[1]
    return found[0]


def test_a_first_use_of_an_empty_volume_makes_the_uuid_file(disks: Disks) -> None:
    disks.root.mkdir(parents=True)
    volume = disks.volume()
    volume.check()
    assert list(disks.root.iterdir()) == []
    volume.claim()
    made = (disks.root / MARK).read_text().strip()
    assert UUID(made).version == 4
    volume.claim()
    disks.volume().claim()
    assert (disks.root / MARK).read_text().strip() == made


def test_a_missing_root_is_made_only_when_something_is_to_be_written(disks: Disks) -> None:
    volume = disks.volume()
    volume.claim()
    assert not disks.root.exists()
    volume.claim(make=True)
    assert (disks.root / MARK).is_file()


@pytest.mark.parametrize("is_restarted", [False, True])
def test_nothing_is_made_below_an_empty_mount_point_and_it_goes_on_when_the_disk_is_back(
    disks: Disks, *, is_restarted: bool
) -> None:
    volume = disks.used()
    volume.claim()
    disks.vanish()
    volume = disks.volume() if is_restarted else volume
    assert reason(volume) == "disk_missing"
    assert list(Path(disks.usb).iterdir()) == []
    disks.mount()
    assert reason(volume) is None


def test_the_place_and_the_link_lead_nowhere_while_the_disk_is_gone(disks: Disks) -> None:
    volume = disks.used()
    volume.claim()
    (volume.place / "camera0").mkdir()
    assert (disks.link / "camera0").is_dir()
    disks.vanish()
    disks.root.mkdir()  # the folder exists below the mount point too
    with pytest.raises(FileNotFoundError):
        (volume.place / "camera1").mkdir()
    with pytest.raises(FileNotFoundError):
        (disks.link / "camera1").mkdir()
    with pytest.raises(FileExistsError):
        disks.link.mkdir()
    assert list(disks.root.iterdir()) == []


def test_another_disk_is_refused_until_the_operator_accepts_it(disks: Disks) -> None:
    volume = disks.used()
    volume.claim()
    disks.vanish("first")
    assert reason(volume) == "disk_missing"
    disks.root.mkdir()
    disks.point = disks.usb
    assert reason(volume) == "disk_changed"
    (disks.root / MARK).write_text("01234567-89ab-4cde-8f01-23456789abcd\n")
    assert reason(volume) == "disk_changed"
    assert [each.name for each in disks.root.iterdir()] == [MARK]
    (disks.root / MARK).write_bytes(b"")
    assert reason(volume) is None
    assert UUID((disks.root / MARK).read_text().strip()).version == 4
    disks.vanish("second")
    disks.mount("first")
    assert reason(disks.volume()) is None  # both are known now


def test_a_folder_without_a_disk_of_its_own_may_be_emptied(disks: Disks) -> None:
    disks.point = "/"
    volume = disks.volume()
    volume.claim(make=True)
    shutil.rmtree(disks.root)
    assert reason(volume) is None
    assert (disks.root / MARK).is_file()


def test_a_folder_on_the_disk_of_the_state_folder_may_be_emptied_but_not_left_behind(disks: Disks) -> None:
    volume = disks.used(is_separate=False)
    volume.claim()
    shutil.rmtree(disks.root)
    assert reason(volume) is None
    disks.vanish()
    assert reason(volume) == "disk_missing"


def test_a_disk_that_is_mounted_where_none_was_is_used_and_then_expected(disks: Disks) -> None:
    disks.point = "/"
    disks.volume().claim(make=True)  # the first start, without the disk
    below = Path(disks.usb).rename(disks.folder / "below")
    disks.point = disks.usb
    disks.volume().claim(make=True)
    Path(disks.usb).rename(disks.folder / "disk")
    below.rename(disks.usb)
    disks.point = "/"
    assert reason(disks.volume()) == "disk_missing"


def test_a_link_that_was_deleted_or_replaced_by_a_folder_is_made_again(disks: Disks) -> None:
    volume = disks.used()
    volume.claim()
    disks.link.unlink()
    (disks.link / "camera0").mkdir(parents=True)
    volume.claim()
    assert disks.link.is_symlink()
    assert disks.link.resolve() == disks.root
    assert [each.name for each in disks.folder.glob("link-*/*")] == ["camera0"]


def test_a_memory_that_cannot_be_written_is_logged_once_and_written_later(
    disks: Disks, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [StorageFailed("The state folder is not there.", reason="state_missing")]

    def require() -> None:
        if faults:
            raise faults[0]

    file = disks.state / "volumes.json"
    volume = Volume(disks.root, known=KnownVolumes(file, require=require), state_dir=disks.state)
    volume.claim(make=True)
    volume.claim()
    assert len(caplog.records) == 1
    assert not file.exists()
    faults.clear()
    volume.claim()
    assert str(disks.root) in file.read_text()


def test_a_root_is_not_made_again_while_the_folder_around_it_must_not_be(tmp_path: Path) -> None:
    faults: list[StorageFailed] = []

    def require() -> None:
        if faults:
            raise faults[0]

    state = tmp_path / "state"
    volume = Volume(state / "recordings", state_dir=state, require=require)
    volume.claim(make=True)
    state.rename(tmp_path / "away")
    faults.append(StorageFailed("The state folder is not there.", reason="state_missing"))
    with pytest.raises(StorageFailed) as refused:
        volume.claim(make=True)
    assert refused.value.reason == "state_missing"
    assert not state.exists()
    (tmp_path / "away").rename(state)
    volume.claim(make=True)  # the root is there


def test_only_the_newest_volumes_are_remembered() -> None:
    uuids = tuple(map(str, range(20)))
    record = VolumeRecord.of("/r", "/", (*uuids, "5"), is_separate=False)
    assert record.uuids == (*uuids[4:5], *uuids[6:], "5")
