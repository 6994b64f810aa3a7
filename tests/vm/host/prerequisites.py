"""Programs that the host needs, installed by apt if possible."""

import os
import platform
import shutil

from tests.vm.host.shell import PATH, VmError, output_of, run, say

__all__ = ("CannotRunHere", "ensure_installed", "knows_debian")

#: Programs and the Debian packages that contain them.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "depmod": "kmod",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "gcc": "gcc",
    "make": "make",
}
#: Firmware that QEMU loads, only recommended by its package.
FIRMWARE = "seabios"


class CannotRunHere(Exception):
    """Error of a host that cannot run the machine; the text gives the reason."""


def ensure_installed() -> None:
    """Install the missing programs.

    Raises:
        CannotRunHere: they cannot be installed here.
    """
    if platform.machine() != "x86_64":
        raise CannotRunHere(f"the machine needs an x86-64 host, this one is {platform.machine()}")
    missing = sorted({package for program, package in PROGRAMS.items() if _path_of(program) is None})
    if os.geteuid() != 0:
        raise CannotRunHere("building and booting the image needs root")
    if not missing:
        return
    if _path_of("apt-get") is None:
        raise CannotRunHere(f"this host lacks {' '.join(missing)}, and has no apt to install it")
    say(f"installing {' '.join(missing)}")
    try:
        _install([*missing, FIRMWARE])
    except VmError as error:
        raise CannotRunHere(f"cannot install {' '.join(missing)}: {_last_line(error)}") from error


def _install(packages: list[str]) -> None:
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    if not knows_debian():
        run("apt-get", "update", environment=quiet)
    command = ("apt-get", "install", "--yes", "--no-install-recommends", *packages)
    try:
        run(*command, environment=quiet)
    except VmError:
        # Outdated package lists name files that the mirror has removed.
        run("apt-get", "update", environment=quiet)
        run(*command, environment=quiet)


def knows_debian() -> bool:
    """Return whether apt has the package lists of a Debian archive."""
    return "Debian|" in output_of(
        "apt-get", "indextargets", "--format", "$(ORIGIN)|$(FILENAME)", "Created-By: Packages"
    )


def _path_of(program: str) -> str | None:
    return shutil.which(program, path=PATH)


def _last_line(error: VmError) -> str:
    return (str(error).strip().splitlines() or ["?"])[-1]
