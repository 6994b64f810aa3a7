"""State on a disk of its own, which is mounted late, full, or read-only."""

from collections.abc import AsyncIterator

import pytest

from tests.vm.installed.box import Box
from tests.vm.installed.pictures import nearest_picture

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]

STATE = "/var/lib/camera-agent/state"


@pytest.fixture(scope="module")
async def state_disk(box: Box) -> AsyncIterator[str]:
    """Copy the state to the spare disk, and stop the service; at the end, start it with its former state."""
    disk, place = "/dev/vdd", "/run/spare"
    await box.sh(
        "set -e; systemctl stop camera-agent; "
        # As Debian's installer does for the root disk: after an error of the file system it becomes read-only.
        f"mke2fs -q -t ext4 -m 0 -e remount-ro {disk}; mkdir {place}; mount {disk} {place}; cp --archive {STATE}/. {place}; "
        f"chown --reference={STATE} {place}; chmod --reference={STATE} {place}; umount {place}"
    )
    yield disk
    await box.sh(f"set -e; systemctl stop camera-agent; umount {STATE}; systemctl start camera-agent")


async def test_a_disk_that_is_mounted_late_is_started_with(box: Box, state_disk: str) -> None:
    await box.sh(f"mkdir /root/kept && mv {STATE}/* /root/kept")
    await box.run("systemctl", "start", "camera-agent")
    before = await box.properties("MainPID")
    # Without its disk the agent is a new one.
    assert await box.sh(f"cmp --silent {STATE}/secret /root/kept/secret || echo another") == "another\n"
    await box.run("mount", state_disk, STATE)
    await box.said("A disk was mounted over the state folder")
    await box.until(f"test $(systemctl show -P MainPID camera-agent) != {before['MainPID']}")
    async with box.plugged():
        await box.until_camera()
        cameras = (await box.call("get_camera_list"))["cameras"]
    assert [each["device"] for each in cameras] == ["camera0"]
    await box.run("cmp", f"{STATE}/secret", "/root/kept/secret")


async def test_a_full_disk_is_survived_and_said(box: Box, state_disk: str) -> None:
    await box.sh(f"dd if=/dev/zero of={STATE}/filler bs=64k 2>/dev/null || true; sync")
    await box.said("The disk for state is full.")
    assert "FAILED" in await box.diagnosis("storage")
    # The agent also starts with it, and works.
    await box.run("systemctl", "restart", "camera-agent")
    async with box.plugged():
        await box.until_camera()
        nearest_picture(await box.picture())
    await box.until_check("disk", "FAILED")
    # Also on the disk, for the next test.
    await box.sh(f"rm {STATE}/filler && sync")
    await box.until_check("disk", "OK|WARNING")


async def test_a_read_only_disk_is_survived_and_said(box: Box, state_disk: str) -> None:
    before = await box.properties("MainPID", "NRestarts")
    # An error that the kernel notices, after which it writes nothing more to the file system.
    await box.sh("echo 1 > /sys/fs/ext4/vdd/trigger_fs_error")
    await box.said("The disk for state is mounted read-only.")
    assert "FAILED" in await box.diagnosis("storage")
    async with box.plugged():
        await box.until_camera()
        nearest_picture(await box.picture())
    await box.until_check("disk", "FAILED")
    assert await box.properties("MainPID", "NRestarts") == before
    await box.sh(
        f"systemctl stop camera-agent; umount {STATE}; e2fsck -f -y {state_disk}; mount {state_disk} {STATE}"
    )
    await box.run("systemctl", "start", "camera-agent")
    await box.until_check("disk", "OK|WARNING")
