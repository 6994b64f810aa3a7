"""Events over a break: asked for again, each once, in order, and what is lost is told."""

from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed, Event, EventStream, Reconnect

if TYPE_CHECKING:
    from tests.client.conftest import ScriptedAgent

#: Most of them talk to servers that answer what a test wants.
pytestmark = pytest.mark.other_server


SOON = Reconnect(first_pause_s=0.01, longest_pause_s=0.05)


async def following(events: EventStream) -> Event:
    with anyio.fail_after(20):
        return await anext(events)


async def numbers(events: EventStream, count: int) -> list[tuple[str, int | None]]:
    return [(event.topic, event.sequence) for event in [await following(events) for _ in range(count)]]


async def test_missed_events_are_asked_for_and_delivered_once(scripted: "ScriptedAgent") -> None:
    """The break comes between the two notifications of event 12."""
    both = ["camera.connected", "camera.status_change"]
    async with AgentClient(scripted.url, reconnect=SOON) as agent, agent.subscribe(both) as events:
        for topic, number in [(both[0], 11), (both[1], 11), (both[0], 12)]:
            await scripted.tell(topic, sequence=number)
        scripted.later = [(topic, {"sequence": number}) for number in (12, 13) for topic in both]
        assert await numbers(events, 3) == [(both[0], 11), (both[1], 11), (both[0], 12)]
        await scripted.break_off()
        assert await numbers(events, 3) == [(both[1], 12), (both[0], 13), (both[1], 13)]
        await scripted.tell(both[0], sequence=14)
        assert await numbers(events, 1) == [(both[0], 14)]
    assert scripted.asked[1]["replay_since"] == {"boot_id": "first", "sequence": 11}
    assert scripted.asked[1]["topics"] == both


async def test_a_stream_gets_no_events_from_before_its_subscription(scripted: "ScriptedAgent") -> None:
    """Without any event received, the number in the answer is where the replay begins."""
    async with (
        AgentClient(scripted.url, reconnect=SOON) as agent,
        agent.subscribe(["snapshot.taken"]) as early,
    ):
        await scripted.tell("snapshot.taken", sequence=11)
        assert await numbers(early, 1) == [("snapshot.taken", 11)]
        scripted.sequence = 15
        async with agent.subscribe(["camera.connected"]) as late:
            scripted.later = [("camera.connected", {"sequence": n}) for n in (12, 15, 16)]
            await scripted.break_off()
            assert await numbers(late, 1) == [("camera.connected", 16)]
    assert scripted.asked[2]["replay_since"] == {"boot_id": "first", "sequence": 10}


async def test_another_start_of_the_agent_is_told_and_numbers_begin_again(scripted: "ScriptedAgent") -> None:
    async with (
        AgentClient(scripted.url, reconnect=SOON) as agent,
        agent.subscribe(["snapshot.taken"]) as events,
    ):
        await scripted.tell("snapshot.taken", sequence=11)
        await following(events)
        scripted.boot_id, scripted.sequence = "second", 3
        lost = {"sequence": 1, "count": 1, "reason": "agent_restarted", "boot_id": "second", "after": 0}
        scripted.later = [("system.events_dropped", lost), ("snapshot.taken", {"sequence": 2})]
        await scripted.break_off()
        assert await following(events) == Event("system.events_dropped", lost)
        assert await numbers(events, 1) == [("snapshot.taken", 2)]
        scripted.later = []
        await scripted.break_off()
        with anyio.fail_after(20):
            while len(scripted.asked) < 3:
                await anyio.sleep(0.005)
    assert scripted.asked[2]["replay_since"] == {"boot_id": "second", "sequence": 1}


async def test_an_agent_that_keeps_no_events_is_told_as_a_gap(scripted: "ScriptedAgent") -> None:
    scripted.boot_id = None
    async with (
        AgentClient(scripted.url, reconnect=SOON) as agent,
        agent.subscribe(["snapshot.taken"]) as events,
    ):
        await scripted.break_off()
        assert await following(events) == Event("system.events_dropped", {"count": 0, "reason": "not_kept"})
        await scripted.tell("snapshot.taken", device="camera0")
        assert (await following(events)).params == {"device": "camera0"}
    assert "replay_since" not in scripted.asked[1]


async def test_a_topic_that_is_gone_ends_its_streams_only(scripted: "ScriptedAgent") -> None:
    """As after the restart of an agent without the plugin of the topic."""
    async with (
        AgentClient(scripted.url, reconnect=SOON) as agent,
        agent.subscribe(["drone.landed"]) as gone,
        agent.subscribe(["snapshot.taken"]) as events,
    ):
        scripted.refused_topics = {"drone.landed"}
        scripted.later = [("snapshot.taken", {"sequence": 11})]
        await scripted.break_off()
        assert await numbers(events, 1) == [("snapshot.taken", 11)]
        with pytest.raises(CallFailed, match=r"drone\.landed"):
            await following(gone)


async def test_streams_of_one_camera_ask_for_that_camera(scripted: "ScriptedAgent") -> None:
    async with AgentClient(scripted.url, reconnect=SOON) as agent:
        async with (
            agent.subscribe(["snapshot.taken"], "camera1"),
            agent.subscribe(["camera.connected"], "camera1"),
        ):
            await scripted.break_off()
            with anyio.fail_after(20):
                while len(scripted.asked) < 3:
                    await anyio.sleep(0.005)
    again = scripted.asked[2]
    assert (again["topics"], again["filters"]) == (
        ["camera.connected", "snapshot.taken"],
        {"device": "camera1"},
    )
