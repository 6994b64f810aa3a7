"""Sources that start on demand, and requests that wait for them."""

from pathlib import Path
from typing import Any

import anyio
import pytest

pytestmark = pytest.mark.timeout(120)


async def test_a_hold_keeps_an_on_demand_path_and_gets_no_media(media: Any, rtsp: Any) -> None:
    command = media.command("rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH")
    await media.add("cam", runOnDemand=command, runOnDemandCloseAfter="500ms")
    async with rtsp() as client:
        assert (await client.ask("DESCRIBE", "cam")).status == 200
        await client.hold("cam")
        path = await media.until("/v3/paths/get/cam", {"ready": True})
        sessions = (await media.api.get("/v3/rtspsessions/list")).json()["items"]
        (holder,) = (one for one in sessions if one["state"] == "idle")
        assert path["readers"] == [{"type": "rtspSession", "id": holder["id"]}]
        await media.patch("cam", record=True)
        await media.recorded("cam")
        assert (await client.ask("GET_PARAMETER", "cam")).status == 200
        assert client.frames == []
        await media.until("/v3/paths/get/cam", {"ready": True})
    await media.until("/v3/paths/get/cam", {"ready": False, "source": None, "readers": []})


async def test_on_demand_starts_ends_and_starts_again(media: Any, rtsp: Any) -> None:
    command = media.command("rtsp://127.0.0.1:$RTSP_PORT/${MTX_PATH}")
    await media.add("cam", runOnDemand=command, runOnDemandCloseAfter="300ms")
    assert not (await media.api.get("/v3/paths/get/cam")).json()["ready"]
    for _ in range(2):
        async with rtsp() as client:
            assert (await client.ask("DESCRIBE", "cam")).status == 200
        await media.until("/v3/paths/get/cam", {"ready": False})


async def test_the_command_gets_one_sigint(media: Any, rtsp: Any, tmp_path: Path) -> None:
    script = tmp_path / "command.sh"
    script.write_text(
        'trap \'echo INT >>"$2"; kill $!; exit\' INT\necho "$1 $MTX_PATH" >>"$2"\nsleep 60 &\nwait\n'
    )
    log = tmp_path / "log"
    command = f"sh {script} 'two  words $RTSP_PORT' {log}"
    await media.add("cam", runOnDemand=command, runOnDemandStartTimeout="1s")
    async with rtsp() as client:
        response = await client.ask("DESCRIBE", "cam")
        assert response.status == 400
        await client.ended()
    with anyio.fail_after(20):
        while not log.read_text().endswith("INT\n"):
            await anyio.sleep(0.02)
    assert log.read_text() == f"two  words {media.server.rtsp_port} cam\nINT\n"


async def test_a_request_waits_for_a_failed_command_until_the_timeout(media: Any, rtsp: Any) -> None:
    await media.add("cam", runOnDemand="false", runOnDemandStartTimeout="500ms")
    async with rtsp() as client:
        started = anyio.current_time()
        assert (await client.ask("DESCRIBE", "cam")).status == 400
        assert anyio.current_time() - started >= 0.45


async def test_a_command_starts_again_after_five_seconds(media: Any, rtsp: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = f"sh -c 'date >>{log}'"
    await media.add("cam", runOnDemand=command, runOnDemandRestart=True, runOnDemandStartTimeout="7s")
    async with rtsp() as client:
        assert (await client.ask("DESCRIBE", "cam")).status == 400
    assert len(log.read_text().splitlines()) == 2


async def test_on_demand_with_record_and_no_reader_does_not_start(media: Any) -> None:
    await media.add("cam", runOnDemand="sleep 5", record=True)
    await anyio.sleep(0.3)
    path = (await media.api.get("/v3/paths/get/cam")).json()
    assert (path["ready"], path["source"]) == (False, None)


async def test_a_source_is_pulled_on_demand(media: Any, rtsp: Any) -> None:
    await media.add("cam")
    options = {"rtspTransport": "tcp", "sourceOnDemand": True, "sourceOnDemandCloseAfter": "300ms"}
    async with media.publishing("cam"):
        await media.add("pulled", source=f"{media.server.rtsp_url}/cam", **options)
        assert not (await media.api.get("/v3/paths/get/pulled")).json()["ready"]
        async with rtsp() as client:
            await client.play("pulled")
            await media.until("/v3/paths/get/pulled", {"ready": True})
        await media.until("/v3/paths/get/pulled", {"ready": False})
