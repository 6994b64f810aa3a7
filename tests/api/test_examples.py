"""Examples of `rpc.discover`: a real agent runs each of them, and answers in the form that it shows."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent_core.api.contract import core_methods
from agent_core.api.keys import key_methods
from agent_core.api.metrics import metrics_methods
from agent_core.api.views import view_link_methods
from agent_core.client import AgentClient
from agent_core.testing import running_agent

CONFIG = {
    "auth": {"keys_over_network": True},
    "plugins": {
        "enabled": ["virtual_camera", "ffmpeg_tier", "embedded_server", "external_discovery"],
        "virtual_camera": {"cameras": [{"name": "Front door", "id": "camera0"}], "faults": True},
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
        # A port at which nothing listens; without a network, a scan tells that there is none.
        "external_discovery": {"discovery": {"networks": ["127.0.0.1/32"], "onvif": False, "dnssd": False}},
    },
}
OF_SESSIONS = (
    "ping",
    "authenticate",
    "rpc.discover",
    "subscribe_events",
    "unsubscribe_events",
    "get_subscription_stats",
)
OF_PLUGINS = ("virtual_camera.set_fault",)
METHODS = sorted(
    {
        *OF_SESSIONS,
        *OF_PLUGINS,
        *(each.name for each in core_methods(None, None)),  # type: ignore[arg-type]
        *(each.name for each in metrics_methods(None, None)),  # type: ignore[arg-type]
        *(each.name for each in key_methods(None, None, over_network=True)),  # type: ignore[arg-type]
        *(each.name for each in view_link_methods(None, None, None)),  # type: ignore[arg-type]
    }
)


def places(shown: Any, real: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the values of both results at each place that both have."""
    if isinstance(shown, dict) and isinstance(real, dict):
        for key in shown.keys() & real.keys():
            yield from places(shown[key], real[key])
    elif isinstance(shown, list) and isinstance(real, list):
        for one, other in zip(shown, real, strict=False):
            yield from places(one, other)
    else:
        yield shown, real


class Story:
    """Connection that runs examples, and knows what stands for a shown value in this agent."""

    def __init__(self, client: AgentClient, document: Any, known: dict[str, str]) -> None:
        self._client = client
        self._methods = {each["name"]: each for each in document["methods"]}
        self._known = known

    async def run(self, name: str) -> None:
        (example,) = self._methods[name]["examples"]
        for before in example.get("x-after", ()):
            await self._call(before)
        await self._call(name)

    async def _call(self, name: str) -> None:
        (example,) = self._methods[name]["examples"]
        params = {each["name"]: self._real(each["value"]) for each in example["params"]}
        shown, real = example["result"]["value"], await self._client.call(name, **params)
        assert type(shown) is type(real)
        if isinstance(shown, dict):
            assert shown.keys() == real.keys(), name
        self._known |= {
            one: other
            for one, other in places(shown, real)
            if isinstance(one, str) and isinstance(other, str) and one != other
        }

    def _real(self, value: Any) -> Any:
        return self._known.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize("method", METHODS)
async def test_an_agent_runs_the_example(method: str, observe: Callable[[str], None]) -> None:
    async with running_agent(config=CONFIG, observe=observe) as agent, agent.client("admin") as client:
        document = await client.call("rpc.discover")
        await Story(client, document, {"TOKEN": agent.token("admin")}).run(method)


async def test_every_method_has_an_example_that_is_run(observe: Callable[[str], None]) -> None:
    async with running_agent(config=CONFIG, observe=observe) as agent, agent.client("admin") as client:
        methods = (await client.call("rpc.discover"))["methods"]
    assert sorted(each["name"] for each in methods) == METHODS
    assert [each["name"] for each in methods if len(each.get("examples", ())) != 1] == []
