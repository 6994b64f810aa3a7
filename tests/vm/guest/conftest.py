"""Fixtures of tests that run in the machine: as root or as the user `camera`, the same for both."""

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
    """`await root.run("udevadm", "trigger")`: for what only root may."""
    async with Root.connected() as connection:
        yield connection


@pytest.fixture
def webcam() -> PlugWebcam:
    """`async with webcam(Layout(serial="A"), port=3) as camera:`; unplugged at the end, and if the test dies."""

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
    """`async with vivid(2) as cameras:` loads the kernel's test driver, and unloads it at the end."""
    return loaded_vivid(root)


@pytest.fixture
def kept() -> Path:
    """A folder that outlives the machine: tests marked `after_reboot` run in a second one and find it."""
    return Path(os.environ["VM_KEPT"])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is told at once: the machine may be lost, or given up, before the run ends."""
    if report.failed:
        print(f"\n{report.longreprtext}\n", flush=True)  # noqa: T201 - pytest's own report comes at the end
