"""Power that goes in the middle of a recording, and comes back."""

import pytest

from tests.vm.installed.box import Box
from tests.vm.installed.recordings import Recording

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]

RECORDED_S = 10.0
#: Time that what is recorded may be in memory only: three times the pause between two flushes, for a slow machine.
#: Linux alone would keep it for more than half a minute.
UNWRITTEN_S = 15.0


async def test_the_recording_up_to_the_cut_plays_and_goes_on(box: Box) -> None:
    await box.cables[0].plug()
    await box.until_camera()
    recording = await Recording.started(box)
    await recording.until_played_s(RECORDED_S + UNWRITTEN_S)
    await box.cut_power()

    await box.boot()
    await box.until("systemctl is-active camera-agent")
    (file,) = await recording.files()
    assert await recording.played_s(file) >= RECORDED_S
    await box.cables[0].plug()
    # Again, when the next file has just appeared, so that nothing of it is on the disk, perhaps not even its name.
    await recording.until_files(2, least_bytes=0)
    await box.cut_power()

    await box.boot()
    await box.until("systemctl is-active camera-agent")
    async with box.plugged():
        await box.until_camera()
        await recording.until_files(2)
        await box.run("camera-agent", "record", "stop", "camera0")
        for each in await recording.files():
            assert await recording.played_s(each) > 0
        cameras = (await box.call("get_camera_list"))["cameras"]
    assert [each["device"] for each in cameras] == ["camera0"]
    await box.run("camera-agent", "recordings", "get", recording.id, "-o", "/mnt/share/whole.mp4")
    assert await recording.played_s("/mnt/share/whole.mp4") >= RECORDED_S
    assert (await box.properties("NRestarts"))["NRestarts"] == "0"
