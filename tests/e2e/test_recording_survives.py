"""Recordings over a media server that breaks: each fault of the server in each rig that can have it."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import EventStream
from agent_core.media.fmp4 import Fmp4Reader

from .conftest import AgentProcessFactory
from .media import LOST, decoded, decoded_torn, in_order
from .server_rigs import Fault, Scene, external, inside, managed, until_recorded

Observe = Callable[[str], None]
TOPICS = ["recording.error", "recording_status_update"]
#: From the server's return to the first new file: the issue allows 2 s once the API answers. Found are 1.4 s, of which up
#: to a second is the pause between probes; on two cores with 25 processes waiting for them, 3.5 s.
FILE_LIMIT_S = 6.0

#: Faults that last longer than the agent's pause between two looks. Publishers are gone at once if they write at that moment.
NOTICED = (Fault.KILLED_8_S, Fault.HUNG, Fault.FAILED)

#: Each line is a fault and a rig; a server beside the agent is of either kind.
TABLE = (
    *(
        (fault, f"external, {publishers} publishes", kind)
        for fault in (Fault.KILLED, Fault.KILLED_8_S, Fault.KILLED_LONG)
        for publishers in ("server", "agent")
        for kind in ("embedded", "mediamtx")
    ),
    (Fault.KILLED, "managed", "mediamtx"),
    (Fault.HUNG, "managed", "mediamtx"),
    (Fault.FAILED, "inside", "embedded"),
)
CELLS = [
    pytest.param(
        fault,
        rig,
        kind,
        marks=[pytest.mark.real_mediamtx] if kind == "mediamtx" else [],
        id=f"{fault.value}-{rig}-{kind}",
    )
    for fault, rig, kind in TABLE
]


def opened(
    rig: str, kind: str, fault: Fault, folder: Path, observe: Observe, agent_process: AgentProcessFactory
) -> AbstractAsyncContextManager[Scene]:
    if rig == "managed":
        return managed(agent_process, fault)
    if rig == "inside":
        return inside(folder, observe)
    return external(kind, folder, observe, "agent" if "agent" in rig else "server", fault)


async def told(events: EventStream, filename: str, *, is_long: bool) -> None:
    """Wait until clients are told that the recording has failed, then that it records.

    A recording does not fail if its server is back before the next look at it: then clients are told nothing.
    """
    failed: set[object] = set()
    with anyio.move_on_after(30 if is_long else 8) as waiting:
        async for event in events:
            if event.params.get("filename") != filename:
                continue
            if event.topic == "recording.error":
                assert event.params["reason"]
                failed.add(event.topic)
            elif event.params["status"] == "ERROR":
                failed.add("ERROR")
            elif failed and event.params["status"] == "RECORDING":
                assert failed == {"recording.error", "ERROR"}
                return
            if failed:
                waiting.deadline = anyio.current_time() + 30
    assert not failed, "clients were not told of the recovery"
    assert not is_long, "clients were not told of the outage"


async def new_file(scene: Scene, recording: Any) -> None:
    """Wait until the recording has a second file."""
    with anyio.fail_after(30):
        while len(scene.segments(recording)) < 2:
            await anyio.sleep(0.05)


async def pictures(scene: Scene, recording: Any) -> None:
    """Wait until the recording's newest file has pictures."""
    with anyio.fail_after(30):
        while not Fmp4Reader(scene.segments(recording)[-1]).update().has_media:
            await anyio.sleep(0.05)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("fault", "rig", "server_kind"), CELLS, indirect=["server_kind"])
async def test_a_recording_survives_its_media_server(
    fault: Fault,
    rig: str,
    server_kind: str,
    tmp_path: Path,
    observe: Observe,
    agent_process: AgentProcessFactory,
    record_property: Callable[[str, object], None],
) -> None:
    async with opened(rig, server_kind, fault, tmp_path, observe, agent_process) as scene:
        async with scene.client.subscribe(TOPICS) as events:
            started = await scene.call("start_recording", wait=True)
            assert started["status"] == "RECORDING"
            await anyio.sleep(LOST.total_seconds() + 1)
            broken_at = datetime.now(UTC)
            await scene.break_it(fault)
            async with scene.back() as again:
                began_s = time.monotonic()
                if again is not None:
                    record_property("repaired_s", await until_recorded(again))
                await new_file(scene, started)
                recorded_s = time.monotonic() - began_s
                record_property("recorded_s", recorded_s)
                assert again is None or recorded_s <= FILE_LIMIT_S
                await told(events, started["filename"], is_long=fault in NOTICED)
                await pictures(scene, started)
                await scene.check()
                stopped = await scene.call("stop_recording")
        assert stopped["filename"] == started["filename"]
        assert scene.files in (None, len(stopped["segments"]))
        first, *new = scene.segments(stopped)
        assert scene.files in (None, len(new) + 1)
        torn = fault in (Fault.KILLED, Fault.KILLED_8_S) and scene.files is None
        parts = [await (decoded_torn if torn else decoded)(first), *[await decoded(each) for each in new]]
    assert all(parts)
    assert parts[0][-1].drawn_at >= broken_at - LOST
    assert in_order(parts)
