"""Watcher of udev's or the kernel's events on a netlink socket."""

import errno
import logging
import os
import socket
from typing import Literal

import anyio

from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges
from v4l2_tier.source.inventory import SUBSYSTEM

__all__ = ("NetlinkWatcher",)

_log = logging.getLogger("camera_agent.v4l2_tier")


class NetlinkWatcher(HotplugWatcher):
    """Watcher of netlink events.

    `udev` events arrive once udev has processed a device; `kernel` events arrive a moment earlier and need no udev.

    Raises:
        OSError: the socket cannot be opened, as in a sandbox without AF_NETLINK.
        ImportError: libudev is not installed.
    """

    def __init__(self, source: Literal["udev", "kernel"]) -> None:
        import pyudev

        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source)
        self._monitor.filter_by(SUBSYSTEM)
        self._monitor.start()

    async def wait(self) -> NodeChanges:
        await anyio.wait_readable(self._monitor.fileno())
        return self._read_all()

    def _read_all(self) -> NodeChanges:
        """Read all queued events at once: a bus that comes up has many devices."""
        removed: set[str] = set()
        touched: set[str] = set()
        while True:
            try:
                device = self._monitor.poll(0)
            except OSError as error:
                # From poll(2), pyudev raises without the error number, which then is still pending on the socket.
                if errno.ENOBUFS not in (error.errno, self._pending_error()):
                    raise
                _log.warning("events about devices were lost; reading all devices again")
                continue
            if device is None:
                return NodeChanges(frozenset(removed), frozenset(touched))
            (removed if device.action == "remove" else touched).add(device.sys_name)

    def _pending_error(self) -> int:
        """Return the socket's pending error number, which clears it; 0 if there is none."""
        with socket.socket(fileno=os.dup(self._monitor.fileno())) as same:
            return same.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def close(self) -> None:
        del self._monitor  # pyudev closes the socket with its last reference
