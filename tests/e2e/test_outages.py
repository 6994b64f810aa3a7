"""An outage of a camera as the subscribers of each topic see it: its beginning, and its end."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_core.client import EventStream

from .media import Rig, media_rig, next_event

QUICK: dict[str, Any] = {
    "recordings": {"stall_s": 2, "start_timeout_s": 5},
    "media_server": {"start_timeout_s": 3},
}


@asynccontextmanager
async def watched(rig: Rig, topics: Sequence[str]) -> AsyncIterator[dict[str, EventStream]]:
    """Subscribe to each of `topics` on a connection of its own: none must depend on another one's subscription."""
    async with AsyncExitStack() as stack:
        streams = {}
        for topic in topics:
            client = await stack.enter_async_context(rig.agent.client())
            streams[topic] = await stack.enter_async_context(client.subscribe([topic]))
        yield streams


async def test_an_unplug_and_a_replug_are_changes_of_status(
    tmp_path: Path, observe: Callable[[str], None]
) -> None:
    topics = ("camera.status_change", "camera_status_update")
    async with media_rig("embedded", tmp_path, observe) as rig, watched(rig, topics) as events:
        await rig.fault("vanish")
        gone = [await next_event(events[topic], topic) for topic in topics]
        await rig.fault("vanish", enabled=False)
        back = [await next_event(events[topic], topic) for topic in topics]
    assert [each["status"] for each in gone] == ["DISCONNECTED"] * 2
    assert all(each["problem"] for each in gone)
    assert [each["status"] for each in back] == ["CONNECTED"] * 2
    assert not any(each["problem"] for each in back)


@pytest.mark.parametrize("fault", ["stall", "corrupt"])
async def test_a_camera_that_stops_delivering_fails_until_it_delivers_again(
    server_kind: str, tmp_path: Path, observe: Callable[[str], None], fault: str
) -> None:
    topics = ("camera.status_change", "recording.error", "recording.start")
    async with media_rig(server_kind, tmp_path, observe, **QUICK) as rig, watched(rig, topics) as events:
        started = await rig.call("start_recording", wait=True)
        first = await next_event(events["recording.start"], "recording.start")
        await rig.fault(fault)
        failed = await next_event(events["camera.status_change"], "camera.status_change")
        assert (failed["device"], failed["status"]) == ("camera0", "ERROR")
        assert failed["problem"]
        assert (await rig.call("get_camera_status"))["status"] == "ERROR"
        await next_event(events["recording.error"], "recording.error", filename=started["filename"])
        await rig.fault(fault, enabled=False)
        works = await next_event(events["camera.status_change"], "camera.status_change", status="CONNECTED")
        recovered = await next_event(events["recording.start"], "recording.start")
        assert works["problem"] == ""
        assert recovered["filename"] == first["filename"] == started["filename"]
        assert "reason" not in first
        assert (recovered["status"], recovered["reason"]) == ("STARTED", "recovered")
        await rig.call("stop_recording")
