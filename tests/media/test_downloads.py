import os
from pathlib import Path

import pytest

from agent_core.media.downloads import ServedFile, open_beneath


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "camera0").mkdir(parents=True)
    (root / "camera0" / "a.jpg").write_bytes(b"inside")
    (root / "camera0" / ".partial-x").write_bytes(b"unfinished")
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.jpg").write_bytes(b"outside")
    (root / "link.jpg").symlink_to(tmp_path / "secret")
    (root / "camera0" / "inner.jpg").symlink_to(root / "camera0" / "a.jpg")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "fifo")
    return root


def content(root: Path, name: str) -> bytes | None:
    opened = open_beneath(ServedFile(root, name))
    if opened is None:
        return None
    with opened:
        return opened.read(0, opened.size_bytes)


def test_a_file_below_the_root(root: Path) -> None:
    assert content(root, "camera0/a.jpg") == b"inside"


def test_the_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "there").symlink_to(root)
    assert content(tmp_path / "there", "camera0/a.jpg") == b"inside"


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "/", "/etc/passwd", "../secret", "camera0/../../secret", "camera0/./a.jpg", "camera0//a.jpg",
        "camera0/", "camera0", "camera0/a.jpg/", "camera0/a.jpg/x", "link.jpg", "camera0/inner.jpg", "folder/b.jpg",
        "loop", "loop/x", "fifo", "camera0/.partial-x", "nothing", "..\\secret", "a\0b", "a" * 300, "\ud800",
        "camera0/a.jpg\0", "....//secret", "%2e%2e/secret",
    ],
)  # fmt: skip
def test_whatever_else_is_not_there(root: Path, name: str) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert content(root, name) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("mode", "served"), [(0o600, None), (0o400, None), (0o640, b"elsewhere"), (0o444, b"elsewhere")]
)
def test_a_hard_link_to_a_private_file_is_not_there(
    root: Path, tmp_path: Path, mode: int, served: bytes | None
) -> None:
    """A backup by hard links keeps the mode of media files, which others may read."""
    (tmp_path / "elsewhere").write_bytes(b"elsewhere")
    (tmp_path / "elsewhere").chmod(mode)
    (root / "camera0" / "hard.jpg").hardlink_to(tmp_path / "elsewhere")
    assert content(root, "camera0/hard.jpg") == served
    (tmp_path / "elsewhere").unlink()
    assert content(root, "camera0/hard.jpg") == b"elsewhere"


def test_a_missing_root_has_no_files(tmp_path: Path) -> None:
    assert content(tmp_path / "none", "a.jpg") is None


def test_types_and_names() -> None:
    assert ServedFile(Path("/x"), "a/b.jpg").media_type == "image/jpeg"
    assert ServedFile(Path("/x"), "a/b.html").media_type == "application/octet-stream"
    assert ServedFile(Path("/x"), "a/b.html").download_name == "b.html"
