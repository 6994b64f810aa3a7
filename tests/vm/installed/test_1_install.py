"""From a board without the agent to the first picture, without any configuration."""

import pytest

from tests.vm.installed.box import Box
from tests.vm.installed.pictures import nearest_picture

pytestmark = pytest.mark.timeout(3600)


async def test_apt_installs_the_packages_from_local_files(box: Box) -> None:
    await box.run("apt-get", "update")
    await box.sh("cd /mnt/share/debs && apt install --yes ./camera-agent_*.deb")
    assert (await box.run("systemctl", "is-active", "camera-agent")).strip() == "active"
    assert (await box.run("systemctl", "is-enabled", "camera-agent")).strip() == "enabled"


async def test_a_camera_that_is_plugged_in_only_afterwards_gives_its_picture(box: Box) -> None:
    assert await box.sh("ls -d /sys/module/uvcvideo /dev/video* 2>/dev/null || true") == ""
    async with box.plugged():
        await box.until_camera()
        shown = {nearest_picture(await box.picture("--max-age-ms", "0")) for _ in range(3)}
    assert len(shown) >= 1
