"""A plugin's own topics reach the clients that subscribe to them."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.client import CallFailed
from agent_core.plugin import (
    AgentContext,
    AgentError,
    Camera,
    CameraSource,
    CaptureRequest,
    Component,
    MediaServer,
    MediaServerEndpoints,
    Picture,
    Plugin,
    RpcMethod,
    RpcParams,
    RpcResult,
    Settings,
    SnapshotTier,
    hookimpl,
)
from agent_core.testing import running_agent


@dataclass(frozen=True)
class Waved:
    device: str
    hands: int


class Waver(Component):
    """Waves at each turn of `wave`."""

    name = "waver"
    wave = anyio.Event()

    def __init__(self, agent: AgentContext) -> None:
        self._agent = agent

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self.wave.wait()
        self._agent.events.publish("hello.waved", Waved("camera1", 1))
        self._agent.events.publish("hello.waved", Waved("camera0", 2))


class Hello(Plugin[Settings]):
    topics = ("hello.waved",)

    @hookimpl
    def agent_components(self, agent: AgentContext) -> Iterable[Component]:
        return [Waver(agent)]


async def test_who_subscribed_gets_them_and_only_about_the_camera_asked_for(
    observe: Callable[[str], None],
) -> None:
    Waver.wave = anyio.Event()
    async with running_agent(plugins={"hello": Hello}, observe=observe) as agent, agent.client() as client:
        async with client.subscribe(["hello.waved"], device="camera0") as events:
            Waver.wave.set()
            with anyio.fail_after(10):
                event = await anext(aiter(events))
    assert event.topic == "hello.waved"
    assert event.params == {"device": "camera0", "hands": 2, "sequence": event.params["sequence"]}


class Foreign(RpcMethod[RpcParams]):
    name = "hello.wave"
    role = "viewer"
    summary = "Wave for another plugin."

    async def call(self, params: RpcParams) -> RpcResult:
        raise AssertionError


class Own(Foreign):
    name = "greedy.wave"


class Everything(CameraSource, Component, SnapshotTier):
    """A source, a tier and a component that must never be asked or run."""

    name = "everything"
    rank = 1

    async def watch(self, report: object, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        raise AssertionError

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        raise AssertionError

    def supports(self, camera: Camera) -> bool:
        raise AssertionError

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        raise AssertionError


class Greedy(Plugin[Settings]):
    """Offers everything, and topics that are its own and another's."""

    topics: ClassVar[tuple[str, ...]] = ("greedy.grabbed", "camera.connected")

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> Iterable[CameraSource]:
        return [Everything()]

    @hookimpl
    def agent_snapshot_tiers(self, agent: AgentContext) -> Iterable[SnapshotTier]:
        return [Everything()]

    @hookimpl
    def agent_components(self, agent: AgentContext) -> Iterable[Component]:
        return [Everything()]

    @hookimpl
    def agent_rpc_methods(self, agent: AgentContext) -> Iterable[RpcMethod[Any]]:
        return [Own()]


class Grabbing(Greedy):
    topics = ()

    @hookimpl
    def agent_rpc_methods(self, agent: AgentContext) -> Iterable[RpcMethod[Any]]:
        return [Own(), Foreign()]


@pytest.mark.parametrize(("greedy", "reason"), [(Greedy, "topic_refused"), (Grabbing, "foreign_method_name")])
async def test_a_name_that_is_not_its_own_costs_the_plugin_and_nothing_of_it_runs(
    greedy: type[Greedy], reason: str, observe: Callable[[str], None]
) -> None:
    Waver.wave = anyio.Event()
    plugins = {"greedy": greedy, "hello": Hello}
    async with running_agent(plugins=plugins, observe=observe) as agent, agent.client("admin") as client:
        refused, other = (await client.call("get_server_info"))["plugins"]
        assert (refused["status"], refused["reason"]) == ("FAILED", reason)
        assert other["status"] == "LOADED"
        assert [each.name for each in agent.parts.supervisor.components] == [Waver.name]
        assert agent.parts.monitor.discovery.sources == ()
        assert [tier.name for tier in agent.parts.snapshots.tiers] == ["frames"]
        assert not (await client.call("get_system_status"))["problems"]
        for topic in ("greedy.grabbed", "greedy.none"):
            with pytest.raises(CallFailed):
                await client.call("subscribe_events", topics=[topic])
        for method in ("greedy.wave", "hello.wave"):
            with pytest.raises(CallFailed) as caught:
                await client.call(method)
            assert caught.value.code == -32601
        async with client.subscribe(["hello.waved"], device="camera0") as events:
            Waver.wave.set()
            with anyio.fail_after(10):
                await anext(aiter(events))


class Answering(RpcMethod[RpcParams]):
    role = "viewer"
    summary = "Answer as told."

    def __init__(self, name: str, answer: object) -> None:
        self.name = name  # type: ignore[misc]
        self._answer = answer

    async def call(self, params: RpcParams) -> RpcResult:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer  # type: ignore[return-value]


ANSWERS = {
    "hello.none": None,
    "hello.text": "text",
    "hello.exits": SystemExit(0),
    "hello.interrupts": KeyboardInterrupt(),
    "hello.grouped": BaseExceptionGroup("of tasks", [SystemExit(1)]),
    "hello.cancelled": asyncio.CancelledError(),
}


class Careless(Plugin[Settings]):
    @hookimpl
    def agent_rpc_methods(self) -> Iterable[RpcMethod[Any]]:
        return [Answering(name, answer) for name, answer in ANSWERS.items()]


async def test_whatever_a_method_does_costs_only_its_call(observe: Callable[[str], None]) -> None:
    async with running_agent(plugins={"hello": Careless}, observe=observe) as agent, agent.client() as client:
        for name in ANSWERS:
            with pytest.raises(CallFailed) as caught:
                await client.call(name)
            assert caught.value.code == -32603, name
            assert await client.call("ping") == "pong"


class Lost(MediaServer):
    """A media server that fails to say where it listens."""

    name = "lost"

    def __init__(self, answer: object) -> None:
        self._answer = answer

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await anyio.sleep_forever()

    async def wait_endpoints(self) -> MediaServerEndpoints:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer  # type: ignore[return-value]


@pytest.mark.parametrize("answer", [None, "http://127.0.0.1:1", ValueError("bug"), SystemExit(0)])
async def test_a_media_server_that_cannot_say_where_it_listens_costs_only_itself(
    answer: object, observe: Callable[[str], None]
) -> None:
    class Server(Plugin[Settings]):
        @hookimpl
        def agent_components(self) -> Iterable[Component]:
            return [Lost(answer)]

    async with running_agent(plugins={"server": Server, "hello": Careless}, observe=observe) as agent:
        async with agent.client() as client:
            await anyio.wait_all_tasks_blocked()
            assert await client.call("ping") == "pong"
            with pytest.raises(AgentError, match="The media server does not run"):
                agent.parts.media.link.require()
