"""Folders below a root, and the deletion of files in them: nothing outside is reached."""

import os
from pathlib import Path

import pytest

from agent_core.base.beneath import folder_beneath, remove_regular


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "camera0").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return tmp_path / "root"


def test_a_file_below_the_root_is_deleted_and_told(root: Path) -> None:
    (root / "camera0" / "a.jpg").write_bytes(b"x")
    with folder_beneath(root, ("camera0",)) as folder:
        assert remove_regular("a.jpg", folder)
        assert not remove_regular("a.jpg", folder)
    assert list((root / "camera0").iterdir()) == []


@pytest.mark.parametrize("part", ["..", ".", "", "a/b", "/etc", "a\0b"])
def test_only_names_of_entries_are_accepted(root: Path, part: str) -> None:
    with pytest.raises(ValueError, match="not a name"), folder_beneath(root, (part,)):
        pass


def test_a_link_in_the_place_of_a_folder_is_not_followed(root: Path, tmp_path: Path) -> None:
    (root / "camera1").symlink_to(tmp_path / "outside")
    with pytest.raises(NotADirectoryError), folder_beneath(root, ("camera1",)):
        pass


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    with folder_beneath(tmp_path / "link", ("camera0",)) as folder:
        assert os.listdir(folder) == []  # noqa: PTH208 - an open folder


def test_what_is_not_a_regular_file_stays(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "outside" / "kept"
    target.write_bytes(b"x")
    (root / "camera0" / "link.jpg").symlink_to(target)
    (root / "camera0" / "folder.jpg").mkdir()
    os.mkfifo(root / "camera0" / "fifo.jpg")
    with folder_beneath(root, ("camera0",)) as folder:
        for name in ("link.jpg", "folder.jpg", "fifo.jpg"):
            assert not remove_regular(name, folder)
    assert len(list((root / "camera0").iterdir())) == 3


def test_of_a_hard_link_only_the_name_below_the_root_goes(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "outside" / "kept"
    target.write_bytes(b"x")
    (root / "camera0" / "hard.jpg").hardlink_to(target)
    with folder_beneath(root, ("camera0",)) as folder:
        assert remove_regular("hard.jpg", folder)
    assert target.read_bytes() == b"x"
