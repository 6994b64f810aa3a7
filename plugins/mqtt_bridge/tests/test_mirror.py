"""Mirror of a stand-in agent: what it shows, when it reads, and what it forgets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from agent_core.plugin import DependencyFailed
from agent_core.testing import FakeSessions, SimulatedClock
from mqtt_bridge.agent_link import AgentLink
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.retained import RetainedTopics
from mqtt_bridge.link import EVENTS_DROPPED, AgentEvent
from mqtt_bridge.state.documents import AgentFacts
from mqtt_bridge.state.mirror import StateMirror, StatePace
from mqtt_bridge.state.told import NewestPicture, ToldFacts
from mqtt_bridge.state.view import AgentReader
from mqtt_bridge.topics import AgentTopics

from .boxes import Box

TOPICS = AgentTopics("camera-agent", "box")


@dataclass
class KeptBroker:
    """Broker that keeps retained messages."""

    packet_bytes: int = 1 << 20
    kept: dict[str, Any] = field(default_factory=dict)
    messages: list[Outgoing] = field(default_factory=list)

    async def publish(self, message: Outgoing) -> None:
        self.messages.append(message)
        await checkpoint()
        topic = message.topic.removeprefix("camera-agent/box/")
        if message.payload and topic != "status":
            self.kept[topic] = json.loads(message.payload)
        else:
            self.kept.pop(topic, None)


@dataclass
class Rig:
    box: Box
    mirror: StateMirror
    broker: KeptBroker
    clock: SimulatedClock

    @property
    def readings(self) -> int:
        return sum(each.method == "get_camera_list" for each in self.box.sessions.calls)


@asynccontextmanager
async def mirrored(box: Box, clock: SimulatedClock) -> AsyncIterator[Rig]:
    retained = RetainedTopics(clock, birth=Outgoing(TOPICS.status, b"online"))
    calls = AgentLink(box.sessions, "viewer", clock)
    admin = AgentLink(box.sessions, "admin", clock)
    facts = AgentFacts("box", "Box", {"site": "north"}, {"calls": True})
    mirror = StateMirror(
        TOPICS,
        facts,
        AgentReader(calls, admin),
        retained,
        told=ToldFacts(),
        qos=1,
        clock=clock,
        pace=StatePace(min_interval_s=2, refresh_s=60),
    )
    calls.listen(mirror)
    broker = KeptBroker()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(calls.run)
        tasks.start_soon(admin.run)
        with anyio.fail_after(20):
            await tasks.start(mirror.run, await calls.followed())
            tasks.start_soon(retained.online, broker)
            await anyio.wait_all_tasks_blocked()
            yield Rig(box, mirror, broker, clock)
        tasks.cancel_scope.cancel()


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def box(clock: SimulatedClock) -> Box:
    return Box(FakeSessions(clock))


async def test_everything_is_shown_before_the_birth(box: Box, clock: SimulatedClock) -> None:
    async with mirrored(box, clock) as rig:
        *state, birth = rig.broker.messages
        assert birth.payload == b"online"
        assert {(each.qos, each.retain, each.content_type) for each in state} == {
            (1, True, "application/json")
        }
        assert rig.broker.kept == {
            "state/agent": {
                "agent": "box",
                "name": "Box",
                "version": "0.1.0",
                "contract_version": "1.0",
                "boot_id": box.sessions.boot_id,
                "started_at": "2026-11-22T00:00:00.000Z",
                "labels": {"site": "north"},
                "host": {
                    "name": rig.broker.kept["state/agent"]["host"]["name"],
                    "architecture": "x86_64",
                    "python_version": "3.11.2",
                },
                "capabilities": ["events"],
                "plugins": ["mqtt_bridge"],
                "limits": {"calls": True},
            },
            "state/health": {
                "status": "HEALTHY",
                "readiness": "ready",
                "problems": [],
                "components": {"mqtt_bridge": "RUNNING"},
                "active_recordings": 0,
                "cpu_percent": 5.0,
                "memory_percent": 30.0,
                "disk_percent": None,
                "load_average": None,
                "disk_free_bytes": 400,
                "disk_total_bytes": 1000,
                "disk_low": False,
                "disk_hours_left": 7.5,
                "tiers": [{"name": "frames", "rank": 0, "count": 3, "p50_ms": 12.5, "p95_ms": 20.0}],
            },
            "state/cameras/camera0": {
                "device": "camera0",
                "name": "camera0",
                "status": "CONNECTED",
                "newest_picture_at": None,
                "newest_picture_tier": None,
            },
            "state/recordings/camera0": {
                "device": "camera0",
                "state": "IDLE",
                "filename": None,
                "reason": None,
                "changed_at": None,
                "duration": None,
                "file_size": None,
            },
        }


async def test_only_what_changed_is_published_and_forgotten_cameras_are_cleared(
    box: Box, clock: SimulatedClock
) -> None:
    async with mirrored(box, clock) as rig:
        await clock.advance(10)
        before = len(rig.broker.messages)
        box.set_camera("camera1", "CONNECTED")
        await anyio.wait_all_tasks_blocked()
        assert [each.topic.removeprefix(TOPICS.root) for each in rig.broker.messages[before:]] == [
            "/state/cameras/camera1",
            "/state/recordings/camera1",
        ]
        await clock.advance(10)
        box.set_camera("camera1", None)
        await anyio.wait_all_tasks_blocked()
        assert {each for each in rig.broker.kept if "camera1" in each} == set()
        assert rig.broker.kept["state/cameras/camera0"]["status"] == "CONNECTED"


async def test_many_changes_make_few_readings_and_the_last_one_counts(
    box: Box, clock: SimulatedClock
) -> None:
    async with mirrored(box, clock) as rig:
        await clock.advance(10)
        before = rig.readings
        for number in range(100):
            box.set_camera("camera0", "DISCONNECTED" if number % 2 == 0 else "CONNECTED")
            await clock.advance(0.1)
        box.set_camera("camera0", "ERROR")
        await clock.advance(2)
        assert rig.broker.kept["state/cameras/camera0"]["status"] == "ERROR"
        assert rig.readings - before <= 7  # one every two seconds


async def test_an_idle_agent_is_read_once_a_minute_for_what_changes_without_events(
    box: Box, clock: SimulatedClock
) -> None:
    async with mirrored(box, clock) as rig:
        await clock.advance(5)
        before, sleeps = rig.readings, len(clock.sleeps)
        box.load_percent = 80.0
        await clock.advance(600)
        assert rig.readings - before == 10
        assert rig.broker.kept["state/health"]["cpu_percent"] == 80.0
        assert len(clock.sleeps) - sleeps <= 3 * 10 + 5


async def test_load_alone_is_not_published_with_each_event(box: Box, clock: SimulatedClock) -> None:
    async with mirrored(box, clock) as rig:
        await clock.advance(5)
        box.load_percent = 80.0
        box.set_camera("camera0", "DISCONNECTED")
        await anyio.wait_all_tasks_blocked()
        assert rig.broker.kept["state/cameras/camera0"]["status"] == "DISCONNECTED"
        assert rig.broker.kept["state/health"]["cpu_percent"] == 5.0


async def test_recordings_have_their_state_from_memory_and_their_name_from_events(
    box: Box, clock: SimulatedClock
) -> None:
    async with mirrored(box, clock) as rig:
        for state, reason, shown in (
            ("STARTING", None, "STARTING"),
            ("RECORDING", None, "RECORDING"),
            ("ERROR", "disk_full", "ERROR"),
            ("STOPPED", "disk_full", "IDLE"),
            ("SUSPENDED", "agent_stopping", "SUSPENDED"),
        ):
            await clock.advance(10)
            box.set_recording("camera0", state, reason)
            await anyio.wait_all_tasks_blocked()
            recording = rig.broker.kept["state/recordings/camera0"]
            assert (recording["state"], recording["filename"], recording["reason"]) == (
                shown,
                "camera0-1",
                reason,
            )
            is_running = shown in {"STARTING", "RECORDING", "ERROR"}
            assert (recording["duration"], recording["file_size"]) == (
                (2.0, 1000) if is_running else (None, None)
            )


async def test_the_newest_picture_counts_and_is_forgotten_with_its_camera(
    box: Box, clock: SimulatedClock
) -> None:
    async with mirrored(box, clock) as rig:
        for captured_at, tier in (
            ("2026-11-22T10:00:00.500Z", "frames"),
            ("2026-11-22T09:00:00.000Z", "rtsp"),
        ):
            await clock.advance(10)
            params = {"device": "camera0", "captured_at": captured_at, "tier_name": tier}
            box.sessions.publish("snapshot.taken", params)
            await anyio.wait_all_tasks_blocked()
            camera = rig.broker.kept["state/cameras/camera0"]
            assert camera["newest_picture_at"] == "2026-11-22T10:00:00.500Z"
            assert camera["newest_picture_tier"] == "frames"
        rig.mirror.note_picture("camera0", NewestPicture("2026-11-22T11:00:00.000Z", "ffmpeg"))
        await clock.advance(60)
        assert rig.broker.kept["state/cameras/camera0"]["newest_picture_tier"] == "ffmpeg"
        box.set_camera("camera0", None)
        await clock.advance(10)
        box.set_camera("camera0", "CONNECTED")
        await clock.advance(10)
        assert rig.broker.kept["state/cameras/camera0"]["newest_picture_at"] is None


async def test_a_disk_that_cannot_be_read_leaves_its_numbers_out(box: Box, clock: SimulatedClock) -> None:
    box.sessions.answers["get_storage_info"] = DependencyFailed("The disk does not answer.")
    async with mirrored(box, clock) as rig:
        health = rig.broker.kept["state/health"]
        assert (health["disk_free_bytes"], health["disk_hours_left"], health["status"]) == (
            None,
            None,
            "HEALTHY",
        )


async def test_a_reading_that_fails_is_repeated_and_the_end_of_the_session_is_survived(
    box: Box, clock: SimulatedClock
) -> None:
    async with mirrored(box, clock) as rig:
        await clock.advance(10)
        answer = box.sessions.answers["get_camera_list"]
        box.sessions.answers["get_camera_list"] = DependencyFailed("Not now.")
        box.set_camera("camera0", "DISCONNECTED")
        await clock.advance(5)
        assert rig.broker.kept["state/cameras/camera0"]["status"] == "CONNECTED"
        box.sessions.answers["get_camera_list"] = answer
        await clock.advance(10)
        assert rig.broker.kept["state/cameras/camera0"]["status"] == "DISCONNECTED"
        box.sessions.end_sessions()
        await anyio.wait_all_tasks_blocked()
        box.set_camera("camera0", "CONNECTED")
        await clock.advance(10)
        assert rig.broker.kept["state/cameras/camera0"]["status"] == "CONNECTED"


def test_after_lost_events_no_recording_has_the_name_of_an_earlier_one() -> None:
    told = ToldFacts()
    params = {"device": "camera0", "status": "RECORDING", "filename": "old", "timestamp": "2026"}
    told.take(AgentEvent("recording_status_update", "boot", 1, params))
    assert told.recordings["camera0"].filename == "old"
    told.take(AgentEvent(EVENTS_DROPPED, "boot", 9, {"count": 8}))
    assert told.recordings == {}


def test_an_event_of_an_unknown_form_tells_nothing() -> None:
    told = ToldFacts()
    told.take(AgentEvent("recording_status_update", "boot", 1, {"device": 7}))
    told.take(AgentEvent("snapshot.taken", "boot", 2, {}))
    assert (told.recordings, told.pictures) == ({}, {})
