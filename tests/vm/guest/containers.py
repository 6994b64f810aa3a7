"""Programs in namespaces of their own, as container runtimes start them, with and without root's rights."""

import getpass
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio

from tests.vm.guest.cameras import Root
from tests.vm.guest.monitor import Lines

__all__ = ("HIDE_UDEV", "Owner", "contained", "own_nodes")

#: Owner of the network namespace: a user namespace of its own, or the machine's root, as with a daemon that runs as root.
Owner = Literal["rootless", "rootful"]
HIDE_UDEV = "mount -t tmpfs none /run/udev"
PROGRAM = (sys.executable, "-m", "tests.vm.guest.in_container")


@asynccontextmanager
async def contained(owner: Owner, folder: Path, *words: str, prepare: str = "true") -> AsyncIterator[Lines]:
    """Run `in_container` with `words` in network and mount namespaces of its own; yield its output.

    `prepare` is shell code that mounts what the container has. The program always runs as the caller's user.
    """
    if owner == "rootless":
        script = f"{prepare} && exec {shlex.join([*PROGRAM, *words])}"
        argv = ("unshare", "--user", "--map-root-user", "--net", "--mount", "bash", "-c", script)
        async with await anyio.open_process(argv, stdout=subprocess.PIPE, stderr=None) as process:
            yield Lines(process.stdout)
            assert await process.wait() == 0
        return
    output = folder / "output"
    os.mkfifo(output)
    as_user = ("runuser", "--user", getpass.getuser(), "--", *PROGRAM, *words)
    script = f"exec > {output} && {prepare} && exec {shlex.join(as_user)}"
    async with (
        Root.connected() as root,
        await anyio.open_process(("cat", output), stdout=subprocess.PIPE) as reader,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(root.run, "unshare", "--net", "--mount", "bash", "-c", script)
        yield Lines(reader.stdout)


def own_nodes(box: Path, names: Mapping[str, Path]) -> str:
    """Return shell code that gives a container the folder `box` as /dev: `names` with the host's nodes behind them."""
    box.mkdir()
    usual = {name: Path("/dev", name) for name in ("null", "zero", "random", "urandom")}
    lines = [f"mount -t tmpfs none {box}", f"mkdir {box}/shm"]
    for name, node in {**usual, **names}.items():
        lines.append(f"touch {box}/{name} && mount --bind {node} {box}/{name}")
    return " && ".join([*lines, f"mount --rbind {box} /dev"])
