"""Disks with the Python packages of the machine: third-party packages, and this checkout."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from tests.vm.host.coded import write_clips
from tests.vm.host.folders import CHECKOUT, key_of, locked
from tests.vm.host.image import Image, write_disk
from tests.vm.host.pictures import write_pictures
from tests.vm.host.shell import Stopwatch, run, say

__all__ = ("checkout_disk", "ensure_site_disk")

UV = CHECKOUT / ".tools/bin/uv"
PYTHON = CHECKOUT / ".venv/bin/python"
LOCK = CHECKOUT / "requirements.lock"
PLATFORM = "x86_64-manylinux_2_28"
#: Large packages of the lock that the machine does not need; it has Debian's FFmpeg.
LEFT_OUT = {"ast-serialize", "grimp", "imageio-ffmpeg", "import-linter", "librt", "mypy", "ruff"}
#: Other parts of the checkout that tests need; the packages themselves are installed as wheels.
TAKEN_ALONG = ("conftest.py", "pyproject.toml", "bench", "examples", "tests")


def ensure_site_disk(image: Image) -> Path:
    """Return the disk with the packages of requirements.lock, compiled for the image's Python, and the webcams' pictures and video."""
    here = Path(__file__)
    disk = image.folder / "site.ext4"
    current = image.folder / "site.key"
    sources = [here, here.with_name("pictures.py"), here.with_name("coded.py")]
    key = key_of([LOCK, *sources], image.key)
    with locked(image.folder):
        if not current.exists() or current.read_text() != key:
            watch = Stopwatch()
            current.unlink(missing_ok=True)
            _write_site(image, disk)
            current.write_text(key)
            say(f"third-party packages: {watch.elapsed_s:.0f} s")
    return disk


def _write_site(image: Image, disk: Path) -> None:
    with tempfile.TemporaryDirectory(dir=image.interpreter_root) as name:
        tree = Path(name)
        requirements = tree / "requirements.txt"
        requirements.write_text(_requirements())
        options = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
        _install(image, tree / "site", *options, "--requirement", requirements)
        _compile(image, tree / "site")
        write_pictures(tree / "site/frames")
        write_clips(tree / "site/frames")
        write_disk(tree / "site", disk)


def _requirements() -> str:
    """Return the lock without `LEFT_OUT`; each package starts at the beginning of a line."""
    packages = re.split(r"^(?=\S)", LOCK.read_text(), flags=re.MULTILINE)
    return "".join(each for each in packages if each.partition("==")[0] not in LEFT_OUT)


def checkout_disk(image: Image, to: Path) -> None:
    """Write a disk with this checkout's packages, built as wheels and installed, and its tests; uncommitted changes included."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(dir=image.interpreter_root) as name:
        tree = Path(name)
        tree.chmod(0o755)
        members = [CHECKOUT, *(path.parent for path in sorted(CHECKOUT.glob("plugins/*/pyproject.toml")))]
        _build_and_install(image, members, tree / "site")
        _copy_checkout(tree)
        _compile(image, tree)
        write_disk(tree, to)
    say(f"wheels and tests of this checkout: {watch.elapsed_s:.1f} s")


def _build_and_install(image: Image, members: list[Path], site: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        for member in members:
            options = ("--quiet", "--wheel", "--no-build-isolation", "--python", PYTHON)
            run(UV, "build", *options, "--out-dir", name, member)
        _install(image, site, "--no-deps", "--no-index", *sorted(Path(name).glob("*.whl")))


def _install(image: Image, site: Path, *options: str | Path) -> None:
    target = ("--target", site, "--python-version", image.python_version, "--python-platform", PLATFORM)
    run(UV, "pip", "install", "--quiet", "--link-mode=copy", *target, *options)


def _copy_checkout(tree: Path) -> None:
    tests = (str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("plugins/*/tests"))
    for name in (*TAKEN_ALONG, *tests):
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, tree / name)


def _compile(image: Image, tree: Path) -> None:
    """Compile with the image's own Python, which may differ from the host's, without checks of the sources at import."""
    inside = "/" + str(tree.relative_to(image.interpreter_root))
    options = ("-q", "-j", str(os.cpu_count() or 1), "--invalidation-mode", "unchecked-hash", "-s", inside)
    run("chroot", image.interpreter_root, "/usr/bin/python3", "-m", "compileall", *options, inside)
