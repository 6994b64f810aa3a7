"""Descriptors and threads of this process."""

import threading
from pathlib import Path

import psutil

__all__ = ("open_descriptors", "sockets_to", "threads")


def open_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def threads() -> int:
    return threading.active_count()


def sockets_to(port: int) -> list[int]:
    """Return this process's descriptors of sockets that are connected to a port."""
    own = psutil.Process().net_connections("tcp")
    return [each.fd for each in own if each.raddr and each.raddr.port == port]
