"""Notification of the service manager."""

import os
import socket
import time
from contextlib import suppress

__all__ = ("notify_systemd", "reload_begins", "reload_ends")


def notify_systemd(state: str) -> None:
    """Send `state` to the service manager, if there is one (sd_notify(3)); never fails."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        sender.sendall(state.encode())


def reload_begins() -> str:
    """Return the notification that a reload begins now, as `Type=notify-reload` needs it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def reload_ends(problem: str = "") -> str:
    """Return the notification that the service runs on; `problem`, one line, is shown by `systemctl status`."""
    return f"READY=1\nSTATUS={' '.join(problem.split())}"
