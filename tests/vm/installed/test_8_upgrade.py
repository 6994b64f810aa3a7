"""Upgrade of the packages in the middle of a recording, and their removal."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.vm.host.folders import CHECKOUT
from tests.vm.installed.box import Box
from tests.vm.installed.recordings import Recording

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]

REPACK = CHECKOUT / "packaging/deb/test/repack"


async def test_a_recording_goes_on_and_the_configuration_stays(box: Box, debs: list[Path]) -> None:
    newer = box.share / "newer"
    shutil.rmtree(newer, ignore_errors=True)
    subprocess.run([REPACK, debs[0].parent, "99", newer], check=True)
    await box.sh("echo '# edited' >> /etc/camera-agent/config.toml")
    before = await box.properties("MainPID")
    async with box.plugged():
        await box.until_camera()
        recording = await Recording.started(box)
        await box.sh("cd /mnt/share/newer && apt install --yes -o Dpkg::Options::=--force-confold ./*.deb")
        await box.until_camera()
        await recording.until_files(2)
        assert (await box.properties("MainPID")) != before
        await box.run("camera-agent", "record", "stop", "camera0")
        for each in await recording.files():
            assert await recording.played_s(each) > 0
    assert (await box.sh("tail -n 1 /etc/camera-agent/config.toml")) == "# edited\n"
    await box.run("grep", "# Version 99", "/etc/camera-agent/config.toml.dpkg-dist")
    assert (await box.sh("dpkg-query --show --showformat '${Version}' camera-agent")) == "99"


async def test_purged_packages_leave_the_recordings_and_no_process(box: Box) -> None:
    said = await box.sh("apt purge --yes 'camera-agent*' 2>&1")
    assert "kept /var/lib/camera-agent/recordings" in said
    await box.sh("ls /var/lib/camera-agent/recordings/camera0/*/*.mp4")
    assert await box.sh("ls -d /etc/camera-agent /var/lib/camera-agent/state 2>/dev/null || true") == ""
    assert await box.sh("pgrep --uid camera-agent || true") == ""
    assert (
        await box.sh("systemctl list-units --state=active,activating,failed --no-legend 'camera-agent*'")
        == ""
    )
