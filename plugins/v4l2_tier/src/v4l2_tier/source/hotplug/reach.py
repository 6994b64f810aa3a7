"""Reach of udev's and the kernel's events: which of them arrive in this process's namespaces.

A netlink socket opens everywhere, and stays silent where no events arrive. udev sends in its own network namespace only;
the kernel sends to all network namespaces that belong to the first user namespace (lib/kobject_uevent.c).
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from v4l2_tier.source.inventory import udev_runs

__all__ = ("EventReach", "event_reach")

#: PROC_USER_INIT_INO of <linux/proc_ns.h>: inode number of the first user namespace.
_FIRST_USER_NAMESPACE = 0xEFFFFFFD
#: NS_GET_USERNS of <linux/nsfs.h>.
_NS_GET_USERNS = 0xB701
#: Folder of udev's sockets; the one named `control` exists as long as udev has been used by programs.
_UDEV_SOCKETS = "/run/udev/"


@dataclass(frozen=True, slots=True)
class EventReach:
    """Answers whether udev's and the kernel's events arrive here; None if that cannot be told."""

    udev: bool | None
    kernel: bool | None

    @property
    def doubt(self) -> str:
        """Sentences for operators about events that do not arrive, else empty; a machine without udev is no reason."""
        missing = []
        if self.udev is False and udev_runs():
            missing.append(
                "udev's folder is here, but its events are not: udev does not run in this network namespace."
            )
        if self.kernel is False and self.udev is not True:
            missing.append("The kernel's events do not arrive in a container with user ids of its own.")
        return " ".join(
            [*missing, "Plugged and removed devices are noticed by other means."] if missing else []
        )


def event_reach(process: Path = Path("/proc/self")) -> EventReach:
    """Return which events arrive in the namespaces of `process`, a folder of /proc."""
    is_first = _inode(process / "ns/user") == _FIRST_USER_NAMESPACE
    udev = _has_udev_sockets(process / "net/unix")
    # In another user namespace libudev does not trust the sender of events, unless its users are the host's.
    return EventReach(udev if is_first or not udev else None, _kernel_reaches(process / "ns/net"))


def _has_udev_sockets(table: Path) -> bool | None:
    """Return whether udev's sockets are among those of the network namespace: udev made them in its own."""
    try:
        lines = table.read_text(errors="replace").splitlines()
    except OSError:
        return None
    return any(line.split()[-1].startswith(_UDEV_SOCKETS) for line in lines if line)


def _kernel_reaches(network: Path) -> bool | None:
    """Return whether the network namespace belongs to the first user namespace."""
    try:
        with network.open() as namespace:
            owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
    except OSError:  # EPERM: it belongs to a user namespace outside of this one
        return None
    try:
        return os.fstat(owner).st_ino == _FIRST_USER_NAMESPACE
    finally:
        os.close(owner)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
