"""Kernel module v4l2loopback, built from Debian's package of its source."""

import shutil
from pathlib import Path

from tests.vm.host.kernel import Kernel
from tests.vm.host.shell import VmError, run, say

__all__ = ("build_loopback",)


def build_loopback(kernel: Kernel, sources: Path, root: Path) -> None:
    """Build the module for `kernel` with this host's compiler, and install it into `root`.

    `sources` is a folder with the unpacked packages of the kernel's headers and of v4l2loopback. The programs in the headers
    are the suite's, so those of a newer suite than the host's may not run here: the module is then missing from the
    image, and its tests are skipped.
    """
    headers = sources / f"usr/src/linux-headers-{kernel.version}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{sources}/usr/src/"))
    (module,) = sources.glob("usr/src/v4l2loopback-*")
    try:
        run("make", "-C", headers, f"M={module}", "CC=gcc", "modules")
    except VmError as error:
        say(f"v4l2loopback cannot be built here: {(str(error).splitlines() or ['?'])[-1]}")
        return
    target = root / "usr/lib/modules" / kernel.version / "extra"
    target.mkdir(parents=True)
    shutil.copy(module / "v4l2loopback.ko", target)
