"""Image of the machine: a Debian release from the mirror that this host's apt uses."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.vm.host.folders import IMAGE_SOURCES, cache_folder, key_of, locked
from tests.vm.host.kernel import Kernel
from tests.vm.host.loopback import build_loopback
from tests.vm.host.prerequisites import knows_debian
from tests.vm.host.shell import Stopwatch, VmError, output_of, run, say

__all__ = ("Image", "ensure_image", "write_disk")

#: Free space on the root disk for a session; the file is sparse.
FREE_MB = 1024
#: Images kept per suite: two, because checkouts that share a cache may differ.
KEPT_IMAGES = 2
#: What only the image of one suite has, in folders with the suites' names.
SUITE_FOLDERS = (IMAGE_SOURCES / "trixie",)


@dataclass(frozen=True, slots=True)
class Image:
    """Image in `folder`; machines that boot from it do not write to it."""

    folder: Path
    suite: str

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinux"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def disk(self) -> Path:
        return self.folder / "root.ext4"

    @property
    def interpreter_root(self) -> Path:
        """Tree for chroot with only the image's Python, to compile for the image at the host's speed."""
        return self.folder / "interpreter"

    @property
    def python_version(self) -> str:
        """Version without the patch level, such as "3.11"."""
        (library,) = (self.interpreter_root / "usr/lib").glob("python3.*")
        return library.name.removeprefix("python")

    @property
    def key(self) -> str:
        """Name of the folder, which changes with the sources."""
        return self.folder.name


def ensure_image(suite: str, *, rebuild: bool = False) -> Image:
    """Return the image, built first if its sources changed; `rebuild` forces it, for security updates."""
    here = Path(__file__).parent
    key = key_of(
        [*image_sources(suite), *(here / name for name in ("image.py", "kernel.py", "loopback.py"))], suite
    )
    image = Image(cache_folder() / f"{suite}-{key}", suite)
    complete = image.folder / "complete"
    with locked(image.folder):
        if rebuild or not complete.exists():
            complete.unlink(missing_ok=True)
            watch = Stopwatch()
            _build(image)
            say(f"image {suite}: built in {watch.elapsed_s:.0f} s")
        else:
            say(f"image {suite}: up to date")
        complete.touch()
    _forget_old(suite)
    return image


def image_sources(suite: str) -> list[Path]:
    """Return the source files of the image of `suite`: those of every suite, and those in a folder with its name."""
    others = [folder for folder in SUITE_FOLDERS if folder.name != suite]
    files = (path for path in IMAGE_SOURCES.rglob("*") if path.is_file())
    return [path for path in files if not any(path.is_relative_to(other) for other in others)]


def _forget_old(suite: str) -> None:
    """Remove all but the newest images; running machines keep the files open."""
    known = sorted(cache_folder().glob(f"{suite}-*/complete"), key=lambda each: each.stat().st_mtime)
    for each in known[:-KEPT_IMAGES]:
        shutil.rmtree(each.parent)


def _build(image: Image) -> None:
    say(f"image {image.suite}: building")
    with tempfile.TemporaryDirectory(dir=image.folder) as name:
        scratch = Path(name)
        root = scratch / "root"
        _install_system(image.suite, root, scratch)
        kernel = Kernel(scratch / "kernel")
        build_loopback(kernel, scratch / "headers", root)
        kernel.install_modules(_names("modules", image.suite), root)
        _set_up(root, image.suite)
        kernel.write_unpacked(image.kernel)
        kernel.write_initrd(image.initrd, scratch / "initrd")
        _copy_interpreter(root, image.interpreter_root)
        write_disk(root, image.disk, free_mb=FREE_MB)
        say(f"image {image.suite}: kernel {kernel.version}, Python {image.python_version}")


def _names(file: str, suite: str | None = None) -> list[str]:
    """Return the words of a list, with those that `suite` adds."""
    paths = [IMAGE_SOURCES / file, *([IMAGE_SOURCES / suite / file] if suite else [])]
    lines = [line for path in paths if path.exists() for line in path.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _install_system(suite: str, root: Path, scratch: Path) -> None:
    folders = {"VM_KERNEL_DIR": scratch / "kernel", "VM_HEADERS_DIR": scratch / "headers"}
    for each in folders.values():
        each.mkdir()
    sources = scratch / "sources.list"
    sources.write_text("".join(f"{line}\n" for line in _sources(suite)))
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("man", "locale", "doc")]
    run(
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(_names('packages', suite))}",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=force-unsafe-io",
        *excluded,
        f"--customize-hook={IMAGE_SOURCES / 'fetch-kernel'}",
        f"--customize-hook={IMAGE_SOURCES / 'fetch-available'}",
        suite,
        root,
        sources,
        environment={
            **{name: str(folder) for name, folder in folders.items()},
            "VM_AVAILABLE": " ".join(_names("available")),
        },
    )


def _sources(suite: str) -> list[str]:
    """Return the lines of a sources.list for `suite`, with the archives that this host's apt uses."""
    if not knows_debian():
        run("apt-get", "update", environment={"DEBIAN_FRONTEND": "noninteractive"})
    targets = output_of(
        "apt-get",
        "indextargets",
        "--format",
        "$(ORIGIN)|$(COMPONENT)|$(LABEL)|$(REPO_URI)",
        "Created-By: Packages",
    )
    suites = {"Debian": (suite, f"{suite}-updates"), "Debian-Security": (f"{suite}-security",)}
    lines: dict[str, None] = {}
    for target in targets.splitlines():
        origin, component, label, uri = target.split("|")
        if (origin, component) == ("Debian", "main"):
            lines |= {f"deb {uri} {each} main": None for each in suites.get(label, ())}
    if not lines:
        raise VmError("apt on this host has no Debian archive; add one to its sources")
    return list(lines)


def _set_up(root: Path, suite: str) -> None:
    for each in ("etc/resolv.conf", "etc/hostname", "etc/machine-id"):
        (root / each).unlink(missing_ok=True)
    for folder in (IMAGE_SOURCES / "overlay", IMAGE_SOURCES / suite / "overlay"):
        if folder.is_dir():
            shutil.copytree(folder, root, symlinks=True, dirs_exist_ok=True)
    units = root / "etc/systemd/system"
    for name in _names("masked-units"):
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    shutil.copy(IMAGE_SOURCES / "setup", root / "setup")
    run("chroot", root, "/setup")
    (root / "setup").unlink()


def _copy_interpreter(root: Path, to: Path) -> None:
    """Copy Python, its library, and the shared libraries that it is linked with."""
    shutil.rmtree(to, ignore_errors=True)
    (library,) = (path for path in (root / "usr/lib").glob("python3.*") if path.is_dir())
    shutil.copytree(library, to / "usr/lib" / library.name, symlinks=True, ignore_dangling_symlinks=True)
    linked = output_of("chroot", root, "ldd", "/usr/bin/python3")
    files = [word for word in linked.split() if word.startswith("/")]
    for file in ("/usr/bin/python3", *files):
        target = to / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(root / file.lstrip("/")), target)
    # Python keeps semaphores there as files; a plain folder suffices.
    (to / "dev/shm").mkdir(parents=True)


def write_disk(tree: Path, to: Path, *, free_mb: int = 4) -> None:
    """Write an ext4 file system with the files of `tree`."""
    used_mb = int(output_of("du", "--summarize", "--block-size=1M", tree).split()[0])
    unfinished = to.with_name(f"{to.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with unfinished.open("wb") as file:
        file.truncate((used_mb + used_mb // 8 + 8 + free_mb) << 20)
    options = ("-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1")
    run("mke2fs", *options, "-d", tree, unfinished)
    unfinished.replace(to)
