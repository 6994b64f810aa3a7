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
    await box.configure("90-level", '[logging]\nlevel = "debug"\n', do="reload")
    await box.said("reloaded the configuration: the log level is debug")
    await box.configure("90-level", "", do="reload")
    await box.said("reloaded the configuration: the log level is info")
    assert await box.properties("MainPID", "NRestarts") == before
