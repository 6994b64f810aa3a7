"""The service: its journal, restart, reload, and cables."""

import json

import pytest

from tests.vm.installed.box import Box
from tests.vm.installed.pictures import nearest_picture

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]


async def test_the_journal_gets_records_with_their_fields(box: Box) -> None:
    lines = await box.run("journalctl", "--unit=camera-agent", "--output=json", "--no-pager")
    records = [json.loads(line) for line in lines.splitlines()]
    ours = [each for each in records if "CAMERA_AGENT_LOGGER" in each]
    assert {each["SYSLOG_IDENTIFIER"] for each in ours} == {"camera-agent"}
    assert {each["_TRANSPORT"] for each in ours} == {"journal"}
    assert any(each["CAMERA_AGENT_LOGGER"].startswith("camera_agent.") for each in ours)
    assert {each["PRIORITY"] for each in ours} <= {"3", "4", "6"}
    # No line of the log takes the other way, without its fields.
    assert [each["MESSAGE"] for each in records if each["_TRANSPORT"] == "stdout"] == []


async def test_a_camera_stays_the_same_through_cables_and_a_restart(box: Box) -> None:
    async with box.plugged():
        await box.until_camera()
        before = await box.properties("MainPID")
        await box.run("systemctl", "restart", "camera-agent")
        await box.until_camera()
        assert await box.properties("MainPID") != before
    await box.until_camera("disconnected")
    async with box.plugged(cable=1):
        await box.until_camera()
        nearest_picture(await box.picture())
        cameras = (await box.call("get_camera_list"))["cameras"]
    assert [each["device"] for each in cameras] == ["camera0"]


async def test_reload_applies_the_log_level_to_the_same_process(box: Box) -> None:
    before = await box.properties("MainPID", "NRestarts")
    await box.configure("90-level", '[logging]\nlevel = "warning"\n', do="reload")
    # The output of `camera-agent reload`; at this level the agent itself says nothing.
    await box.said("changed:       logging.level")
    assert await _reloads(box) == 0
    await box.configure("90-level", "", do="reload")
    assert await _reloads(box) == 1
    assert await box.properties("MainPID", "NRestarts") == before


async def test_reload_of_a_broken_file_fails_and_the_service_goes_on(box: Box) -> None:
    before = await box.properties("MainPID", "NRestarts", "ActiveState")
    await box.sh("printf '[logging]\\nlevle = 1\\n' > /etc/camera-agent/conf.d/90-broken.toml")
    status, said = await box.ask("systemctl", "reload", "camera-agent")
    assert status != 0
    assert "camera-agent.service failed" in said
    await box.said("90-broken.toml")
    await box.said("levle")
    await box.configure("90-broken", "", do="reload")
    await box.call("ping")
    assert await box.properties("MainPID", "NRestarts", "ActiveState") == before


async def _reloads(box: Box) -> int:
    """Return the number of reloads that the agent itself has logged."""
    await box.run("journalctl", "--sync")
    found = "journalctl --unit=camera-agent --output=cat --no-pager CAMERA_AGENT_LOGGER=camera_agent.app"
    return int(await box.sh(f"{found} | grep --count 'reloaded the configuration' || true"))
