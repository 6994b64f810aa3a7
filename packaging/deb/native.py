"""Decides which Debian packages the compiled files of a package need, from the libraries that they name."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ("bundled_libraries", "elf_files", "system_packages")

#: The oldest glibc that a wheel for `manylinux_2_28` runs with; `fetch` takes no wheel that needs a newer one than Debian 12 has.
_LIBC = "libc6 (>= 2.28)"
_SYSTEM = {
    "ld-linux-aarch64.so.1": _LIBC,
    "ld-linux-x86-64.so.2": _LIBC,
    "libc.so.6": _LIBC,
    "libdl.so.2": _LIBC,
    "libgcc_s.so.1": "libgcc-s1",
    "libm.so.6": _LIBC,
    "libmvec.so.1": _LIBC,
    "libpthread.so.0": _LIBC,
    "librt.so.1": _LIBC,
    "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g",
}
_NEEDED = re.compile(r"\(NEEDED\).*\[(.+)\]")


def elf_files(folder: Path) -> Iterator[Path]:
    """Yield the compiled files below `folder`, sorted."""
    for path in sorted(folder.rglob("*.so*")):
        if path.read_bytes()[:4] == b"\x7fELF":
            yield path


def bundled_libraries(folder: Path) -> frozenset[str]:
    """Return the names of the shared libraries that wheels have brought along, such as `libx264`.

    `auditwheel` puts them into a folder `NAME.libs`, and a part of their hash into their names.
    """
    names = (path.name for path in folder.glob("*.libs/*"))
    return frozenset(re.sub(r"(-[0-9a-f]{8})?\.so(\.[\d.]+)?$", "", name) for name in names)


def system_packages(folder: Path, present: Iterable[Path] = ()) -> frozenset[str]:
    """Return the Debian packages of the libraries that files below `folder` need.

    Args:
        folder: contents of a package.
        present: folders with contents of other packages that are there whenever this one is.

    Raises:
        ValueError: a library is neither known nor included.
    """
    files = list(elf_files(folder))
    included = {path.name for each in (folder, *present) for path in each.rglob("*.so*")}
    packages = set()
    for path, library in _needed(files):
        if library in _SYSTEM:
            packages.add(_SYSTEM[library])
        elif library not in included:
            raise ValueError(
                f"{path.name} needs {library}. Add its Debian package to packaging/deb/native.py."
            )
    return frozenset(packages)


def _needed(files: list[Path]) -> Iterator[tuple[Path, str]]:
    for path in files:
        done = subprocess.run(["readelf", "--dynamic", path], capture_output=True, text=True, check=True)
        for library in _NEEDED.findall(done.stdout):
            yield path, library
