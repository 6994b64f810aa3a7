"""Members without a value are left out, so that no document may promise them."""

from typing import Any

import pytest

from agent_core.api.contract import core_methods, core_topics
from agent_core.api.metrics import metrics_methods
from agent_core.rpc.openrpc import openrpc_document
from agent_core.rpc.table import Method, MethodTable

METHODS = [*core_methods(None, None), *metrics_methods(None, None)]  # type: ignore[arg-type]
TOPICS = core_topics(None, None)  # type: ignore[arg-type]


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
    document: Any = openrpc_document(MethodTable([method]), TOPICS, title="", version="")
    (described,) = document["methods"]
    assert method.omit_none
    assert promised_nulls(described["result"], document["components"]["schemas"], set()) == []


def test_what_events_leave_out_is_not_required() -> None:
    document: Any = openrpc_document(MethodTable(), TOPICS, title="", version="")
    for event in document["x-notifications"]:
        required = [each["name"] for each in event["params"] if each["required"]]
        nullable = [each["name"] for each in event["params"] if allows_null(each["schema"])]
        assert not set(required) & set(nullable), event["name"]
        inner = [each["schema"] for each in event["params"]]
        assert promised_nulls(inner, document["components"]["schemas"], set()) == [], event["name"]
