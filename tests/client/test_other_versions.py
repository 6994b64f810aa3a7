"""Typed results from agents of other versions: members and words of a later one, and optional members that are absent."""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import fields, is_dataclass
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection

from agent_core.client import AgentClient, SyncAgentClient
from agent_core.client.methods import READS
from agent_core.testing import WHOLE_CONTRACT, document_of

#: The servers here answer what a test wants.
pytestmark = pytest.mark.other_server

Serve = Callable[[Callable[[ServerConnection], Awaitable[None]]], AbstractAsyncContextManager[str]]
#: Changes an object of a result, by the names of its members that its schema requires.
Change = Callable[[dict[str, Any], frozenset[str]], dict[str, Any]]
#: Methods that the client calls by itself, and one whose result has no fixed form.
NOT_TYPED = {"authenticate", "subscribe_events", "unsubscribe_events", "rpc.discover", "ping"}
NEW_WORD = "word_of_a_later_agent"


class Contract:
    """The document, and the results in it with some changes.

    Attributes:
        schemas: the schemas of objects, by name.
        methods: the methods with a typed result, by name.
    """

    def __init__(self, document: Any) -> None:
        self.schemas = document["components"]["schemas"]
        own = [each for each in document["methods"] if "x-plugin" not in each]
        self.methods = {each["name"]: each for each in own if each["name"] not in NOT_TYPED}

    def params(self, name: str) -> dict[str, Any]:
        return {each["name"]: each["value"] for each in self.methods[name]["examples"][0]["params"]}

    def result(self, name: str, change: Change, *, words: bool = False) -> Any:
        """Return the example's result with each object changed, and each word replaced by a new one if `words`."""
        method = self.methods[name]
        value = method["examples"][0]["result"]["value"]
        return self._changed(value, method["result"]["schema"], change, words=words)

    def _changed(self, value: Any, schema: Any, change: Change, *, words: bool) -> Any:
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            wanted = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else ""
            fitting = [each for each in schema["anyOf"] if "$ref" in each or each.get("type") == wanted]
            return self._changed(value, fitting[0], change, words=words) if wanted and fitting else value
        if isinstance(value, list):
            return [self._changed(each, schema.get("items", {}), change, words=words) for each in value]
        if isinstance(value, dict):
            return self._changed_object(value, schema, change, words=words)
        return NEW_WORD if words and "enum" in schema else value

    def _changed_object(
        self, value: dict[str, Any], schema: Any, change: Change, *, words: bool
    ) -> dict[str, Any]:
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        inner = others if isinstance(others, dict) else {}
        made = {
            key: self._changed(each, named.get(key, inner), change, words=words)
            for key, each in value.items()
        }
        return change(made, frozenset(schema.get("required", ()))) if named else made


def same(value: dict[str, Any], _required: frozenset[str]) -> dict[str, Any]:
    return value


def later(value: dict[str, Any], _required: frozenset[str]) -> dict[str, Any]:
    return {"member_of_a_later_agent": {"deep": [1, None]}, **value, "another": None}


def sparse(value: dict[str, Any], required: frozenset[str]) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key in required}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(anyio.run(document_of, WHOLE_CONTRACT))


def answering(results: Mapping[str, Any]) -> Callable[[ServerConnection], Awaitable[None]]:
    async def answer(connection: ServerConnection) -> None:
        async for text in connection:
            request = json.loads(text)
            reply = {"jsonrpc": "2.0", "id": request["id"], "result": results[request["method"]]}
            await connection.send(json.dumps(reply))

    return answer


async def typed_results(serve: Serve, contract: Contract, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each typed method of the client makes of the agent's `results`."""
    found = {}
    async with serve(answering(results)) as url, AgentClient(url) as client:
        for name in contract.methods:
            found[name] = await getattr(client, name)(**contract.params(name))
    return found


async def test_members_of_a_later_agent_change_nothing(websocket: Serve, contract: Contract) -> None:
    made = []
    for change in (same, later):
        results = {name: contract.result(name, change) for name in contract.methods}
        made.append(await typed_results(websocket, contract, results))
    assert len(made[0]) > 20
    assert made[0] == made[1]


async def test_words_of_a_later_agent_are_given_as_they_are(websocket: Serve, contract: Contract) -> None:
    results = {name: contract.result(name, same, words=True) for name in contract.methods}
    assert json.dumps(results).count(NEW_WORD) > 10
    made = await typed_results(websocket, contract, results)
    assert repr(made).count(NEW_WORD) == json.dumps(results).count(NEW_WORD)


async def test_absent_optional_members_are_none(websocket: Serve, contract: Contract) -> None:
    full = {name: contract.result(name, same) for name in contract.methods}
    results = {name: contract.result(name, sparse) for name in contract.methods}
    dropped = {name for name in results if results[name] != full[name]}
    assert len(dropped) > 5
    made = await typed_results(websocket, contract, results)
    assert {name for name in dropped if "None" not in repr(made[name])} == set()


def test_each_optional_member_has_a_default(contract: Contract) -> None:
    """An older agent of the same contract leaves out what it does not know, as does one without a value."""
    from agent_core.client import results

    forms = [form for form in vars(results).values() if isinstance(form, type) and is_dataclass(form)]
    schemas = contract.schemas
    checked = 0
    for form in forms:
        schema = schemas.get(form.__name__, {})
        for each in fields(form):
            if each.name in schema.get("properties", {}) and each.name not in schema.get("required", ()):
                assert each.default is None, f"{form.__name__}.{each.name}"
                checked += 1
    assert checked > 20


async def test_the_synchronous_client_does_the_same(websocket: Serve, contract: Contract) -> None:
    name = "get_camera_status"
    plain, more = contract.result(name, same), contract.result(name, later)
    made = []

    def ask(url: str) -> None:
        with SyncAgentClient(url) as client:
            made.append(client.get_camera_status("camera0"))

    assert name in READS
    for result in (plain, more):
        async with websocket(answering({name: result})) as url:
            await anyio.to_thread.run_sync(ask, url)
    assert made[0] == made[1]
