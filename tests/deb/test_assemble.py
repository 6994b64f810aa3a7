"""Wheels for several Pythons in one folder."""

import hashlib
from pathlib import Path

import pytest

from assemble import assemble, require_locked
from tests.deb.conftest import MakeWheel

OLD = "cp311-cp311-manylinux_2_28_x86_64"
NEW = "cp313-cp313-manylinux_2_28_x86_64"


def test_modules_for_two_pythons_lie_side_by_side(tmp_path: Path, make_wheel: MakeWheel) -> None:
    shared = {"fast/lib.py": "x = 1\n"}
    wheels = [
        make_wheel("fast", {**shared, "fast/_c.cpython-311-x86_64-linux-gnu.so": b"a"}, tag=OLD),
        make_wheel("fast", {**shared, "fast/_c.cpython-313-x86_64-linux-gnu.so": b"b"}, tag=NEW),
    ]
    out = tmp_path / "out"
    size = assemble(wheels, out)
    assert sorted(path.name for path in (out / "fast").glob("_c*")) == [
        "_c.cpython-311-x86_64-linux-gnu.so",
        "_c.cpython-313-x86_64-linux-gnu.so",
    ]
    assert size > 2
    metadata = out / "fast-1.0.dist-info"
    assert (metadata / "INSTALLER").read_text() == "dpkg\n"
    assert not (metadata / "RECORD").exists()
    assert "Tag" not in (metadata / "WHEEL").read_text()


def test_two_versions_of_a_file_are_refused(tmp_path: Path, make_wheel: MakeWheel) -> None:
    wheels = [make_wheel("fast", {"fast/lib.py": text}, tag=tag) for text, tag in (("1", OLD), ("2", NEW))]
    with pytest.raises(ValueError, match=r"fast-1\.0-cp313.*: fast/lib\.py differs"):
        assemble(wheels, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_build_metadata_may_differ(tmp_path: Path, make_wheel: MakeWheel) -> None:
    bom = "fast-1.0.dist-info/sboms/bom.json"
    wheels = [make_wheel("fast", {bom: text}, tag=tag) for text, tag in (("1", OLD), ("2", NEW))]
    assemble(wheels, tmp_path / "out")
    assert (tmp_path / "out" / bom).read_text() == "1"


def test_a_wheel_that_wants_more_than_unpacking_is_refused(tmp_path: Path, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("fast", {"fast-1.0.data/scripts/fast": "#!python\n"})
    with pytest.raises(ValueError, match="would have to be moved"):
        assemble([wheel], tmp_path / "out")


def test_what_no_program_reads_is_left_out(tmp_path: Path, make_wheel: MakeWheel) -> None:
    files = {
        "fast/_c.pyx": "",
        "fast/_c.c": "",
        "fast/lib.py": "",
        "fast/__pycache__/lib.cpython-311.pyc": b"",
    }
    assemble([make_wheel("fast", files)], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out/fast").iterdir()) == ["__init__.py", "lib.py"]


def test_modes_do_not_depend_on_the_umask(tmp_path: Path, make_wheel: MakeWheel) -> None:
    assemble([make_wheel("fast")], tmp_path / "out")
    assert (tmp_path / "out/fast/__init__.py").stat().st_mode & 0o777 == 0o644


def test_only_the_locked_file_is_accepted(make_wheel: MakeWheel) -> None:
    wheel = make_wheel("fast")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    require_locked([wheel], f"fast==1.0 \\\n    --hash=sha256:{digest}\n")
    with pytest.raises(ValueError, match="not the file that the lock names"):
        require_locked([wheel], f"fast==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
