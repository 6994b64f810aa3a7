"""Members without a value are left out, so that no document may promise them."""

from typing import Any

import pytest

from agent_core.api.contract import core_methods
from agent_core.rpc.openrpc import openrpc_document
from agent_core.rpc.table import Method, MethodTable

METHODS = core_methods(None, None)  # type: ignore[arg-type]


def allows_null(schema: Any) -> bool:
    return any(each.get("type") == "null" for each in schema.get("anyOf", ()))


def promised_nulls(schema: Any, components: Any, seen: set[str]) -> list[str]:
    """Return the members below `schema` that are required, and null without a value."""
    if isinstance(schema, list):
        return [found for each in schema for found in promised_nulls(each, components, seen)]
    if not isinstance(schema, dict):
        return []
    if (name := str(schema.get("$ref", "")).rpartition("/")[2]) and name not in seen:
        seen.add(name)
        return promised_nulls(components[name], components, seen)
    members = schema.get("properties", {})
    own = [key for key in schema.get("required", ()) if allows_null(members.get(key, {}))]
    return own + promised_nulls(list(schema.values()), components, seen)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_what_may_be_left_out_is_not_required(method: Method) -> None:
    document: Any = openrpc_document(MethodTable([method]), title="", version="")
    (described,) = document["methods"]
    assert method.omit_none
    assert promised_nulls(described["result"], document["components"]["schemas"], set()) == []
