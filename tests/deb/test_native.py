"""Dependencies on the system's libraries, from real programs' files."""

import shutil
from pathlib import Path

import pytest

from native import elf_files, system_packages

READELF = pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed")


def a_module() -> Path:
    """Return a compiled module that is installed here and needs only glibc."""
    import websockets.speedups

    return Path(websockets.speedups.__file__ or "")


@READELF
def test_a_module_needs_glibc(tmp_path: Path) -> None:
    shutil.copy(a_module(), tmp_path)
    (tmp_path / "text.so").write_text("no ELF file")
    assert [path.name for path in elf_files(tmp_path)] == [a_module().name]
    assert system_packages(tmp_path) == {"libc6 (>= 2.28)"}


@READELF
def test_a_library_that_nothing_provides_is_named(tmp_path: Path) -> None:
    import PIL._imaging

    shutil.copy(PIL._imaging.__file__, tmp_path)
    with pytest.raises(ValueError, match=r"_imaging\S+ needs lib\S+\. Add its Debian package"):
        system_packages(tmp_path)


@READELF
def test_libraries_that_are_included_need_no_package(tmp_path: Path) -> None:
    import PIL._imaging

    shutil.copy(PIL._imaging.__file__, tmp_path)
    libraries = Path(PIL._imaging.__file__).parents[1] / "pillow.libs"
    assert "libc6 (>= 2.28)" in system_packages(tmp_path, present=[libraries])
