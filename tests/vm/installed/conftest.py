"""The one machine that all these tests share, in the order of their files; each leaves it without a camera and with its service active."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.vm.host.folders import CHECKOUT, locked
from tests.vm.host.image import ensure_image
from tests.vm.host.machine import Machine
from tests.vm.host.prerequisites import CannotRunHere, ensure_installed
from tests.vm.host.sites import checkout_disk, ensure_site_disk
from tests.vm.installed.box import CABLES, COMMANDS, Box
from tests.vm.installed.disk import own_disk

#: An empty disk, for the state.
SPARE_BYTES = 64 << 20
#: An emulated processor on a busy host needs more time than the defaults give the media server.
PATIENCE = """\
[health]
probe_timeout_s = 20.0
[media_server]
start_timeout_s = 120.0
[recordings]
start_timeout_s = 120.0
"""
SUITE = os.environ.get("CAMERA_AGENT_VM_SUITE", "bookworm")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def debs() -> list[Path]:
    """Return the packages for amd64 in the folder CAMERA_AGENT_DEBS."""
    found = sorted(Path(os.environ["CAMERA_AGENT_DEBS"]).glob("camera-agent*_amd64.deb"))
    assert found, "no packages: run make deb DEB_ARCHS=amd64"
    return found


@pytest.fixture(scope="session")
async def box(debs: list[Path]) -> AsyncIterator[Box]:
    """Boot a machine whose share has the packages in `debs`; nothing is installed yet."""
    try:
        ensure_installed()
    except CannotRunHere as reason:
        pytest.skip(str(reason))
    # Sockets have short names.
    with (
        tempfile.TemporaryDirectory(prefix="debvm-") as sockets,
        tempfile.TemporaryDirectory(dir=CHECKOUT / ".cache") as name,
    ):
        work = Path(name)
        share = CHECKOUT / f".cache/vm/runs/{SUITE}-installed"
        with locked(share):
            shutil.rmtree(share / "debs", ignore_errors=True)
            (share / "debs").mkdir(parents=True)
            for deb in debs:
                shutil.copy(deb, share / "debs")
            image = ensure_image(SUITE)
            site = ensure_site_disk(image)
            checkout_disk(image, work / "checkout.ext4")
            own_disk(image, work / "root.ext4")
            with (work / "spare.img").open("wb") as spare:
                spare.truncate(SPARE_BYTES)
            machine = Machine(
                image,
                site,
                work / "checkout.ext4",
                share,
                root_disk=work / "root.ext4",
                spare_disks=(work / "spare.img",),
                ports={each: Path(sockets) / each for each in (COMMANDS, *CABLES)},
            )
            box = Box(machine)
            try:
                await box.boot()
                yield box
            finally:
                await box.cut_power()


@pytest.fixture(scope="session")
async def patient(box: Box) -> None:
    """Give the installed agent the settings for a slow machine."""
    await box.configure("80-patience", PATIENCE)
