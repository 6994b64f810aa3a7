"""The service: its journal, restart, reload, cables, and a plugin's package."""

import json

import pytest

from tests.vm.installed.box import Box
from tests.vm.installed.pictures import nearest_picture

pytestmark = pytest.mark.timeout(3600)

SETTINGS = "/etc/camera-agent/conf.d/90-test.toml"


async def configured(box: Box, text: str) -> None:
    (box.share / "settings.toml").write_text(text)
    await box.run("install", "-D", "-m", "0644", "/mnt/share/settings.toml", SETTINGS)


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
    await box.until_camera(status="DISCONNECTED")
    async with box.plugged(cable=1):
        await box.until_camera()
        nearest_picture(await box.picture())
        cameras = (await box.call("get_camera_list"))["cameras"]
    assert [each["device"] for each in cameras] == ["camera0"]


async def test_reload_applies_the_log_level_to_the_same_process(box: Box) -> None:
    before = await box.properties("MainPID", "NRestarts")
    await configured(box, '[logging]\nlevel = "debug"\n')
    await box.run("systemctl", "reload", "camera-agent")
    await box.said("reloaded the configuration: the log level is debug")
    await box.run("rm", SETTINGS)
    await box.run("systemctl", "reload", "camera-agent")
    await box.said("reloaded the configuration: the log level is info")
    assert await box.properties("MainPID", "NRestarts") == before


async def test_the_package_of_a_plugin_adds_its_tier(box: Box) -> None:
    before = await box.properties("MainPID")
    await box.sh("cd /mnt/share/debs && apt install --yes ./camera-agent-rtsp-tier_*.deb")
    assert await box.properties("MainPID") != before
    # The other tiers get no time, so that the stream must give the picture.
    await configured(box, "[snapshots]\ntier_budget_s = [0.001, 0.001, 60.0, 60.0]\n")
    await box.run("systemctl", "restart", "camera-agent")
    async with box.plugged():
        await box.until_camera()
        await box.call("start_streaming", device="camera0")
        await box.until("camera-agent call get_stream_status device=camera0 | grep ACTIVE")
        taken = await box.call("take_snapshot", device="camera0", deadline_ms=120_000, max_age_ms=60_000)
        assert taken["tier_used"] == 2
        await box.run("cp", taken["file_path"], "/mnt/share/tier2.jpg")
        nearest_picture(box.share / "tier2.jpg")
        await box.call("stop_streaming", device="camera0")
    await box.run("rm", SETTINGS)
    await box.run("systemctl", "restart", "camera-agent")
