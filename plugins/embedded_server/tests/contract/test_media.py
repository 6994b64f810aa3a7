"""Publishing, reading, holding, starting on demand and recording, with real FFmpeg processes."""

import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import child
from agent_core.plugin.rtsp import Interleaved

pytestmark = pytest.mark.timeout(120)

ENCODER = (
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-tune",
    "zerolatency",
    "-pix_fmt",
    "yuv420p",
    "-forced-idr",
    "1",
)
SIZE = "320x240"


def publisher_argv(url: str, rate: int = 15, *filters: str) -> list[str]:
    source = f"testsrc2=size={SIZE}:rate={rate}"
    keys = ("-force_key_frames", "expr:gte(t,n_forced*0.5)", "-fps_mode", "passthrough")
    output = ("-f", "rtsp", "-rtsp_transport", "tcp", url)
    return [
        *(ffmpeg.locate(), *ffmpeg.QUIET, "-re", "-f", "lavfi", "-i", source),
        *(*filters, *ENCODER, *keys, *output),
    ]


@asynccontextmanager
async def publishing(server: Any, api: httpx.AsyncClient, path: str, *args: Any) -> AsyncIterator[None]:
    async with child(publisher_argv(f"{server.rtsp_url}/{path}", *args)):
        await until(api, f"/v3/paths/get/{path}", {"ready": True})
        yield


async def until(api: httpx.AsyncClient, address: str, wanted: dict[str, Any], within_s: float = 20) -> Any:
    found: Any = None
    with anyio.move_on_after(within_s):
        while True:
            response = await api.get(address)
            found = response.json()
            if response.status_code == 200 and wanted.items() <= found.items():
                return found
            await anyio.sleep(0.02)
    pytest.fail(f"{address} does not become {wanted}: {found}")


async def add(api: httpx.AsyncClient, path: str, **options: Any) -> None:
    response = await api.post(f"/v3/config/paths/add/{path}", json=options)
    assert response.status_code == 200, response.text
    await until(api, f"/v3/paths/get/{path}", {"name": path})


async def patch(api: httpx.AsyncClient, path: str, **options: Any) -> None:
    response = await api.patch(f"/v3/config/paths/patch/{path}", json=options)
    assert response.status_code == 200, response.text


async def packets(source: str, *options: str) -> list[tuple[float, float, bool]]:
    """Time, duration and key flag of each video packet, by FFmpeg."""
    text = (
        await ffmpeg.run(ffmpeg.locate(), [*options, "-i", source, "-c", "copy", "-f", "framecrc", "-"])
    ).decode()
    found = re.search(r"#tb 0: ([0-9]+)/([0-9]+)", text)
    assert found is not None
    base = int(found[1]) / int(found[2])
    rows = [line.split(",") for line in text.splitlines() if line.startswith("0,")]
    return [(int(row[2]) * base, int(row[3]) * base, "F=0x0" not in line_flags(row)) for row in rows]


def line_flags(row: list[str]) -> str:
    return "".join(row[6:])


async def duration_s(file: Path) -> float:
    found = await packets(str(file))
    return found[-1][0] + found[-1][1] - found[0][0]


async def decodes(file: Path) -> None:
    """Every picture of the file can be decoded; FFmpeg says so by saying nothing."""
    assert await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(file), "-f", "null", "-"]) == b""


async def recorded(server: Any, path: str, count: int = 1, within_s: float = 15) -> list[Path]:
    """The files of a path, as soon as there are so many."""
    with anyio.fail_after(within_s):
        while len(files := sorted(server.recordings.glob(f"{path}/*"))) < count:
            await anyio.sleep(0.02)
    return files


async def finished(file: Path) -> None:
    """Wait until the file has its duration: `mvhd` with other than zero."""
    with anyio.fail_after(10):
        while True:
            data = file.read_bytes()
            at = data.index(b"mvhd") + 20
            if any(data[at : at + 4]):
                return
            await anyio.sleep(0.02)


async def test_a_stream_is_shown(server: Any, api: httpx.AsyncClient) -> None:
    await add(api, "cam")
    async with publishing(server, api, "cam"):
        path = await until(api, "/v3/paths/get/cam", {"available": True, "online": True})
        (session,) = (await api.get("/v3/rtspsessions/list")).json()["items"]
        (connection,) = (await api.get("/v3/rtspconns/list")).json()["items"]
    assert path["source"] == {"type": "rtspSession", "id": session["id"]}
    assert path["tracks"] == ["H264"]
    properties = path["tracks2"][0]["codecProps"]
    assert path["tracks2"][0]["codec"] == "H264"
    assert (properties["width"], properties["height"], properties["profile"]) == (320, 240, "Baseline")
    assert path["readers"] == []
    assert (session["state"], session["path"], session["transport"], session["profile"]) == (
        *("publish", "cam", "TCP", "AVP"),
    )
    assert session["conns"] == [connection["id"]]
    assert connection["session"] == session["id"]
    assert session["userAgent"].startswith("Lavf")
    assert list(session)[:12] == [
        *(
            "id",
            "created",
            "remoteAddr",
            "state",
            "path",
            "query",
            "user",
            "userAgent",
            "transport",
            "profile",
        ),
        *("conns", "inboundBytes"),
    ]
    assert len(session) == 33
    assert list(connection) == [
        *("id", "created", "remoteAddr", "session", "tunnel"),
        *("inboundBytes", "outboundBytes", "bytesReceived", "bytesSent"),
    ]


async def test_ffmpeg_reads_and_two_readers_see_every_packet(
    server: Any, api: httpx.AsyncClient, rtsp: Any
) -> None:
    await add(api, "cam")
    async with publishing(server, api, "cam", 30), rtsp() as first, rtsp() as second:
        await first.play("cam")
        await second.play("cam")
        seen = await packets(f"{server.rtsp_url}/cam", "-rtsp_transport", "tcp", "-t", "1")
        assert len(seen) > 10
        sequences = []
        for client in (first, second):
            with anyio.fail_after(10):
                found = [await client.packet() for _ in range(60)]
            sequences.append([int.from_bytes(one.payload[2:4], "big") for one in found])
        path = await until(api, "/v3/paths/get/cam", {"ready": True})
        assert len(path["readers"]) == 2
        assert path["bytesSent"] > path["bytesReceived"]
    for numbers in sequences:
        steps = {(after - before) & 0xFFFF for before, after in zip(numbers, numbers[1:], strict=False)}
        assert steps == {1}


async def test_ffmpeg_falls_back_from_udp(server: Any, api: httpx.AsyncClient) -> None:
    await add(api, "cam")
    async with publishing(server, api, "cam"):
        assert len(await packets(f"{server.rtsp_url}/cam", "-t", "1")) > 3


async def test_a_hold_keeps_an_on_demand_path_and_gets_no_media(
    server: Any, api: httpx.AsyncClient, rtsp: Any
) -> None:
    command = " ".join(quoted(word) for word in publisher_argv("rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH"))
    await add(api, "cam", runOnDemand=command, runOnDemandCloseAfter="500ms")
    async with rtsp() as client:
        assert (await client.ask("DESCRIBE", "cam")).status == 200
        await client.hold("cam")
        path = await until(api, "/v3/paths/get/cam", {"ready": True})
        sessions = (await api.get("/v3/rtspsessions/list")).json()["items"]
        (holder,) = (one for one in sessions if one["state"] == "idle")
        assert path["readers"] == [{"type": "rtspSession", "id": holder["id"]}]
        await patch(api, "cam", record=True)
        await recorded(server, "cam")
        assert (await client.ask("GET_PARAMETER", "cam")).status == 200
        assert client.frames == []
        await until(api, "/v3/paths/get/cam", {"ready": True})
    await until(api, "/v3/paths/get/cam", {"ready": False, "source": None, "readers": []})


def quoted(word: str) -> str:
    return f"'{word}'"


async def test_on_demand_starts_ends_and_starts_again(server: Any, api: httpx.AsyncClient, rtsp: Any) -> None:
    command = " ".join(quoted(word) for word in publisher_argv("rtsp://127.0.0.1:$RTSP_PORT/${MTX_PATH}"))
    await add(api, "cam", runOnDemand=command, runOnDemandCloseAfter="300ms")
    assert not (await api.get("/v3/paths/get/cam")).json()["ready"]
    for _ in range(2):
        async with rtsp() as client:
            assert (await client.ask("DESCRIBE", "cam")).status == 200
        await until(api, "/v3/paths/get/cam", {"ready": False})


async def test_the_command_gets_one_sigint(
    server: Any, api: httpx.AsyncClient, rtsp: Any, tmp_path: Path
) -> None:
    script = tmp_path / "command.sh"
    script.write_text(
        'trap \'echo INT >>"$2"; kill $!; exit\' INT\necho "$1 $MTX_PATH" >>"$2"\nsleep 60 &\nwait\n'
    )
    log = tmp_path / "log"
    command = f"sh {script} 'two  words $RTSP_PORT' {log}"
    await add(api, "cam", runOnDemand=command, runOnDemandStartTimeout="1s")
    async with rtsp() as client:
        response = await client.ask("DESCRIBE", "cam")
        assert response.status == 400
        await client.ended()
    with anyio.fail_after(5):
        while not log.read_text().endswith("INT\n"):
            await anyio.sleep(0.02)
    assert log.read_text() == f"two  words {server.rtsp_port} cam\nINT\n"


async def test_a_command_that_fails_is_waited_for_until_the_time_is_over(
    server: Any, api: httpx.AsyncClient, rtsp: Any
) -> None:
    await add(api, "cam", runOnDemand="false", runOnDemandStartTimeout="500ms")
    async with rtsp() as client:
        started = anyio.current_time()
        assert (await client.ask("DESCRIBE", "cam")).status == 400
        assert anyio.current_time() - started >= 0.45


async def test_a_command_starts_again_after_five_seconds(
    server: Any, api: httpx.AsyncClient, rtsp: Any, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    command = f"sh -c 'date >>{log}'"
    await add(api, "cam", runOnDemand=command, runOnDemandRestart=True, runOnDemandStartTimeout="7s")
    async with rtsp() as client:
        assert (await client.ask("DESCRIBE", "cam")).status == 400
    assert len(log.read_text().splitlines()) == 2


async def test_on_demand_with_record_and_no_reader_does_not_start(
    server: Any, api: httpx.AsyncClient
) -> None:
    await add(api, "cam", runOnDemand="sleep 5", record=True)
    await anyio.sleep(0.3)
    path = (await api.get("/v3/paths/get/cam")).json()
    assert (path["ready"], path["source"]) == (False, None)


async def test_recording_starts_and_stops_without_disturbing_a_reader(
    server: Any, api: httpx.AsyncClient, rtsp: Any
) -> None:
    await add(api, "cam", recordPartDuration="250ms")
    async with publishing(server, api, "cam", 30), rtsp() as client:
        await client.play("cam")
        await patch(api, "cam", record=True)
        (file,) = await recorded(server, "cam")
        listed = (await api.get("/v3/recordings/get/cam")).json()
        await anyio.sleep(2)
        await patch(api, "cam", record=False)
        await finished(file)
        await patch(
            api, "cam", record=True, recordPath=f"{server.recordings}/%path/other/%Y-%m-%d_%H-%M-%S-%f"
        )
        await recorded(server, "cam/other")
        await patch(api, "cam", record=False)
        with anyio.fail_after(10):
            found = [await client.packet() for _ in range(150)]
    numbers = [int.from_bytes(one.payload[2:4], "big") for one in found]
    assert {(after - before) & 0xFFFF for before, after in zip(numbers, numbers[1:], strict=False)} == {1}
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{6}\.mp4", file.name)
    start = listed["segments"][0]["start"]
    assert re.sub(r"\D", "", start.partition("+")[0]).ljust(20, "0") == re.sub(r"\D", "", file.stem)
    await decodes(file)
    assert 1.9 < await duration_s(file) < 4


async def test_a_segment_is_deleted(server: Any, api: httpx.AsyncClient) -> None:
    await add(api, "cam", record=True, recordPartDuration="250ms")
    async with publishing(server, api, "cam"):
        await recorded(server, "cam")
    await until(api, "/v3/paths/get/cam", {"ready": False})
    start = (await api.get("/v3/recordings/get/cam")).json()["segments"][0]["start"]
    query = {"path": "cam", "start": start}
    response = await api.delete("/v3/recordings/deletesegment", params=query)
    assert (response.status_code, response.text) == (200, '{"status":"ok"}')
    response = await api.delete("/v3/recordings/deletesegment", params=query)
    assert response.status_code == 400
    assert response.json()["error"].startswith("remove /")
    assert response.json()["error"].endswith(": no such file or directory")
    response = await api.delete("/v3/recordings/deletesegment", params={"path": "cam", "start": "soon"})
    assert response.json()["error"].startswith("invalid 'start' parameter: parsing time \"soon\"")
    assert (await api.get("/v3/recordings/list")).json()["items"] == []


async def test_a_change_that_is_not_hot_ends_reader_and_publisher(
    server: Any, api: httpx.AsyncClient, rtsp: Any
) -> None:
    await add(api, "cam")
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        await client.play("cam")
        await patch(api, "cam", maxReaders=0)
        await patch(api, "cam", recordSegmentDuration="2h")
        assert (await client.ask("OPTIONS", "cam")).status == 200
        await patch(api, "cam", maxReaders=1)
        await client.ended()
        await publisher.ended()
    await until(api, "/v3/paths/get/cam", {"ready": False})


async def test_deleting_a_path_ends_it_and_hides_its_recordings(
    server: Any, api: httpx.AsyncClient, rtsp: Any
) -> None:
    await add(api, "cam", record=True, recordPartDuration="250ms")
    async with publishing(server, api, "cam"), rtsp() as client:
        await client.play("cam")
        (file,) = await recorded(server, "cam")
        assert (await api.delete("/v3/config/paths/delete/cam")).status_code == 200
        await client.ended()
    await finished(file)
    response = await api.get("/v3/recordings/get/cam")
    assert (response.status_code, response.json()["error"]) == (400, "path 'cam' is not configured")


async def test_another_path_is_not_disturbed(server: Any, api: httpx.AsyncClient, rtsp: Any) -> None:
    await add(api, "cam")
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        await client.play("cam")
        await add(api, "other")
        await patch(api, "other", maxReaders=3)
        assert (await api.delete("/v3/config/paths/delete/other")).status_code == 200
        assert (await client.ask("OPTIONS", "cam")).status == 200


async def test_a_second_publisher_replaces_the_first(server: Any, api: httpx.AsyncClient, rtsp: Any) -> None:
    await add(api, "cam")
    async with rtsp() as first, rtsp() as second, rtsp() as reader:
        await first.publish("cam")
        await reader.play("cam")
        await second.publish("cam")
        await first.ended()
        await reader.ended()
        assert (await second.ask("OPTIONS", "cam")).status == 200
        await until(api, "/v3/paths/get/cam", {"ready": True})


async def test_a_second_publisher_is_refused_where_configured(
    server: Any, api: httpx.AsyncClient, rtsp: Any
) -> None:
    await add(api, "cam", overridePublisher=False)
    async with rtsp() as first, rtsp() as second:
        await first.publish("cam")
        with pytest.raises(AssertionError):
            await second.publish("cam")
        assert (await first.ask("OPTIONS", "cam")).status == 200


async def test_too_many_readers(server: Any, api: httpx.AsyncClient, rtsp: Any) -> None:
    await add(api, "cam", maxReaders=1)
    async with rtsp() as publisher, rtsp() as first, rtsp() as second:
        await publisher.publish("cam")
        await first.hold("cam")
        response = await second.ask(
            "SETUP", "cam/trackID=0", {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        )
        assert response.status == 400


async def test_a_session_is_kicked(server: Any, api: httpx.AsyncClient, rtsp: Any) -> None:
    await add(api, "cam")
    async with rtsp() as publisher:
        await publisher.publish("cam")
        path = await until(api, "/v3/paths/get/cam", {"ready": True})
        session = path["source"]["id"]
        assert (await api.get(f"/v3/rtspsessions/get/{session}")).json()["state"] == "publish"
        response = await api.post(f"/v3/rtspsessions/kick/{session}")
        assert (response.status_code, response.text) == (200, '{"status":"ok"}')
        await publisher.ended()
    await until(api, "/v3/paths/get/cam", {"ready": False})


async def test_three_segments(server: Any, api: httpx.AsyncClient) -> None:
    await add(api, "cam", record=True, recordPartDuration="250ms", recordSegmentDuration="2s")
    async with publishing(server, api, "cam", 15):
        files = await recorded(server, "cam", 3)
        await patch(api, "cam", record=False)
        await finished(files[2])
    for file in files:
        await decodes(file)
        assert (await packets(str(file)))[0][2], "a segment starts with a key frame"
    lengths = [await duration_s(file) for file in files]
    assert all(1.95 < length < 2.8 for length in lengths[:2])
    listed = (await api.get("/v3/recordings/get/cam")).json()["segments"]
    assert len(listed) == 3


VARYING = ("-vf", "select='if(lt(mod(t,2),1),not(mod(n,6)),1)'")


@pytest.mark.parametrize(("rate", "filters"), [(5, ()), (15, ()), (30, ()), (30, VARYING)])
async def test_a_recording_lasts_as_long_as_the_clock_says(
    server: Any, api: httpx.AsyncClient, rate: int, filters: tuple[str, ...]
) -> None:
    await add(api, "cam", record=True, recordPartDuration="250ms")
    async with publishing(server, api, "cam", rate, *filters):
        (file,) = await recorded(server, "cam")
        await anyio.sleep(3.5)
        before_s = anyio.current_time()
        await patch(api, "cam", record=False)
        await finished(file)
        wall = (file.stat().st_mtime - started(file)) - (anyio.current_time() - before_s)
    assert abs(await duration_s(file) - wall) < 0.3 + 1 / rate


def started(file: Path) -> float:
    """The start that the file's name says, in seconds of the epoch."""
    from datetime import datetime

    return datetime.strptime(file.stem, "%Y-%m-%d_%H-%M-%S-%f").astimezone().timestamp()


async def test_mpegts(server: Any, api: httpx.AsyncClient) -> None:
    await add(api, "cam", record=True, recordFormat="mpegts", recordPartDuration="250ms")
    async with publishing(server, api, "cam", 30):
        (file,) = await recorded(server, "cam")
        await anyio.sleep(2)
    await until(api, "/v3/paths/get/cam", {"ready": False})
    assert file.suffix == ".ts"
    assert (await packets(str(file)))[0][2]
    assert 1.5 < await duration_s(file) < 6


async def test_a_source_is_pulled(server: Any, api: httpx.AsyncClient, rtsp: Any) -> None:
    await add(api, "cam")
    async with publishing(server, api, "cam"):
        await add(api, "pulled", source=f"{server.rtsp_url}/cam", rtspTransport="tcp")
        path = await until(api, "/v3/paths/get/pulled", {"ready": True})
        assert path["source"] == {"type": "rtspSource", "id": ""}
        assert path["tracks"] == ["H264"]
        async with rtsp() as client:
            await client.play("pulled")
            with anyio.fail_after(10):
                assert isinstance(await client.packet(), Interleaved)
    await until(api, "/v3/paths/get/pulled", {"ready": False})


async def test_a_source_is_pulled_on_demand(server: Any, api: httpx.AsyncClient, rtsp: Any) -> None:
    await add(api, "cam")
    options = {"rtspTransport": "tcp", "sourceOnDemand": True, "sourceOnDemandCloseAfter": "300ms"}
    async with publishing(server, api, "cam"):
        await add(api, "pulled", source=f"{server.rtsp_url}/cam", **options)
        assert not (await api.get("/v3/paths/get/pulled")).json()["ready"]
        async with rtsp() as client:
            await client.play("pulled")
            await until(api, "/v3/paths/get/pulled", {"ready": True})
        await until(api, "/v3/paths/get/pulled", {"ready": False})


async def test_a_publisher_that_is_killed_leaves_a_whole_file(server: Any, api: httpx.AsyncClient) -> None:
    await add(api, "cam", record=True, recordPartDuration="250ms")
    async with child(publisher_argv(f"{server.rtsp_url}/cam")) as process:
        (file,) = await recorded(server, "cam")
        os.killpg(process.pid, signal.SIGKILL)
        await until(api, "/v3/paths/get/cam", {"ready": False})
    await finished(file)
    await decodes(file)


async def test_a_pattern_makes_paths_while_they_are_used(
    server: Any, api: httpx.AsyncClient, rtsp: Any
) -> None:
    assert (await api.post("/v3/config/paths/add/~%5Ecam(%5Cd%2B)$", json={})).status_code == 200
    async with rtsp() as publisher:
        with anyio.fail_after(5):
            while (await api.get("/v3/config/paths/list")).json()["itemCount"] == 0:
                await anyio.sleep(0.01)
        await publisher.publish("cam7")
        path = await until(api, "/v3/paths/get/cam7", {"ready": True})
        assert path["confName"] == "~^cam(\\d+)$"
    with anyio.fail_after(5):
        while (await api.get("/v3/paths/get/cam7")).status_code != 404:
            await anyio.sleep(0.01)
