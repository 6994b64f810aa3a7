"""Events of udev, or of the kernel itself, from a netlink socket."""

import errno
import logging
import os
import socket
from typing import Literal

import anyio

from v4l2_tier.source.hotplug.watcher import HotplugWatcher, Noticed
from v4l2_tier.source.inventory import SUBSYSTEM

__all__ = ("NetlinkWatcher",)

_log = logging.getLogger("camera_agent.v4l2_tier")


class NetlinkWatcher(HotplugWatcher):
    """`udev` events come when udev has worked on a device, `kernel` events a moment earlier and without udev.

    Raises:
        OSError: no such socket, as in a sandbox without AF_NETLINK.
        ImportError: libudev is not installed.
    """

    def __init__(self, source: Literal["udev", "kernel"]) -> None:
        import pyudev

        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source)
        self._monitor.filter_by(SUBSYSTEM)
        self._monitor.start()

    async def wait(self) -> Noticed:
        await anyio.wait_readable(self._monitor.fileno())
        return self._read_all()

    def _read_all(self) -> Noticed:
        """All that is queued, in one go: a bus that comes up has many devices."""
        removed: set[str] = set()
        touched: set[str] = set()
        while True:
            try:
                device = self._monitor.poll(0)
            except OSError as error:
                # Where pyudev meets it in poll(2) it does not say which error it is, and leaves it on the socket.
                if errno.ENOBUFS not in (error.errno, self._pending_error()):
                    raise
                _log.warning("events about devices were lost; all devices are looked at")
                continue
            if device is None:
                return Noticed(frozenset(removed), frozenset(touched))
            (removed if device.action == "remove" else touched).add(device.sys_name)

    def _pending_error(self) -> int:
        """The socket's error, which is gone from it then."""
        with socket.socket(fileno=os.dup(self._monitor.fileno())) as same:
            return same.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def close(self) -> None:
        del self._monitor  # pyudev closes the socket with its last reference
