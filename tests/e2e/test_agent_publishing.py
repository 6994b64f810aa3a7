"""Publishers that the agent runs itself: streams and recordings through them, and their faults."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import ffmpeg
from agent_core.testing.mediamtx import find_mediamtx, running_mediamtx
from tests.media_servers import running_server

from .conftest import AgentProcessFactory, descendants, is_running
from .media import Rig, decoded, gone, in_order, is_gapless, media_rig, next_event, publishers, read_stream
from .test_media_agent import call, client_of, configured

Observe = Callable[[str], None]
AGENT_RUN: dict[str, Any] = {
    "recordings": {"stall_s": 2, "start_timeout_s": 5},
    "media_server": {"start_timeout_s": 5, "publishers": "agent", "close_after_s": 2},
}
TOPICS = ["recording.error", "recording_status_update"]


@pytest.fixture
async def rig(server_kind: str, tmp_path: Path, observe: Observe) -> AsyncIterator[Rig]:
    async with media_rig(server_kind, tmp_path, observe, **AGENT_RUN) as rig:
        yield rig


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def segments(rig: Rig, recording: Any, count: int) -> None:
    """Wait for that many files with bytes in the last."""
    with anyio.fail_after(30):
        while len(found := rig.segments(recording)) < count or not found[-1].stat().st_size:
            await anyio.sleep(0.05)


async def test_a_stream_plays_and_its_publisher_is_known(rig: Rig) -> None:
    idle = await rig.call("get_stream_status")
    assert (idle["mode"], idle["mode_reason"]) == ("agent", "server_elsewhere")
    assert idle["ffmpeg_process"] == {"running": False}
    assert not (await rig.call("get_stream_url"))["available"]  # the server cannot ask the agent to publish
    started = await rig.call("start_streaming")
    assert is_gapless(await read_stream(started["stream_url"], frames=30))
    (publisher,) = publishers()
    assert parent(publisher) == os.getpid()
    status = await rig.call("get_stream_status")
    assert (status["status"], status["ready"]) == ("ACTIVE", True)
    process = status["ffmpeg_process"]
    assert (process["running"], process["pid"]) == (True, publisher)
    assert process["uptime"] > 0
    await rig.call("start_recording", wait=True)
    assert publishers() == [publisher]
    await rig.call("stop_streaming")
    recording = await rig.call("stop_recording")
    assert is_gapless([mark for each in rig.segments(recording) for mark in await decoded(each)])
    await gone([publisher], within_s=10)
    await rig.until("get_stream_status", ready=False, ffmpeg_process=idle["ffmpeg_process"])


async def test_it_is_kept_warm_for_the_next(rig: Rig) -> None:
    await rig.call("start_streaming")
    before = publishers()
    await rig.call("stop_streaming")
    assert publishers() == before
    await rig.call("start_streaming")
    assert publishers() == before


async def test_a_server_that_runs_publishers_says_so(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with media_rig(server_kind, tmp_path, observe) as rig:
        idle = await rig.call("get_stream_status")
        assert idle["ffmpeg_process"] == {"running": False}
        await rig.call("start_streaming")
        (publisher,) = publishers()
        status = await rig.call("get_stream_status")
        assert (status["mode"], status["mode_reason"]) == ("server", "server_on_this_host")
        assert (status["ffmpeg_process"]["running"], status["ffmpeg_process"]["pid"]) == (True, publisher)
        assert status["ffmpeg_process"]["uptime"] > 0
        await rig.call("stop_streaming")
        await rig.until("get_stream_status", ready=False, ffmpeg_process=idle["ffmpeg_process"])


async def test_a_killed_publisher_is_replaced_and_the_recording_goes_on(rig: Rig) -> None:
    started = await rig.call("start_recording", wait=True)
    await anyio.sleep(1)
    (publisher,) = publishers()
    os.kill(publisher, signal.SIGKILL)
    await segments(rig, started, 2)
    recording = await rig.call("stop_recording")
    assert publishers() != [publisher]
    assert in_order([await decoded(each) for each in rig.segments(recording)])


async def test_a_publisher_that_is_alive_and_silent_is_noticed_and_replaced(rig: Rig) -> None:
    async with rig.agent.client() as watcher, watcher.subscribe(TOPICS) as events:
        started = await rig.call("start_recording", wait=True)
        await anyio.sleep(1)
        (publisher,) = publishers()
        os.kill(publisher, signal.SIGSTOP)
        await next_event(events, "recording.error", filename=started["filename"])
        await gone([publisher], within_s=10)
        await segments(rig, started, 2)
    recording = await rig.call("stop_recording")
    assert in_order([await decoded(each) for each in rig.segments(recording)])


async def test_a_camera_that_vanishes_and_comes_back(rig: Rig) -> None:
    async with rig.agent.client() as watcher, watcher.subscribe(TOPICS) as events:
        started = await rig.call("start_recording", wait=True)
        await rig.call("start_streaming")
        before = publishers()
        await rig.fault("vanish")
        await gone(before, within_s=8)
        await next_event(events, "recording.error", filename=started["filename"])
        await anyio.sleep(3)
        assert publishers() == []  # there is nothing to publish
        await rig.fault("vanish", enabled=False)
        await segments(rig, started, 2)
    recording = await rig.call("stop_recording")
    assert recording["filename"] == started["filename"]
    assert in_order([await decoded(each) for each in rig.segments(recording)])


async def test_a_path_that_was_made_for_the_servers_own_publisher_is_changed(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with running_server(server_kind, tmp_path / "media_server") as server:
        async with MediaServerClient(server.api_url) as client:
            await client.add_path("camera0", PathConf(source="publisher", run_on_demand="sleep 60"))
            async with media_rig(server_kind, tmp_path, observe, server=server, **AGENT_RUN) as rig:
                await rig.call("start_streaming")
                conf = await client.path_config("camera0")
                assert conf is not None
                assert conf.run_on_demand == ""
                path = await client.path("camera0")
                assert path is not None
                assert path.live


async def test_a_killed_agent_leaves_no_publisher(
    server_kind: str, tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    async with configured(server_kind, tmp_path) as config:
        before, section, after = config.rpartition("[media_server]\n")
        agent_run = f'{before}{section or "[media_server]"}\npublishers = "agent"\n{after}'
        async with agent_process(agent_run) as agent:
            async with client_of(agent) as client:
                await call(client, "start_streaming", device="camera0")
                process = (await call(client, "get_stream_status", device="camera0"))["ffmpeg_process"]
                assert process["pid"] in descendants(agent.pid)
                assert is_running(process["pid"])
            await agent.end(signal.SIGKILL)
            await gone([process["pid"]], within_s=5)


async def test_a_publisher_that_cannot_work_is_no_storm(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    spawned, broken, program = tmp_path / "spawned", tmp_path / "broken", tmp_path / "ffmpeg"
    broken.touch()
    refuse = f'case "$*" in *rtsp://*) echo >> {spawned}; test -e {broken} && exit 1;; esac'
    program.write_text(f'#!/bin/sh\n{refuse}\nexec {ffmpeg.locate()} "$@"\n')
    program.chmod(0o755)
    own: dict[str, Any] = {"ffmpeg": {"program": str(program)}}
    async with media_rig(server_kind, tmp_path, observe, **AGENT_RUN, **own) as rig:
        began_s = anyio.current_time()
        started = await rig.call("start_recording")
        while anyio.current_time() - began_s < 5:  # spawned after 0, 0.5, 1.5 and 3.5 s
            assert (await rig.refused("start_streaming")).reason == "ffmpeg_failed"
            await anyio.sleep(0.05)
        assert 2 <= len(spawned.read_text()) <= 4
        broken.unlink()
        await segments(rig, started, 1)
        await rig.call("start_streaming")


@pytest.mark.real_mediamtx
@pytest.mark.parametrize("which", ["path", "wheel"])
async def test_a_server_that_wants_a_password_to_publish(
    which: str, tmp_path: Path, observe: Observe
) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    anybody = {"user": "any", "permissions": [{"action": "api"}, {"action": "read"}]}
    publishing = {"user": "me", "pass": "secret", "permissions": [{"action": "publish"}]}
    folder = tmp_path / "media_server"
    folder.mkdir()
    users = {"authInternalUsers": [anybody, publishing]}
    async with running_mediamtx(program, folder, settings=users) as server:
        own: dict[str, Any] = {
            "ffmpeg": {"program": ffmpeg.bundled() if which == "wheel" else ffmpeg.locate()}
        }
        async with media_rig("mediamtx", tmp_path, observe, server=server, **AGENT_RUN, **own) as rig:
            error = await rig.refused("start_streaming")
    assert (error.code, error.reason) == (-32030, "publish_needs_credentials")
    assert error.data["feature"] == "publisher_credentials"
