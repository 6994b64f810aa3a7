"""Ports of the kernel's virtual USB host."""

import socket
from pathlib import Path

import anyio

__all__ = ("Ports",)

HOST = Path("/sys/devices/platform/vhci_hcd.0")
#: State of a free port: the third column of the host's status file.
FREE = 4
HIGH_SPEED = 3


class Ports:
    """High-speed ports, for one owner at a time."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def attach(self, wanted: int | None, kernels_end: socket.socket) -> int:
        """Plug into the wanted port, else into the lowest free one; the kernel keeps its own reference to the socket.

        Raises:
            OSError: the port is in use, or all are.
        """
        free = [port for port, state in self._states().items() if state == FREE and port not in self._taken]
        if wanted not in (None, *free) or not free:
            raise OSError(f"port {wanted} is not free; free ports: {free}")
        port = free[0] if wanted is None else wanted
        device = 1 << 16 | port + 1
        (HOST / "attach").write_text(f"{port} {kernels_end.fileno()} {device} {HIGH_SPEED}")
        self._taken.add(port)
        return port

    async def freed(self, port: int) -> None:
        """Wait until the kernel has released the port; close its socket first."""
        while self._states()[port] != FREE:
            await anyio.sleep(0.02)
        self._taken.discard(port)

    def _states(self) -> dict[int, int]:
        rows = [line.split() for line in (HOST / "status").read_text().splitlines()[1:]]
        return {int(row[1]): int(row[2]) for row in rows if row[0] == "hs"}
