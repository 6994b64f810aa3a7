"""A plugin's own topics reach the clients that subscribe to them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.client import CallFailed
from agent_core.plugin import AgentContext, Component, Plugin, Settings, hookimpl
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


class Greedy(Plugin[Settings]):
    topics = ("camera.connected",)


async def test_who_subscribed_gets_them_and_only_about_the_camera_asked_for(
    observe: Callable[[str], None],
) -> None:
    Waver.wave = anyio.Event()
    async with running_agent(plugins={"hello": Hello}, observe=observe) as agent, agent.client() as client:
        async with client.subscribe(["hello.waved"], device="camera0") as events:
            Waver.wave.set()
            with anyio.fail_after(10):
                event = await anext(aiter(events))
    assert (event.topic, event.params) == ("hello.waved", {"device": "camera0", "hands": 2})


async def test_a_topic_that_is_not_its_own_costs_the_plugin(observe: Callable[[str], None]) -> None:
    async with running_agent(plugins={"greedy": Greedy}, observe=observe) as agent, agent.client() as client:
        (plugin,) = (await client.call("get_server_info"))["plugins"]
        with pytest.raises(CallFailed):
            await client.call("subscribe_events", topics=["greedy.none"])
    assert (plugin["status"], plugin["reason"]) == ("FAILED", "topic_refused")
