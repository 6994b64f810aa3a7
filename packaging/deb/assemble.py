"""Unpacks wheels for several Pythons into one folder.

An extension module has the Python's ABI in its name (`x.cpython-311-x86_64-linux-gnu.so`), so the wheels of one
distribution for 3.11 to 3.14 fit into one folder, as in Debian's `dist-packages`. Files of one name must be equal.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ("assemble", "require_locked")

#: Without RECORD, pip refuses to change or remove a distribution. Sources of extension modules are of no use at run time.
_LEFT_OUT = re.compile(r".*(\.dist-info/(RECORD|INSTALLER|direct_url\.json)|\.pyc|\.pyx|\.pxd|\.c|\.cpp|\.h)")
_METADATA = re.compile(r"[^/]+\.dist-info/.*")


def require_locked(wheels: Iterable[Path], lock: str) -> None:
    """Check that the hash of each wheel is in `lock`.

    Raises:
        ValueError: one is not.
    """
    allowed = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock))
    for wheel in wheels:
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in allowed:
            raise ValueError(f"{wheel.name} is not the file that the lock names. Delete it and build again.")


def assemble(wheels: Iterable[Path], out: Path) -> int:
    """Unpack `wheels` into `out` and return the number of bytes.

    Raises:
        ValueError: two wheels disagree about a file, or one needs an installation that is more than unpacking.
    """
    files: dict[str, bytes] = {}
    for wheel in sorted(wheels):
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                _add(files, wheel, entry.filename, archive.read(entry))
    for name, data in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o644)
    for metadata in out.glob("*.dist-info"):
        (metadata / "INSTALLER").write_text("dpkg\n")
    return sum(len(data) for data in files.values())


def _add(files: dict[str, bytes], wheel: Path, name: str, data: bytes) -> None:
    if name.endswith("/") or _LEFT_OUT.fullmatch(name):
        return
    if ".data/" in name:
        raise ValueError(f"{wheel.name}: {name} would have to be moved to another folder at installation.")
    if name.endswith(".dist-info/WHEEL"):
        data = re.sub(rb"(?m)^Tag: .*\n", b"", data)
    present = files.setdefault(name, data)
    # Build metadata, such as a bill of materials, names the Python it was built for: the first stands.
    if present != data and not _METADATA.fullmatch(name):
        raise ValueError(f"{wheel.name}: {name} differs from the file of that name in another wheel.")
