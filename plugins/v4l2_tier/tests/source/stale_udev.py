"""Program for a mount namespace of its own, where udev's socket has outlived udev: prints what the inventory finds.

/dev/null and its kin stand for cameras. Run it by `unshare --net --mount`.
"""

import logging
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from v4l2_tier.source.inventory import DeviceNode, Inventory
from v4l2_tier.source.udev_waits import FIRST_WAIT_S


def show(title: str, nodes: Sequence[DeviceNode], *, waiting: bool) -> None:
    print(title, *(node.name for node in nodes if node.name in ("null", "zero")), waiting)  # noqa: T201 - read by the test


async def main() -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    Path("/run/udev").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.bind("/run/udev/control")
    logging.basicConfig(level="INFO", stream=sys.stdout, format="log: %(message)s")
    times_s = iter((0.0, FIRST_WAIT_S - 1, FIRST_WAIT_S))
    inventory = Inventory("mem", now_s=lambda: next(times_s))
    for title in ("first", "later", "last"):
        nodes, waiting = await inventory.look()
        show(title, nodes, waiting=waiting)


if __name__ == "__main__":
    anyio.run(main)
