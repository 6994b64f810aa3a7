"""The bridge's own session: no event is missed and none comes twice, whatever becomes of the session."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from agent_core.testing import FakeSessions, SimulatedClock
from mqtt_bridge.agent_link import AgentLink
from mqtt_bridge.link import EVENTS_DROPPED, AgentEvent, CallRefused

from .journal_sessions import JournalSessions, Refusal


class Kept:
    def __init__(self, *topics: str) -> None:
        self.topics: Sequence[str] = topics
        self.events: list[AgentEvent] = []

    def take(self, event: AgentEvent) -> None:
        self.events.append(event)

    @property
    def places(self) -> list[tuple[int, str]]:
        return [(each.sequence, each.topic) for each in self.events]


@asynccontextmanager
async def linked(
    sessions: JournalSessions, kept: Kept | None, clock: SimulatedClock, role: str = "viewer"
) -> AsyncIterator[AgentLink]:
    link = AgentLink(sessions, role, clock)
    if kept is not None:
        link.listen(kept)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        with anyio.fail_after(20):
            yield link
        tasks.cancel_scope.cancel()


async def test_events_since_the_agents_start_arrive_though_the_link_begins_later() -> None:
    sessions, kept = JournalSessions(), Kept("camera.connected", "system.startup")
    await sessions.publish("camera.connected", device="camera0")
    await sessions.publish("system.startup")
    async with linked(sessions, kept, SimulatedClock()) as link:
        assert await link.followed() == "boot-1"
        await sessions.publish("camera.connected", device="camera1")
    assert kept.places == [(1, "camera.connected"), (2, "system.startup"), (3, "camera.connected")]
    assert [each.boot_id for each in kept.events] == ["boot-1"] * 3
    assert kept.events[2].params["device"] == "camera1"


async def test_an_end_between_the_notifications_of_one_event_loses_neither_and_repeats_neither() -> None:
    sessions, clock = JournalSessions(), SimulatedClock()
    kept = Kept("camera.connected", "camera.status_change")
    async with linked(sessions, kept, clock) as link:
        await link.followed()
        await sessions.publish("camera.connected")
        sessions.events.append((1, "camera.status_change", {"sequence": 1}))
        sessions.end_sessions()
        await anyio.wait_all_tasks_blocked()
        await sessions.publish("camera.connected")
        await clock.advance(1)
        await link.followed()
        await sessions.publish("camera.connected")
    assert kept.places == [
        (1, "camera.connected"),
        (1, "camera.status_change"),
        (2, "camera.connected"),
        (3, "camera.connected"),
    ]


async def test_events_that_the_session_has_dropped_come_from_the_journal_in_their_order() -> None:
    sessions, kept = JournalSessions(), Kept("camera.connected")
    async with linked(sessions, kept, SimulatedClock()) as link:
        await link.followed()
        await sessions.publish("camera.connected")
        await sessions.publish("camera.connected", drop=True)
        await sessions.publish("camera.connected", drop=True)
        await sessions.tell_dropped("slow_reader", 1, 3)
        await sessions.publish("camera.connected")
        await anyio.wait_all_tasks_blocked()
        await sessions.publish("camera.connected")
    assert [number for number, _ in kept.places] == [1, 2, 3, 4, 5]


async def test_events_that_the_journal_no_longer_has_are_told_in_their_place() -> None:
    sessions, clock, kept = JournalSessions(), SimulatedClock(), Kept("camera.connected")
    async with linked(sessions, kept, clock) as link:
        await link.followed()
        await sessions.publish("camera.connected")
        sessions.end_sessions()
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            await sessions.publish("camera.connected")
        sessions.oldest = 5
        await clock.advance(1)
        await link.followed()
        await anyio.wait_all_tasks_blocked()
    assert kept.places == [
        (1, "camera.connected"),
        (4, EVENTS_DROPPED),
        (5, "camera.connected"),
        (6, "camera.connected"),
    ]
    notice = kept.events[1].params
    assert (notice["after"], notice["count"], notice["reason"]) == (1, 3, "journal_overflow")


async def test_a_flow_of_events_over_many_ends_of_sessions_arrives_whole() -> None:
    sessions, clock, kept = JournalSessions(), SimulatedClock(), Kept("camera.connected", "recording.start")
    async with linked(sessions, kept, clock) as link:
        for number in range(300):
            await sessions.publish("camera.connected" if number % 2 else "recording.start")
            if number % 7 == 0:
                sessions.end_sessions()
            if number % 5 == 0:
                await clock.advance(31)
            for _ in range(number % 4):
                await checkpoint()
        await clock.advance(60)
        await link.followed()
        await anyio.wait_all_tasks_blocked()
    assert [number for number, _ in kept.places] == list(range(1, 301))


async def test_a_topic_that_does_not_exist_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    sessions, kept = JournalSessions(), Kept("camera.connected", "drone.landed")
    async with linked(sessions, kept, SimulatedClock()) as link:
        await link.followed()
        await sessions.publish("camera.connected")
    assert kept.places == [(1, "camera.connected")]
    assert "there is no topic drone.landed" in caplog.text


async def test_a_refused_call_tells_code_reason_and_details() -> None:
    sessions = JournalSessions()

    def refuse(_params: object) -> object:
        raise Refusal(-32010, "camera_not_found")

    sessions.answers = {"get_camera_status": refuse, "get_status": lambda params: {"got": params}}
    async with linked(sessions, None, SimulatedClock(), role="admin") as link:
        with pytest.raises(CallRefused, match="Refused: camera_not_found") as refused:
            await link.call("get_camera_status", {"device": "camera7"})
        assert await link.call("get_status", {"a": 1}) == {"got": {"a": 1}}
    assert (refused.value.code, refused.value.reason) == (-32010, "camera_not_found")
    assert sessions.called == [("admin", "get_camera_status"), ("admin", "get_status")]


async def test_a_call_without_an_answer_ends_with_its_session_and_the_next_one_works() -> None:
    sessions, clock = JournalSessions(), SimulatedClock()
    sessions.answers = {"get_status": lambda _: NotImplemented, "ping": lambda _: "pong"}
    async with linked(sessions, None, clock) as link:

        async def ask() -> None:
            with pytest.raises(CallRefused, match="session with the agent ended") as ended:
                await link.call("get_status")
            assert ended.value.reason == "session_ended"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            sessions.end_sessions()
        async with anyio.create_task_group() as tasks:
            answers: list[object] = []

            async def ask_again() -> None:
                answers.append(await link.call("ping"))

            tasks.start_soon(ask_again)  # it waits for the next session
            await clock.advance(1)
    assert answers == ["pong"]


@pytest.mark.parametrize("ends", [False, True])
async def test_bursts_larger_than_the_queue_of_the_agents_sessions_arrive_whole(ends: bool) -> None:
    clock = SimulatedClock()
    sessions = FakeSessions(clock, max_queued_events=16)
    for _ in range(40):
        sessions.publish("camera.connected", {"device": "camera0"})
    kept, link = Kept("camera.connected"), AgentLink(sessions, "viewer", clock)
    link.listen(kept)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        with anyio.fail_after(20):
            assert await link.followed() == sessions.boot_id
            for burst in range(12):
                for _ in range(5 * burst):
                    sessions.publish("camera.connected", {"device": "camera0"})
                if ends and burst % 3 == 0:
                    sessions.end_sessions()
                    await clock.advance(31)
                for _ in range(burst % 4):
                    await checkpoint()
            await clock.advance(60)
        tasks.cancel_scope.cancel()
    assert [number for number, _ in kept.places] == list(range(1, 40 + 5 * 66 + 1))
    assert {topic for _, topic in kept.places} == {"camera.connected"}
