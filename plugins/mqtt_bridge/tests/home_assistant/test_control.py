"""Unsigned commands: what they do, and what they cannot."""

import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from agent_core.testing import SimulatedClock
from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.home_assistant.control import HubControl
from mqtt_bridge.link import CallRefused

from .described import TOPICS


class Commands:
    """Agent with one camera. Calls of a method in `refused` fail; `held` keeps calls from ending while it is unset."""

    cameras: Collection[str] = ("camera0", "camera1")

    def __init__(self) -> None:
        self.calls: list[tuple[str, JsonValue]] = []
        self.refused: dict[str, str] = {}
        self.held = anyio.Event()
        self.held.set()

    async def call(self, method: str, params: Mapping[str, JsonValue] | None = None) -> JsonValue:
        assert params is not None
        self.calls.append((method, params["device"]))
        await self.held.wait()
        if reason := self.refused.get(method):
            raise CallRefused(f"Refused: {reason}.", code=-32020, reason=reason)
        return {}


def command(
    what: str, payload: bytes, *, camera: str = "camera0", retained: bool = False, root: str = TOPICS.root
) -> Incoming:
    return Incoming(f"{root}/control/{camera}/{what}", payload, retained, {}, None, "", "")


@asynccontextmanager
async def running(commands: Commands, clock: SimulatedClock) -> AsyncIterator[HubControl]:
    control = HubControl(TOPICS, commands, clock)
    async with anyio.create_task_group() as tasks:
        await tasks.start(control.run)
        yield control
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("what", "payload", "method"),
    [
        ("record", b"ON", "start_recording"),
        ("record", b"OFF", "stop_recording"),
        ("snapshot", b"PRESS", "take_snapshot"),
    ],
)
async def test_a_command_calls_its_method(what: str, payload: bytes, method: str) -> None:
    commands, clock = Commands(), SimulatedClock()
    async with running(commands, clock) as control:
        control.received(command(what, payload, camera="camera1"))
        await clock.advance(0.1)
    assert commands.calls == [(method, "camera1")]


@pytest.mark.parametrize(
    "message",
    [
        command("record", b"on"),
        command("record", b""),
        command("record", b"ON\x00"),
        command("record", b"PRESS"),
        command("snapshot", b"ON"),
        command("snapshot", b"PRESS" * 100_000),
        command("delete", b"ON"),
        command("record/x", b"ON"),
        command("record", b"ON", camera="camera7"),
        command("record", b"ON", camera=""),
        command("record", b"ON", camera="../camera0"),
        command("record", b"ON", root="camera-agent/other"),
        command("record", b"ON", retained=True),
        command("snapshot", b"PRESS", retained=True),
    ],
)
async def test_nothing_else_is_carried_out(message: Incoming) -> None:
    commands, clock = Commands(), SimulatedClock()
    async with running(commands, clock) as control:
        control.received(message)
        await clock.advance(60)
    assert commands.calls == []


@given(st.text(), st.binary())
def test_a_hostile_topic_breaks_nothing(topic: str, payload: bytes) -> None:
    control = HubControl(TOPICS, Commands(), SimulatedClock())
    control.received(Incoming(topic, payload, False, {}, None, "", ""))


async def test_of_a_flood_one_command_per_second_remains_and_the_last_one_counts() -> None:
    commands, clock = Commands(), SimulatedClock()
    async with running(commands, clock) as control:
        for _ in range(1000):
            control.received(command("record", b"ON"))
            control.received(command("record", b"OFF"))
        await clock.advance(0.5)
        for _ in range(1000):
            control.received(command("record", b"OFF"))
            control.received(command("record", b"ON"))
        await clock.advance(0.4)
        assert commands.calls == [("stop_recording", "camera0")]
        await clock.advance(60)
    assert commands.calls == [("stop_recording", "camera0"), ("start_recording", "camera0")]


async def test_a_slow_camera_does_not_delay_the_others() -> None:
    commands, clock = Commands(), SimulatedClock()
    commands.held = anyio.Event()
    async with running(commands, clock) as control:
        control.received(command("record", b"ON"))
        control.received(command("snapshot", b"PRESS"))
        control.received(command("record", b"ON", camera="camera1"))
        await clock.advance(0.1)
        control.received(command("record", b"OFF"))
        await clock.advance(10)
        assert sorted(commands.calls) == [
            ("start_recording", "camera0"),
            ("start_recording", "camera1"),
            ("take_snapshot", "camera0"),
        ]
        commands.held.set()
        await clock.advance(10)
    assert commands.calls[3:] == [("stop_recording", "camera0")]


async def test_a_failure_is_told_once_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    commands, clock = Commands(), SimulatedClock()
    caplog.set_level(logging.WARNING)

    async def told(count: int) -> None:
        for _ in range(count):
            control.received(command("record", b"ON"))
            await clock.advance(2)

    async with running(commands, clock) as control:
        commands.refused = {"start_recording": "disk_full"}
        await told(5)
        assert [each.getMessage() for each in caplog.records] == [
            "the command record for camera0 was not carried out: Refused: disk_full."
        ]
        commands.refused = {"start_recording": "not_connected"}
        await told(5)
        assert len(caplog.records) == 2
        commands.refused = {}
        await told(1)
        commands.refused = {"start_recording": "not_connected"}
        await told(1)
    assert len(caplog.records) == 3


async def test_what_is_so_already_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    commands, clock = Commands(), SimulatedClock()
    commands.refused = {"start_recording": "already_recording", "stop_recording": "not_recording"}
    async with running(commands, clock) as control:
        control.received(command("record", b"ON"))
        await clock.advance(2)
        control.received(command("record", b"OFF"))
        await clock.advance(2)
    assert len(commands.calls) == 2
    assert caplog.records == []


async def test_a_retained_command_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Commands(), SimulatedClock()) as control:
        for _ in range(100):
            control.received(command("record", b"ON", retained=True))
    (record,) = caplog.records
    assert "retained" in record.getMessage()
