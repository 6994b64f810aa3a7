"""The document against the structure of the OpenRPC 1.3 meta-schema, as far as we use it."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from agent_core.api.schema.system import CONTRACT_VERSION
from agent_core.plugin.abc import RpcMethod, RpcParams, RpcResult
from agent_core.rpc.openrpc import openrpc_document

if TYPE_CHECKING:
    from tests.toy_server import Toy


class Colour(StrEnum):
    RED = "red"


class Inner(RpcResult):
    colour: Colour


class Outer(RpcResult):
    inners: list[Inner]


class PaintParams(RpcParams):
    shade: int | None = None
    colour: Colour


class Paint(RpcMethod[PaintParams]):
    name: ClassVar[str] = "painter.paint"
    role: ClassVar[str] = "operator"
    summary: ClassVar[str] = "Paint."
    Params: ClassVar[type[RpcParams]] = PaintParams
    Result: ClassVar[type[RpcResult]] = Outer

    async def call(self, params: PaintParams) -> RpcResult:
        return Outer(inners=[Inner(colour=params.colour)])


@pytest.fixture
def document(toy: "Toy") -> Any:
    toy.table.add_plugin_methods("painter", [Paint()])
    return json.loads(json.dumps(openrpc_document(toy.table, toy.topics, title="toy", version="1.2.3")))


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_head(document: Any) -> None:
    assert set(document) == {"openrpc", "info", "methods", "x-notifications", "components"}
    assert document["openrpc"].startswith("1.3.")
    assert document["info"] == {"title": "toy", "version": "1.2.3"}


def test_every_method_of_the_table_is_in_it_once(document: Any, toy: "Toy") -> None:
    assert [each["name"] for each in document["methods"]] == [method.name for method in toy.table]
    assert {"ping", "rpc.discover", "painter.paint", "get_external_streams"} <= {
        each["name"] for each in document["methods"]
    }


def test_methods_have_the_meta_schemas_form(document: Any) -> None:
    allowed = {"name", "summary", "params", "result", "errors", "paramStructure", "x-role"}
    for method in document["methods"]:
        assert set(method) - {"examples", "x-plugin"} == allowed
        assert method["paramStructure"] in {"by-name", "either"}
        assert method["x-role"] in {"none", "viewer", "operator", "admin"}
        assert method["summary"]
        names = [param["name"] for param in method["params"]]
        assert len(names) == len(set(names))
        required = [param["required"] for param in method["params"]]
        assert required == sorted(required, reverse=True), "required parameters come first"
        for param in (*method["params"], method["result"]):
            assert set(param) <= {"name", "required", "schema", "description"}
            assert isinstance(param["name"], str)
            assert isinstance(param["schema"], dict)


def test_errors_are_code_and_message(document: Any) -> None:
    by_name = {each["name"]: each["errors"] for each in document["methods"]}
    for errors in by_name.values():
        codes = [error["code"] for error in errors]
        assert len(codes) == len(set(codes))
        assert all(set(error) == {"code", "message"} for error in errors)
        assert -32602 in codes
    assert {"code": -32020, "message": "Invalid state"} in by_name["refused"]
    assert -32002 in [error["code"] for error in by_name["wipe"]]
    assert -32002 not in [error["code"] for error in by_name["ping"]]


def test_all_references_lead_to_components(document: Any) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        root, components, schemas, name = reference.split("/")
        assert (root, components, schemas) == ("#", "components", "schemas")
        assert name in document["components"]["schemas"]
    assert "$defs" not in json.dumps(document)


def test_a_plugins_types_are_described(document: Any) -> None:
    (paint,) = (each for each in document["methods"] if each["name"] == "painter.paint")
    assert [(param["name"], param["required"]) for param in paint["params"]] == [
        ("colour", True),
        ("shade", False),
    ]
    assert paint["x-role"] == "operator"
    assert paint["result"]["schema"] == {"$ref": "#/components/schemas/Outer"}
    assert document["components"]["schemas"]["Colour"]["enum"] == ["red"]


async def test_discover_answers_with_it_to_anybody(toy: "Toy") -> None:
    async with toy.peer() as peer:
        first = await peer.result("rpc.discover")
        assert first == await peer.result("rpc.discover")
    assert first["info"] == {"title": "toy", "version": "0", "x-contract-version": CONTRACT_VERSION}
    assert {each["name"] for each in first["methods"]} == {method.name for method in toy.table}
