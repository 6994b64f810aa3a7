"""Program for namespaces of its own: watches for devices while nodes are made and removed, and prints what it notices.

Run it by `unshare --net --mount`, with udev's folder as a container mounts it: its socket is in another network namespace.
"""

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import anyio

from agent_core.base.clock import SystemClock
from v4l2_tier.checks import DeviceCheck
from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.hotplug.choice import open_watcher

WEBCAM = Path("/dev/webcam")
#: A number that no driver has, of video4linux.
NUMBER = os.makedev(81, 255)


def enter(udev: Path) -> None:
    """Give this process a /dev and a /run of its own, with the host's `udev` folder."""
    for folder in ("/dev", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    Path("/run/udev").mkdir()
    subprocess.run(["mount", "--bind", udev, "/run/udev"], check=True)
    os.mknod("/dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))


def _names(nodes: frozenset[Path]) -> list[str]:
    return sorted(path.name for path in nodes)


async def main() -> None:
    enter(Path(sys.argv[1]))
    logging.basicConfig(level="INFO", stream=sys.stdout, format="log: %(message)s")
    watcher = open_watcher("auto", SystemClock())
    os.mknod(WEBCAM, 0o666 | stat.S_IFCHR, NUMBER)
    print("touched", *_names((await watcher.wait()).touched_nodes))  # noqa: T201 - read by the test
    WEBCAM.unlink()
    while not (changes := await watcher.wait()).removed_nodes:
        pass
    print("removed", *_names(changes.removed_nodes))  # noqa: T201 - as above
    watcher.close()
    for finding in await DeviceCheck(V4l2TierSettings()).look():
        print("doctor:", finding.detail)  # noqa: T201 - as above


if __name__ == "__main__":
    anyio.run(main)
