"""The document of a whole agent: what a generator of clients makes types and handlers from."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.rpc.topics import ALIASES, CORE_TOPICS
from agent_core.testing import running_agent

CONFIG = {
    "plugins": {
        "enabled": ["virtual_camera", "ffmpeg_tier", "embedded_server"],
        "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}], "faults": True},
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    }
}


@pytest.fixture
async def client(observe: Callable[[str], None]) -> AsyncIterator[AgentClient]:
    async with running_agent(config=CONFIG, observe=observe) as agent, agent.client("admin") as client:
        yield client


@pytest.fixture
async def document(client: AgentClient) -> Any:
    return await client.call("rpc.discover")


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of the document; those with a title are schemas."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from schemas(each)
    elif isinstance(value, list):
        for each in value:
            yield from schemas(each)


async def test_no_title_stands_for_two_schemas(document: Any) -> None:
    titled = defaultdict(set)
    for schema in schemas([document["methods"], document["x-notifications"], document["components"]]):
        if isinstance(schema.get("title"), str):
            titled[schema["title"]].add(json.dumps(schema, sort_keys=True))
    assert titled
    assert {title: len(found) for title, found in titled.items() if len(found) > 1} == {}


async def test_only_shared_types_have_titles(document: Any) -> None:
    """A member's title, made from its name, would be equal for members of different types."""
    named = document["components"]["schemas"]
    assert {name: schema["title"] for name, schema in named.items()} == {name: name for name in named}
    inside = [each for schema in named.values() for each in schemas([*schema.get("properties", {}).values()])]
    assert not [each for each in inside if isinstance(each.get("title"), str)]


async def test_every_topic_is_described(document: Any) -> None:
    events = {each["name"]: each for each in document["x-notifications"]}
    for topic in CORE_TOPICS:
        aliases = [alias for alias, canonical in ALIASES if canonical == topic.name]
        assert events[topic.method]["x-topics"] == [topic.name, *aliases]
    for name in ("system.events_dropped", "system.auth_expired"):
        assert events[name]["x-topics"] == []
    for event in events.values():
        assert event["summary"]
        assert event["paramStructure"] == "by-name"
        assert [param["name"] for param in event["params"]]


async def test_an_event_has_the_params_that_are_described(client: AgentClient, document: Any) -> None:
    (described,) = (each for each in document["x-notifications"] if each["name"] == "camera.status_change")
    async with client.subscribe(["camera.status_change"]) as events:
        await client.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=True)
        event = await anext(aiter(events))
    params = {param["name"]: param["required"] for param in described["params"]}
    assert event.params.keys() <= params.keys()
    assert {name for name, required in params.items() if required} <= event.params.keys()


#: Calls that fail, by method; methods that are not here cannot fail after their parameters were checked.
FAILING: dict[str, list[tuple[int, dict[str, Any]]]] = {
    "get_camera_status": [(-32010, {"device": "camera9"})],
    "get_camera_capabilities": [(-32010, {"device": "camera9"})],
    "take_snapshot": [(-32010, {"device": "camera9"}), (-32050, {"device": "camera0", "deadline_ms": 1})],
    "get_picture": [(-32010, {"device": "camera9"}), (-32050, {"device": "camera0", "deadline_ms": 1})],
    "list_snapshots": [(-32010, {"device": "camera9"})],
    "get_snapshot_info": [(-32010, {"filename": "camera0/none.jpg"})],
    "start_recording": [(-32010, {"device": "camera9"})],
    "stop_recording": [(-32010, {"device": "camera9"}), (-32020, {"device": "camera0"})],
    "list_recordings": [(-32010, {"device": "camera9"})],
    "get_recording_info": [(-32010, {"filename": "camera0_2026-01-01_00-00-00Z"})],
    "delete_recording": [(-32010, {"filename": "camera0_2026-01-01_00-00-00Z"})],
    "delete_snapshot": [(-32010, {"filename": "camera0/none.jpg"})],
    "start_streaming": [(-32010, {"device": "camera9"})],
    "stop_streaming": [(-32010, {"device": "camera9"}), (-32020, {"device": "camera0"})],
    "get_stream_url": [(-32010, {"device": "camera9"})],
    "get_stream_status": [(-32010, {"device": "camera9"})],
    "virtual_camera.set_fault": [(-32010, {"device": "camera9", "fault": "stall", "enabled": True})],
    "authenticate": [(-32001, {"auth_token": "wrong"})],
    "subscribe_events": [(-32602, {"topics": ["none"]})],
}


async def test_every_error_of_a_call_is_declared(client: AgentClient, document: Any) -> None:
    declared = {each["name"]: {error["code"] for error in each["errors"]} for each in document["methods"]}
    for method, calls in FAILING.items():
        for code, params in calls:
            with pytest.raises(CallFailed) as caught:
                await client.call(method, **params)
            assert (method, caught.value.code) == (method, code)
            assert code in declared[method], method


async def test_without_a_media_server_and_without_a_camera_every_error_is_declared(
    observe: Callable[[str], None],
) -> None:
    down = {"mode": "external", "api_url": "http://127.0.0.1:9", "rtsp_url": "rtsp://127.0.0.1:9"}
    plugins = {"enabled": ["virtual_camera"], "virtual_camera": CONFIG["plugins"]["virtual_camera"]}
    seen = set[int]()
    for media_server in ({}, down):
        config = {"plugins": plugins, "media_server": media_server}
        async with running_agent(config=config, observe=observe) as agent, agent.client("admin") as client:
            methods = (await client.call("rpc.discover"))["methods"]
            for is_gone in (False, True):
                await client.call(
                    "virtual_camera.set_fault", device="camera0", fault="vanish", enabled=is_gone
                )
                for method in methods:
                    error = await refusal(client, method)
                    if error is not None:
                        assert error.code in {each["code"] for each in method["errors"]}, method["name"]
                        seen.add(error.code)
    assert seen >= {-32602, -32010, -32020, -32030, -32050}


async def refusal(client: AgentClient, method: dict[str, Any]) -> CallFailed | None:
    """Call a method that leaves the connection as it is, with plausible parameters; return its error."""
    values = {"device": "camera0", "filename": "none.jpg", "topics": ["none"]}
    params = {each["name"]: values.get(each["name"]) for each in method["params"] if each["required"]}
    if method["name"] in {"authenticate", "rpc.discover"}:
        return None
    try:
        await client.call(method["name"], **params)
    except CallFailed as error:
        return error
    return None
