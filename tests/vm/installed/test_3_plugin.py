"""A plugin with a package of its own."""

import pytest

from tests.vm.installed.box import Box
from tests.vm.installed.pictures import nearest_picture
from tests.vm.installed.recordings import Recording

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]

#: The tiers of rank 0 and 1 get no time, so that the stream must give the picture; its tier gets that of a slow machine.
TIERS = """\
[snapshots]
tier_budget_s = [0.001, 0.001, 100.0, 0.001]
[plugins.rtsp_tier]
connect_timeout_s = 60.0
silence_timeout_s = 60.0
worker_silence_s = 60.0
"""


async def test_the_package_of_a_plugin_adds_its_tier(box: Box) -> None:
    before = await box.properties("MainPID")
    await box.sh("cd /mnt/share/debs && apt install --yes ./camera-agent-rtsp-tier_*.deb")
    assert await box.properties("MainPID") != before
    await box.configure("90-tiers", TIERS)
    async with box.plugged():
        await box.until_camera()
        # Keeps the stream live.
        await Recording.started(box)
        taken = await box.call("take_snapshot", device="camera0", deadline_ms=120_000, max_age_ms=0)
        assert (taken["tier_used"], taken["tier_name"]) == (2, "rtsp")
        await box.run("cp", taken["file_path"], "/mnt/share/tier2.jpg")
        nearest_picture(box.share / "tier2.jpg")
        await box.run("camera-agent", "record", "stop", "camera0")
    await box.configure("90-tiers", "")
