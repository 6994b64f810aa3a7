"""Atomic files."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent_core.base.errors import StorageFailed
from agent_core.base.files import StateFile, explain_os_error, write_atomic, write_durable, write_new


class Thing(BaseModel):
    word: str


def test_replacing_leaves_no_partial_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"one")
    write_atomic(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_on_a_full_disk_a_small_file_is_overwritten_in_place(tmpfs: Callable[[str], Path]) -> None:
    path = tmpfs("size=64k") / "a"
    write_durable(path, b"one")
    (path.parent / "ballast").write_bytes(b"x" * _free_bytes(path.parent))
    with pytest.raises(OSError, match="space"):
        write_atomic(path, b"a longer one")
    write_durable(path, b"a longer one")
    assert path.read_bytes() == b"a longer one"
    write_durable(path, b"two")
    assert path.read_bytes() == b"two"
    with pytest.raises(OSError, match="space"):
        write_durable(path, b"x" * 10_000)
    assert path.read_bytes() == b"two"
    with pytest.raises(OSError, match="space"):
        write_durable(path.with_name("b"), b"one")
    assert sorted(each.name for each in path.parent.iterdir()) == ["a", "ballast"]


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def test_a_new_file_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_new(path, b"one")
    with pytest.raises(FileExistsError):
        write_new(path, b"two")
    assert path.read_bytes() == b"one"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_the_version_before_is_kept(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "s.json", Thing)
    file.save(Thing(word="one"))
    file.save(Thing(word="two"))
    (tmp_path / "s.json").write_bytes(b"\xff\xfe")
    value, problem = file.load()
    assert value == Thing(word="one")
    assert problem is not None
    assert problem.reason == "s_corrupt"


def test_a_wrong_type_is_corrupt_too(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"word": 5}')
    value, problem = StateFile(tmp_path / "s.json", Thing).load()
    assert value is None
    assert problem is not None


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed) as caught:
        StateFile(tmp_path / "file" / "s.json", Thing).save(Thing(word="x"))
    assert caught.value.reason in {"not_a_folder", "storage_failed"}


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EACCES, "not_writable"),
        (errno.EROFS, "read_only"),
        (errno.EIO, "storage_failed"),
    ],
)
def test_system_errors_become_sentences(number: int, reason: str) -> None:
    error = explain_os_error(OSError(number, os.strerror(number), "/secret/place"), "store it")
    assert error.reason == reason
    assert error.details.startswith("Could not store it: ")
    assert error.suggestion
    assert "/secret" not in error.details + error.detail
