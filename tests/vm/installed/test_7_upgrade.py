"""Upgrade of the packages in the middle of a recording, and their removal."""

import subprocess
from pathlib import Path

import pytest

from tests.vm.host.folders import CHECKOUT
from tests.vm.installed.box import Box
from tests.vm.installed.recordings import Recording

pytestmark = pytest.mark.timeout(3600)

REPACK = CHECKOUT / "packaging/deb/test/repack"


async def test_a_recording_goes_on_and_the_configuration_stays(box: Box, debs: list[Path]) -> None:
    newer = box.share / "newer"
    subprocess.run([REPACK, debs[0].parent, "99", newer], check=True)
    await box.sh("echo '# edited' >> /etc/camera-agent/config.toml")
    before = await box.properties("MainPID")
    async with box.plugged():
        await box.until_camera()
        recording = await Recording.started(box)
        await box.sh("cd /mnt/share/newer && apt install --yes ./*.deb")
        await box.until_camera()
        await recording.until_files(2)
        assert (await box.properties("MainPID")) != before
        await box.run("camera-agent", "record", "stop", "camera0")
        for each in await recording.files():
            assert await recording.played_s(each) > 0
    assert (await box.sh("tail -n 1 /etc/camera-agent/config.toml")) == "# edited\n"
    assert (await box.sh("dpkg-query --show --showformat '${Version}' camera-agent")) == "99"


async def test_removed_packages_leave_no_process(box: Box) -> None:
    await box.sh("apt purge --yes 'camera-agent*'")
    assert await box.sh("pgrep --uid camera-agent || true") == ""
    assert await box.sh("systemctl list-units --all --plain --no-legend 'camera-agent*'") == ""
