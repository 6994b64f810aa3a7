"""Recordings that an agent left which was killed or stopped: gone on with, ended on time, or closed."""

import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.base.models import CameraId
from agent_core.client import AgentClient
from agent_core.recordings.models import RecordingFormat
from agent_core.recordings.store import RecordingStore

from .conftest import AgentProcessFactory
from .media import EMBEDDED_CONFIG, next_event


async def info(client: AgentClient, recording: str) -> dict[str, Any]:
    told: dict[str, Any] = await client.call("get_recording_info", filename=recording)
    return told


async def complete(client: AgentClient, recording: str) -> dict[str, Any]:
    with anyio.fail_after(60):
        while not (told := await info(client, recording))["complete"]:
            await anyio.sleep(0.1)
    return told


@pytest.mark.timeout(150)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_deadline_survives_the_agent(
    agent_process: AgentProcessFactory, number: signal.Signals
) -> None:
    async with agent_process(EMBEDDED_CONFIG) as agent:
        async with agent.client() as client, client.subscribe(["recording_status_update"]) as events:
            with anyio.fail_after(30):
                while not (await client.call("get_camera_list"))["cameras"][0]["served"]:
                    await anyio.sleep(0.05)
            started = await client.call("start_recording", device="camera0", duration=30, wait=True)
            await anyio.sleep(8)  # were it counted anew, 38 s and the agent's start would come of it
            agent.process.send_signal(number)
            if number is signal.SIGTERM:
                told = await next_event(events, "recording_status_update", status="SUSPENDED")
                assert (told["filename"], told["reason"]) == (started["filename"], "agent_stopping")
        with anyio.fail_after(20):
            await agent.process.wait()
        (agent.folder / "state" / "endpoint.json").unlink(missing_ok=True)
    async with agent_process(EMBEDDED_CONFIG) as agent, agent.client() as client:
        told = await complete(client, started["filename"])
        assert told["duration"] <= 34
        assert len(told["segments"]) == 2
        assert told.get("reason") is None
        listed = await client.call("list_recordings")
    assert [each["filename"] for each in listed["files"]] == [started["filename"]]


def left_behind(folder: Path, *ages: timedelta, duration_s: float | None) -> list[str]:
    """Notes of recordings that were never ended."""
    store = RecordingStore(folder / "state" / "recordings")
    now = datetime.now(UTC)
    camera = CameraId("camera0")
    notes = [store.create(camera, RecordingFormat.FMP4, now - age, duration_s) for age in ages]
    for note in notes:
        (store.folder(note) / "2026-11-22_00-00-00-000000.mp4").write_bytes(b"media")
    return [note.id for note in notes]


async def test_what_is_over_and_what_is_older_is_closed(
    agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    (tmp_path / "agent").mkdir()
    ids = left_behind(tmp_path / "agent", timedelta(hours=2), timedelta(hours=1), duration_s=60)
    async with agent_process(EMBEDDED_CONFIG) as agent, agent.client() as client:
        for recording in ids:
            assert (await complete(client, recording))["reason"] == "interrupted"
        assert not (await client.call("get_camera_list"))["cameras"][0]["is_recording"]
    note = tmp_path / "agent" / "state" / "recordings" / "camera0" / ids[0] / "recording.json"
    assert json.loads(note.read_text())["ended_at"]
