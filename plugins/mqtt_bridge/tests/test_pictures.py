"""Pictures: by interval and on demand, small enough for the broker, and none without one."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from PIL import Image
from pydantic import ValidationError

from agent_core.client import CallFailed
from agent_core.plugin import CaptureFailed, InvalidParams, InvalidState, NotFound, Unsupported
from agent_core.testing import SimulatedClock
from agent_core.testing.waiting import eventually
from mqtt_bridge.broker.messages import Incoming, Outgoing
from mqtt_bridge.broker.part import BrokerLost
from mqtt_bridge.link import CallRefused
from mqtt_bridge.pictures.method import PublishPicture, PublishPictureParams
from mqtt_bridge.pictures.part import PicturesPart
from mqtt_bridge.settings import PictureSettings
from mqtt_bridge.state.told import NewestPicture
from mqtt_bridge.topics import AgentTopics

from .agents import ROOT, bridged_agent, set_fault, state_of
from .mosquitto import running_mosquitto, watching

TOPICS = AgentTopics("camera-agent", "box")


@dataclass
class Agent:
    """`AgentCalls` with pictures of `bytes_per_width` bytes for each pixel of their width."""

    bytes_per_width: int = 100
    hints: bool = True
    failure: CallRefused | None = None
    calls: list[Mapping[str, Any]] = field(default_factory=list)

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        assert method == "get_picture"
        assert params is not None
        self.calls.append(params)
        await checkpoint()
        if self.failure is not None:
            raise self.failure
        width = params["width"]
        content = b"\xff\xd8" + bytes(width * self.bytes_per_width)
        if len(content) > params["max_bytes"]:
            hint = f"width={int(width * 0.9 * params['max_bytes'] / len(content))}" if self.hints else ""
            data = {"rule": "picture_too_large", "param": "max_bytes", "hint": hint}
            raise CallRefused("Too large.", code=-32602, reason="invalid_params", data=data)
        return {
            "device": params["device"],
            "content_type": "image/jpeg",
            "width": width,
            "height": width // 2,
            "captured_at": "2026-11-22T10:00:00.500Z",
            "captured_at_source": "device",
            "age_ms": 12,
            "tier_name": "frames",
            "data": b64encode(content).decode(),
            "more": "of a later agent",
        }

    @property
    def widths(self) -> list[int]:
        return [each["width"] for each in self.calls]


@dataclass
class Broker:
    packet_bytes: int = 1 << 20
    is_lost: bool = False
    messages: list[Outgoing] = field(default_factory=list)

    async def publish(self, message: Outgoing) -> None:
        await checkpoint()
        if self.is_lost:
            raise BrokerLost
        self.messages.append(message)


@dataclass
class Rig:
    part: PicturesPart
    agent: Agent
    noted: list[tuple[str, NewestPicture]]


def rig(clock: SimulatedClock | None = None, agent: Agent | None = None, **settings: Any) -> Rig:
    agent, noted = agent or Agent(), []
    part = PicturesPart(
        TOPICS,
        PictureSettings.model_validate(settings),
        agent,
        lambda camera, picture: noted.append((camera, picture)),
        clock or SimulatedClock(),
        random_part=lambda: 0.5,
    )
    part.see(("camera0", "camera1"), ("camera0", "camera1"))
    return Rig(part, agent, noted)


@asynccontextmanager
async def online(part: PicturesPart, broker: Broker) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(part.online, broker)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


async def test_a_picture_is_binary_with_its_type_and_properties() -> None:
    made, broker = rig(width=320, quality=60), Broker()
    async with online(made.part, broker):
        published = await made.part.publish("camera0")
    (message,) = broker.messages
    assert message.payload == b"\xff\xd8" + bytes(32_000)
    assert (message.topic, message.qos, message.retain) == ("camera-agent/box/pictures/camera0", 0, False)
    assert message.content_type == "image/jpeg"
    assert message.properties == {
        "device": "camera0",
        "captured_at": "2026-11-22T10:00:00.500Z",
        "captured_at_source": "device",
        "age_ms": "12",
        "width": "320",
        "height": "160",
        "tier": "frames",
        "sha256": hashlib.sha256(message.payload).hexdigest(),
    }
    assert (published.topic, published.size_bytes) == (message.topic, 32_002)
    assert made.agent.calls[0]["quality"] == 60
    assert made.noted == [("camera0", NewestPicture("2026-11-22T10:00:00.500Z", "frames"))]


async def test_the_interval_counts_while_there_is_a_broker_and_costs_nothing_without() -> None:
    clock = SimulatedClock()
    made, broker = rig(clock, interval_s=30), Broker()
    await clock.advance(300)
    assert made.agent.calls == []
    async with online(made.part, broker):
        await clock.advance(4.9)
        assert broker.messages == []
        await clock.advance(0.1)  # half of the longest wait for the first picture
        assert len(broker.messages) == 2
        await clock.advance(59)
        assert len(broker.messages) == 4
    await clock.advance(300)
    assert len(made.agent.calls) == 4


async def test_only_connected_and_chosen_cameras_are_asked() -> None:
    clock = SimulatedClock()
    made, broker = rig(clock, interval_s=10, cameras=["camera1", "camera7"]), Broker()
    made.part.see(("camera0", "camera1", "camera7"), ("camera0", "camera1"))
    async with online(made.part, broker):
        await clock.advance(5)
    assert [each["device"] for each in made.agent.calls] == ["camera1"]


def test_an_interval_of_less_than_a_second_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 second, or 0"):
        PictureSettings(interval_s=0.1)


async def test_without_an_interval_there_are_no_timers_and_no_pictures() -> None:
    clock = SimulatedClock()
    made = rig(clock)
    async with online(made.part, Broker()):
        await clock.advance(3600)
    assert (made.agent.calls, clock.sleeps) == ([], [])


@pytest.mark.parametrize("hints", [True, False])
async def test_a_picture_too_large_for_the_broker_is_taken_again_with_less_width(hints: bool) -> None:
    made = rig(agent=Agent(hints=hints), width=1280)
    broker = Broker(packet_bytes=50_000)
    async with online(made.part, broker):
        published = await made.part.publish("camera0")
    assert published.size_bytes <= 50_000 - 1024
    assert made.agent.widths[0] == 1280
    assert 2 <= len(made.agent.widths) <= 4
    assert sorted(made.agent.widths, reverse=True) == made.agent.widths


async def test_a_picture_that_never_fits_ends_with_the_error_of_the_agent() -> None:
    made = rig(agent=Agent(bytes_per_width=10_000), width=1280)
    async with online(made.part, Broker(packet_bytes=50_000)):
        with pytest.raises(CallRefused, match="Too large"):
            await made.part.publish("camera0")
    assert made.agent.widths[-1] == 160
    assert len(made.agent.widths) <= 8


async def test_a_camera_that_fails_is_logged_once_and_disturbs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SimulatedClock()
    agent = Agent(failure=CallRefused("No frame came.", code=-32050, reason="device_busy"))
    made, broker = rig(clock, agent, interval_s=10), Broker()
    async with online(made.part, broker):
        await clock.advance(100)
        assert [each.getMessage().count("No frame came.") for each in caplog.records] == [1, 1]
        agent.failure = None
        await clock.advance(10)
        assert len(broker.messages) == 2


async def test_retained_pictures_of_forgotten_cameras_are_cleared() -> None:
    clock = SimulatedClock()
    made, broker = rig(clock, interval_s=10, retain=True), Broker()
    async with online(made.part, broker):
        made.part.received(_retained("camera9"))  # kept from before
        await clock.advance(5)
        assert [(each.topic, each.retain, bool(each.payload)) for each in broker.messages] == [
            (TOPICS.picture("camera9"), True, False),
            (TOPICS.picture("camera0"), True, True),
            (TOPICS.picture("camera1"), True, True),
        ]
        made.part.see(("camera1",), ("camera1",))
        await anyio.wait_all_tasks_blocked()
        assert (broker.messages[-1].topic, broker.messages[-1].payload) == (TOPICS.picture("camera0"), b"")


async def test_retained_pictures_are_cleared_once_they_are_not_to_be_kept() -> None:
    made, broker = rig(), Broker()
    async with online(made.part, broker):
        made.part.received(_retained("camera0"))
        await anyio.wait_all_tasks_blocked()
    assert [(each.topic, each.retain, each.payload) for each in broker.messages] == [
        (TOPICS.picture("camera0"), True, b"")
    ]


def _retained(camera: str) -> Incoming:
    return Incoming(TOPICS.picture(camera), b"old", True, {}, None, "", "image/jpeg")


async def test_the_method_answers_with_what_was_published() -> None:
    made, broker = rig(), Broker()
    method = PublishPicture(lambda: made.part)
    async with online(made.part, broker):
        form = await method.call(PublishPictureParams(device="camera0", width=200))
    assert form.model_dump() == {
        "device": "camera0",
        "topic": "camera-agent/box/pictures/camera0",
        "size_bytes": 20_002,
        "content_type": "image/jpeg",
        "width": 200,
        "height": 100,
        "captured_at": "2026-11-22T10:00:00.500Z",
        "captured_at_source": "device",
        "age_ms": 12,
        "tier": "frames",
    }


async def test_the_method_tells_why_there_is_no_picture() -> None:
    params = PublishPictureParams(device="camera0")
    with pytest.raises(Unsupported) as off:
        await PublishPicture(lambda: None).call(params)
    assert off.value.reason == "on_demand_off"
    made = rig()
    method = PublishPicture(lambda: made.part)
    with pytest.raises(InvalidState) as away:
        await method.call(params)
    assert away.value.reason == "broker_not_connected"
    assert made.agent.calls == []
    async with online(made.part, Broker(is_lost=True)):
        with pytest.raises(InvalidState, match="no connection"):
            await method.call(params)
    for failure, error in (
        (CallRefused("None such.", code=-32010, reason="camera_not_found"), NotFound),
        (CallRefused("Busy.", code=-32050, reason="device_busy"), CaptureFailed),
        (CallRefused("Large.", code=-32602, reason="x", data={"rule": "picture_too_large"}), InvalidParams),
    ):
        made.agent.failure = failure
        async with online(made.part, Broker()):
            with pytest.raises(error, match=failure.details):
                await method.call(PublishPictureParams(device="camera0", width=100))


async def test_pictures_of_a_real_agent_arrive_through_mosquitto(tmp_path: Path) -> None:
    async with (
        running_mosquitto(tmp_path / "broker") as broker,
        watching(broker, f"{ROOT}/#") as seen,
        bridged_agent(broker.url, tmp_path / "agent", pictures={"width": 160}) as agent,
        agent.client("viewer") as client,
    ):

        async def asked() -> Any:
            try:
                return await client.call("mqtt_bridge.publish_picture", device="camera0")
            except CallFailed as error:
                assert error.reason in {"broker_not_connected", "camera_not_found"} or error.code == -32050
                return None

        answer = await eventually(asked)
        await seen.until(lambda: seen.last(f"{ROOT}/pictures/camera0") is not None)
        message = next(each for each in seen.messages if "/pictures/" in each.topic.value)
        payload = bytes(message.payload)
        told: Any = message.properties
        properties = dict(told.UserProperty)
        assert told.ContentType == "image/jpeg"
        assert Image.open(BytesIO(payload)).size == (160, 120)
        assert hashlib.sha256(payload).hexdigest() == properties["sha256"]
        assert (answer["size_bytes"], answer["captured_at"]) == (len(payload), properties["captured_at"])
        await set_fault(agent, "camera0", "vanish", enabled=True)  # makes the mirror read at once
        await seen.until(lambda: _newest(state_of(seen, "cameras", "camera0")) == answer["captured_at"])


def _newest(camera: dict[str, Any] | None) -> object:
    return None if camera is None else camera["newest_picture_at"]
