"""Devices of v4l2loopback, and programs that write pictures into them."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import anyio
import pytest

from tests.vm.guest.cameras import Root, settled

__all__ = ("LoadLoopback", "loaded_loopback", "writing")

LOAD_LIMIT_S = 60
#: A program that was just ended may have a device open for a moment longer.
UNLOAD = "for try in $(seq 100); do rmmod v4l2loopback && exit; sleep 0.1; done; exit 1"


class LoadLoopback(Protocol):
    def __call__(self, **exclusive: bool) -> AbstractAsyncContextManager[list[Path]]: ...


def loaded_loopback(root: Root) -> LoadLoopback:
    """Return the loader of devices with these names and `exclusive_caps`; skips the test if the image lacks the driver."""

    @asynccontextmanager
    async def load(**exclusive: bool) -> AsyncIterator[list[Path]]:
        if not Path("/lib/modules", os.uname().release, "extra/v4l2loopback.ko").exists():
            pytest.skip("v4l2loopback could not be built for this image")
        caps = ",".join(str(int(each)) for each in exclusive.values())
        options = (f"devices={len(exclusive)}", f"exclusive_caps={caps}", f"card_label={','.join(exclusive)}")
        await root.run("modprobe", "v4l2loopback", *options)
        try:
            with anyio.fail_after(LOAD_LIMIT_S):
                while not settled(_folders(), count=len(exclusive)):
                    await anyio.sleep(0.05)
            yield [Path("/dev", each.name) for each in _folders()]
        finally:
            with anyio.CancelScope(shield=True):
                await root.run("sh", "-c", UNLOAD)

    return load


def _folders() -> list[Path]:
    folders = Path("/sys/devices/virtual/video4linux").glob("video*")
    return sorted(folders, key=lambda each: int(each.name.removeprefix("video")))


@asynccontextmanager
async def writing(node: Path, size: str, pixel_format: str) -> AsyncIterator[None]:
    """Let FFmpeg write pictures of `size` into `node` for the duration of the `async with`."""
    source = ("-re", "-f", "lavfi", "-i", f"testsrc=size={size}:rate=5")
    argv = ("ffmpeg", "-v", "error", "-nostdin", *source, "-pix_fmt", pixel_format, "-f", "v4l2", str(node))
    async with await anyio.open_process(argv, stdout=-3, stderr=None) as process:
        try:
            yield
        finally:
            if process.returncode is None:
                process.terminate()
