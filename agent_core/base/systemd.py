"""Notification of the service manager."""

import os
import socket
from contextlib import suppress

__all__ = ("notify_systemd",)


def notify_systemd(state: str) -> None:
    """Send `state` to the service manager, if there is one (sd_notify(3)); never fails."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        sender.sendall(state.encode())
