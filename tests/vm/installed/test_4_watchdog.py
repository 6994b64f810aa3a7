"""systemd's watchdog, which a slow machine does not trigger."""

import pytest

from tests.vm.installed.box import Box

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]


async def test_a_frozen_process_is_replaced_and_no_other(box: Box) -> None:
    before = await box.properties("MainPID", "NRestarts", "WatchdogUSec")
    assert before["NRestarts"] == "0"
    assert await box.sh("journalctl --unit=camera-agent --no-pager | grep -i watchdog || true") == ""
    async with box.plugged():
        await box.until_camera()
        await box.run("kill", "-STOP", before["MainPID"])
        await box.said("Watchdog timeout")
        await box.until(
            "systemctl show --property=NRestarts camera-agent | grep =1 && systemctl is-active camera-agent"
        )
        await box.until_camera()
        after = await box.properties("MainPID", "NRestarts", "Result")
    assert after["MainPID"] not in ("0", before["MainPID"])
    assert (after["NRestarts"], after["Result"]) == ("1", "success")
    assert "systemd has restarted camera-agent.service after failures" in await box.diagnosis("service")
