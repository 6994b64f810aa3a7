"""Broker of another make, the Go module mochi-mqtt: built once for all tests, and started on a free port."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent_core.testing.mediamtx import free_ports

from .broker_process import BrokerProcess

__all__ = ("built_mochi", "running_mochi")

_SOURCE = Path(__file__).with_name("mochi")
_CACHE = Path(__file__).parents[3] / ".cache" / "mochi"
_BUILD_S = 300


def built_mochi() -> Path | str:
    """Return the program, built if it is not there; or why there is none."""
    go = shutil.which("go")
    if go is None:
        return "needs Go to build a second broker"
    files = sorted(_SOURCE.iterdir())
    made = _CACHE / hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:16]
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            return made
        built = subprocess.run(
            [go, "build", "-trimpath", "-buildvcs=false", "-o", f"{made}.new", "."],
            cwd=_SOURCE,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            check=False,
            text=True,
            timeout=_BUILD_S,
        )
        if built.returncode != 0:
            return f"the second broker cannot be built: {built.stderr.strip().splitlines()[-1]}"
        Path(f"{made}.new").replace(made)
    return made


@asynccontextmanager
async def running_mochi(program: Path, *, port: int | None = None) -> AsyncIterator[BrokerProcess]:
    """Run the broker, as the fixture `mochi` has built it, while the context is open."""
    port = port or free_ports()[0]
    broker = BrokerProcess((str(program), f"127.0.0.1:{port}"), port)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
