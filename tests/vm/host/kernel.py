"""Kernel for the emulator: unpacked, with an initial RAM disk of a few modules."""

import lzma
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.vm.host.folders import IMAGE_SOURCES
from tests.vm.host.shell import VmError, output_of, run

__all__ = ("Kernel",)

#: Modules that Debian's kernel needs to reach the root disk.
BOOT_MODULES = ("virtio_pci", "virtio_blk", "ext4")


def _unxz(data: bytes) -> bytes:
    return lzma.LZMADecompressor().decompress(data)


def _gunzip(data: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(data)


def _unzstd(data: bytes) -> bytes:
    # zstd reports an error for the bytes behind the compressed part, after correct output.
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=False).stdout


PACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xfd7zXZ\0": _unxz,
    b"\x1f\x8b\x08": _gunzip,
    b"\x28\xb5\x2f\xfd": _unzstd,
}


class Kernel:
    """Debian's kernel package, unpacked in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Newer packages install under /usr; depmod and modprobe search /lib.
        if not (folder / "lib/modules").is_dir():
            (folder / "lib").mkdir(exist_ok=True)
            (folder / "lib/modules").symlink_to("../usr/lib/modules")
        (self._modules,) = (folder / "lib/modules").iterdir()
        run("depmod", "--basedir", folder, self.version)

    @property
    def version(self) -> str:
        return self._modules.name

    def write_unpacked(self, to: Path) -> None:
        """Write the kernel uncompressed: unpacking it is slow on an emulated processor."""
        (packed,) = (self._folder / "boot").glob("vmlinuz-*")
        for image in _candidates(packed.read_bytes()):
            if image.startswith(b"\x7fELF"):
                to.write_bytes(image)
                return
        raise VmError(f"{packed.name} contains no kernel in a supported compression (xz, gzip, zstd)")

    def write_initrd(self, to: Path, scratch: Path) -> None:
        for each in ("bin", "dev", "proc", "sys", "root", "modules"):
            (scratch / each).mkdir(parents=True)
        busybox = shutil.which("busybox")
        assert busybox is not None
        shutil.copy(busybox, scratch / "bin/busybox")
        shutil.copy(IMAGE_SOURCES / "init", scratch / "init")
        order = [self._load(path, scratch / "modules") for path in self._files_of(BOOT_MODULES)]
        (scratch / "modules/order").write_text("".join(f"{name}\n" for name in order))
        names = "".join(f"{path.relative_to(scratch)}\n" for path in sorted(scratch.rglob("*")))
        with to.open("wb") as file:
            subprocess.run(
                ["cpio", "--quiet", "--create", "--format", "newc"],
                cwd=scratch,
                input=names.encode(),
                stdout=file,
                check=True,
            )

    def _load(self, module: Path, folder: Path) -> str:
        """Copy a module uncompressed, as busybox requires; return its name."""
        data = module.read_bytes()
        name = module.name.removesuffix(".xz")
        (folder / name).write_bytes(_unxz(data) if module.suffix == ".xz" else data)
        return name

    def install_modules(self, names: Iterable[str], root: Path) -> None:
        for path in self._files_of(names):
            target = root / "usr/lib/modules" / self.version / path.relative_to(self._modules)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        for path in self._modules.glob("modules.*"):
            if path.name in {"modules.builtin", "modules.builtin.modinfo", "modules.order"}:
                shutil.copy(path, root / "usr/lib/modules" / self.version)
        run("depmod", "--basedir", root, self.version)

    def _files_of(self, names: Iterable[str]) -> list[Path]:
        """Return the files of the modules and their dependencies, in load order."""
        found: dict[Path, None] = {}
        for name in names:
            options = ("--dirname", self._folder, "--set-version", self.version, "--show-depends", name)
            for line in output_of("modprobe", *options).splitlines():
                if line.startswith("insmod "):
                    path = Path(line.split()[1]).relative_to(self._folder / "lib/modules" / self.version)
                    found[self._modules / path] = None
        return list(found)


def _candidates(data: bytes) -> Iterator[bytes]:
    for magic, unpack in PACKERS.items():
        at = data.find(magic)
        while at >= 0:
            image = b""
            with suppress(lzma.LZMAError, zlib.error):
                image = unpack(data[at:])
            yield image
            at = data.find(magic, at + 1)
