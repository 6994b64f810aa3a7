"""The document of a whole agent against the meta-schema of OpenRPC, without a network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from agent_core.rpc.openrpc import OPENRPC_VERSION
from agent_core.testing import document_of

FOLDER = Path(__file__).parents[1] / "fixtures/openrpc"


def meta_schema(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


@pytest.fixture
def judge() -> Draft7Validator:
    """The meta-schema, with the version that its release would fill in; all references lead to the two files."""
    openrpc, json_schema = meta_schema("openrpc.json"), meta_schema("json-schema.json")
    openrpc["properties"]["openrpc"]["enum"] = [OPENRPC_VERSION]
    here = {
        address: Resource.from_contents(json_schema, default_specification=DRAFT7)
        for address in ("https://meta.json-schema.tools", "https://meta.json-schema.tools/")
    }
    return Draft7Validator(openrpc, registry=Registry().with_resources(here.items()))


@pytest.fixture
async def document() -> Any:
    return await document_of()


def faults(judge: Draft7Validator, document: Any) -> list[str]:
    """Return where the document differs from the meta-schema, the innermost places first named."""
    found = []
    for error in judge.iter_errors(document):
        deepest = max([error, *(error.context or ())], key=lambda each: len(each.absolute_path))
        found.append(f"{'/'.join(map(str, deepest.absolute_path))}: {deepest.message[:200]}")
    return found


async def test_the_document_is_valid(judge: Draft7Validator, document: Any) -> None:
    assert faults(judge, document) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["methods"][0].pop("params"),
        lambda document: document["methods"][0].update(more=1),
        lambda document: document["methods"][0]["result"].update(schema={"type": "thing"}),
        lambda document: document["methods"][0]["examples"][0].pop("params"),
        lambda document: document["methods"][0]["errors"][0].update(code="x"),
        lambda document: document["info"].pop("version"),
    ],
)
async def test_the_meta_schema_sees_faults(judge: Draft7Validator, document: Any, spoil: Any) -> None:
    spoil(document)
    assert faults(judge, document)


def properties(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.get("properties", {}).values() if isinstance(value.get("properties"), dict) else ()
        for each in value.values():
            yield from properties(each)
    elif isinstance(value, list):
        for each in value:
            yield from properties(each)


async def test_no_property_has_a_title(document: Any) -> None:
    found = [*properties(document["components"])]
    assert len(found) > 100
    assert [each for each in found if "title" in each] == []


async def test_examples_are_valid_by_the_schemas_beside_them(document: Any) -> None:
    registry = Registry().with_resource(
        "doc:", Resource.from_contents(document, default_specification=DRAFT7)
    )

    def check(schema: Any, value: Any) -> None:
        text = json.dumps(schema).replace('"#/components', '"doc:#/components')
        Draft202012Validator(json.loads(text), registry=registry).validate(value)

    for method in document["methods"]:
        params = {each["name"]: each["schema"] for each in method["params"]}
        required = {each["name"] for each in method["params"] if each["required"]}
        for example in method["examples"]:
            given = {each["name"]: each["value"] for each in example["params"]}
            assert required <= given.keys() <= params.keys(), method["name"]
            for name, value in given.items():
                check(params[name], value)
            check(method["result"]["schema"], example["result"]["value"])
