"""Events over a break: asked for again, each once, in order, and what is lost is told."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed, Event, EventStream, Reconnect
from agent_core.client.events import EVENTS_DROPPED
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.client.conftest import Network, ScriptedAgent

Between = Callable[[str], AbstractAsyncContextManager["Network"]]

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


async def test_what_came_while_no_stream_was_open_is_not_asked_for(scripted: "ScriptedAgent") -> None:
    """The agent may not have it any more, and would tell so."""
    async with AgentClient(scripted.url, reconnect=SOON) as agent:
        async with agent.subscribe(["snapshot.taken"]) as events:
            await scripted.tell("snapshot.taken", sequence=11)
            await following(events)
        scripted.sequence = 5000
        async with agent.subscribe(["snapshot.taken"]) as events:
            scripted.later = [("snapshot.taken", {"sequence": 5001})]
            await scripted.break_off()
            assert await numbers(events, 1) == [("snapshot.taken", 5001)]
            scripted.later = [("snapshot.taken", {"sequence": n}) for n in (5001, 5002)]
            await scripted.break_off()
            assert await numbers(events, 1) == [("snapshot.taken", 5002)]
    asked = [each["replay_since"]["sequence"] for each in scripted.asked if "replay_since" in each]
    assert asked == [5000, 5000]


async def test_a_loss_from_before_a_stream_is_not_told_to_it(scripted: "ScriptedAgent") -> None:
    async with (
        AgentClient(scripted.url, reconnect=SOON) as agent,
        agent.subscribe(["snapshot.taken"]) as early,
    ):
        scripted.sequence = 5000
        async with agent.subscribe(["camera.connected"]) as late:
            lost = {"sequence": 4000, "count": 3990, "reason": "journal_overflow", "after": 10}
            more = {**lost, "sequence": 5002, "count": 1, "after": 5001}
            scripted.later = [("system.events_dropped", each) for each in (lost, more)]
            await scripted.break_off()
            assert await numbers(early, 2) == [(EVENTS_DROPPED, 4000), (EVENTS_DROPPED, 5002)]
            assert await numbers(late, 1) == [(EVENTS_DROPPED, 5002)]


async def test_an_overflow_of_the_journal_while_no_stream_was_open_is_no_loss(network: Between) -> None:
    config = {
        "server": {"event_journal_bytes": 20_000},
        "plugins": {
            "enabled": ["virtual_camera"],
            "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}]},
        },
    }
    async with running_agent(config=config) as agent, network(agent.url) as between:
        bus = agent.parts.events
        async with AgentClient(between.url, agent.token("operator"), reconnect=SOON) as client:

            async def change(value: int) -> None:
                await client.set_camera_controls("camera0", controls={"brightness": value})

            async with client.subscribe(["camera.controls"]) as events:
                await change(1)
                await following(events)
            for value in range(30):
                await change(value)
            (kept,) = [each for each in agent.parts.metrics if each.name.endswith("journal_events")]
            assert kept.read() in range(1, 30), "the journal must have dropped events"
            async with client.subscribe(["camera.controls"]) as events:
                between.break_off()
                await between.attempted(2)
                with anyio.fail_after(20):
                    await client.wait_connected()
                before = bus.published
                await change(33)
                event = await following(events)
                assert event.topic == "camera.controls"
                assert event.sequence is not None
                assert event.sequence > before


async def test_events_of_a_camera_that_was_removed_meanwhile_are_replayed(network: Between) -> None:
    """The break comes before the camera, so that its whole life is in the replay; then all streams want a camera that is gone."""
    config = {"plugins": {"enabled": ["external_discovery"], "external_discovery": {"probe_timeout_s": 0.2}}}
    topics = ["camera.connected", "camera.disconnected", "camera.status_change"]
    stream = {"stream_url": "rtsp://192.0.2.10/live", "stream_name": "Yard", "verify": False}
    async with (
        running_agent(config=config) as agent,
        network(agent.url) as between,
        agent.client("operator") as other,
        AgentClient(between.url, agent.token("viewer"), reconnect=SOON) as client,
    ):
        device = (await other.call("add_external_stream", **stream))["device"]
        async with client.subscribe(topics, device) as of_one, client.subscribe(topics) as of_all:
            between.stall()
            await other.call("remove_external_stream", stream_url=stream["stream_url"])
            assert (await other.call("get_camera_list"))["total"] == 0
            for number in (2, 3):
                between.break_off()
                await between.attempted(number)
                with anyio.fail_after(20):
                    await client.wait_connected()
            for events in (of_one, of_all):
                told = [await following(events) for _ in range(2)]
                assert {each.topic for each in told} <= {*topics}
                assert [each.params["device"] for each in told] == [device] * 2
                assert told[-1].params["status"] == "DISCONNECTED"
            await other.call("add_external_stream", **{**stream, "stream_name": "Gate"})
            while (await following(of_all)).params["name"] != "Gate":
                pass


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
