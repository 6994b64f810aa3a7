"""Fixtures of the tests in the machine, for root and the user `camera` alike."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.vm.cameras.layout import Layout
from tests.vm.guest.cameras import PlugWebcam, Root, Webcam
from tests.vm.guest.vivid import LoadVivid, loaded_vivid


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def root() -> AsyncIterator[Root]:
    """Yield a connection that runs commands as root: `await root.run("udevadm", "trigger")`."""
    async with Root.connected() as connection:
        yield connection


@pytest.fixture
def webcam() -> PlugWebcam:
    """Return `webcam`: `async with webcam(Layout(serial="A"), port=3) as camera:`; unplugs it at the end."""

    @asynccontextmanager
    async def plugged(layout: Layout | None = None, *, port: int | None = None) -> AsyncIterator[Webcam]:
        async with Root.connected() as connection:
            camera = Webcam(layout or Layout(), connection)
            await camera.plug(port)
            yield camera
            if camera.nodes:
                await camera.unplug()

    return plugged


@pytest.fixture
def vivid(root: Root) -> LoadVivid:
    """Return `vivid`: `async with vivid(2) as cameras:` loads the kernel's test driver, and unloads it at the end."""
    return loaded_vivid(root)


@pytest.fixture
def kept() -> Path:
    """Return a folder that survives a reboot, for the tests marked `after_reboot`."""
    return Path(os.environ["VM_KEPT"])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Print each failure at once: the machine may crash or time out before the run ends."""
    if report.failed:
        print(f"\n{report.longreprtext}\n", flush=True)  # noqa: T201 - pytest reports only at the end
