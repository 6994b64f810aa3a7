"""Disks that take no writes are noticed, also those that the kernel does not call read-only."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_core.base.read_only import is_read_only


def sysfs_with(errors: int, folder: Path, root: Path) -> Path:
    """Make a sysfs in which the disk of `folder` is ext4 with so many errors."""
    device = folder.stat().st_dev
    (root / "devices/sdx").mkdir(parents=True)
    (root / "fs/ext4/sdx").mkdir(parents=True)
    (root / "fs/ext4/sdx/errors_count").write_text(f"{errors}\n")
    (root / "dev/block").mkdir(parents=True)
    (root / f"dev/block/{os.major(device)}:{os.minor(device)}").symlink_to("../../devices/sdx")
    return root


@pytest.mark.parametrize("errors", [0, 1])
def test_a_disk_that_takes_writes_is_writable_also_after_errors(tmp_path: Path, errors: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert not is_read_only(folder, sysfs=sysfs_with(errors, folder, tmp_path / "sys"))
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_of_another_account_is_not_a_read_only_disk(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    assert not is_read_only(folder, sysfs=sysfs_with(1, folder, tmp_path / "sys"))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_read_only(tmp_path / "none")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount an ext4 of its own, whose errors stop it."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    try:
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-e", "remount-ro", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine cannot mount an ext4: {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_an_ext4_that_has_stopped_after_an_error_takes_no_writes(disk: Path) -> None:
    assert not is_read_only(disk)
    device = disk.stat().st_dev
    name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    trigger = Path(f"/sys/fs/ext4/{name}/trigger_fs_error")
    try:
        trigger.write_text("1")
    except OSError as error:
        pytest.skip(f"this kernel takes no error: {error}")
    assert is_read_only(disk)
