"""State on a disk of its own, which is mounted late, full, or read-only."""

from collections.abc import AsyncIterator

import pytest

from tests.vm.installed.box import Box

pytestmark = pytest.mark.timeout(3600)

STATE = "/var/lib/camera-agent/state"


@pytest.fixture(scope="module")
async def state_disk(box: Box) -> AsyncIterator[str]:
    """Move the state to the spare disk, on which it stays until the end of the module."""
    await box.sh(
        "systemctl stop camera-agent; mke2fs -q -t ext4 -m 0 /dev/vdd; mount /dev/vdd /mnt && cp --archive "
        f"{STATE}/. /mnt && chown --reference={STATE} /mnt && chmod --reference={STATE} /mnt && umount /mnt"
    )
    yield "/dev/vdd"
    await box.sh(f"systemctl stop camera-agent; umount {STATE}; systemctl start camera-agent")


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
    await box.sh(f"dd if=/dev/zero of={STATE}/filler bs=64k 2>/dev/null || true; sync; df {STATE}")
    await box.until_check("disk", "state.*full|state.*room|state.*space")
    assert "FAILED" in await box.sh("camera-agent doctor | grep '^storage'")
    await box.run("systemctl", "restart", "camera-agent")
    async with box.plugged():
        await box.until_camera()
        await box.picture()
    await box.run("rm", f"{STATE}/filler")
    await box.until_check("disk", "HEALTHY")


async def test_a_read_only_disk_is_survived_and_said(box: Box, state_disk: str) -> None:
    before = await box.properties("MainPID", "NRestarts")
    await box.run("mount", "-o", "remount,ro", STATE)
    await box.until_check("disk", "state.*read")
    assert await box.properties("MainPID", "NRestarts") == before
    async with box.plugged():
        await box.until_camera()
        await box.picture()
    await box.run("mount", "-o", "remount,rw", STATE)
    await box.until_check("disk", "HEALTHY")
