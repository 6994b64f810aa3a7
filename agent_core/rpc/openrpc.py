"""OpenRPC document, generated from the types that validate calls."""

from typing import Literal

from pydantic import JsonValue, TypeAdapter

from agent_core.base.errors import (
    AgentError,
    AuthenticationFailed,
    InvalidParams,
    PermissionDenied,
    RateLimited,
)
from agent_core.rpc.errors import CODES, INTERNAL_ERROR, WireCode
from agent_core.rpc.table import Method, MethodTable

__all__ = ("OPENRPC_VERSION", "Document", "openrpc_document")

OPENRPC_VERSION = "1.3.2"

Document = dict[str, JsonValue]
_Part = Literal["params", "result"]
_Key = tuple[str, _Part]


_PROPERTIES = TypeAdapter(dict[str, JsonValue])
_NAMES = TypeAdapter(list[str])


def openrpc_document(table: MethodTable, *, title: str, version: str) -> Document:
    """Return the description of all methods in `table`; shared and nested types are in `components`."""
    schemas, components = _schemas(table)
    methods: list[JsonValue] = [
        _method(method, schemas[method.name, "params"], schemas[method.name, "result"], components)
        for method in table
    ]
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": title, "version": version},
        "methods": methods,
        "components": {"schemas": components},
    }


def _schemas(table: MethodTable) -> tuple[dict[_Key, Document], Document]:
    inputs: list[tuple[_Key, Literal["validation", "serialization"], TypeAdapter[object]]] = []
    for method in table:
        inputs.append(((method.name, "params"), "validation", TypeAdapter(method.Params)))
        inputs.append(((method.name, "result"), "serialization", method.result_type))
    found, shared = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    return {key: schema for (key, _), schema in found.items()}, shared.get("$defs", {})


def _method(method: Method, params: Document, result: Document, components: Document) -> Document:
    model = _resolved(params, components)
    properties = _PROPERTIES.validate_python(model.get("properties", {}))
    required = _NAMES.validate_python(model.get("required", []))
    return {
        "name": method.name,
        "summary": method.summary,
        "params": [
            _descriptor(name, properties[name], required=name in required) for name in method.parameters.names
        ],
        "result": {"name": f"{method.name}_result", "schema": result},
        "errors": [_error(code) for code in _codes(method)],
        "paramStructure": "either" if method.parameters.takes_positions else "by-name",
        "x-role": str(method.role) if method.role is not None else "none",
    }


def _descriptor(name: str, schema: JsonValue, *, required: bool) -> Document:
    descriptor: Document = {"name": name, "required": required, "schema": schema}
    if isinstance(schema, dict) and "description" in schema:
        descriptor["description"] = schema["description"]
    return descriptor


def _resolved(schema: Document, components: Document) -> Document:
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    target = components[reference.rpartition("/")[2]]
    return target if isinstance(target, dict) else {}


def _codes(method: Method) -> list[WireCode]:
    """Return the codes of any call, those of protected methods, and the method's own."""
    always: tuple[type[AgentError], ...] = (InvalidParams, RateLimited)
    guarded: tuple[type[AgentError], ...] = (AuthenticationFailed, PermissionDenied) if method.role else ()
    named = [
        next(CODES[each] for each in kind.__mro__ if each in CODES)
        for kind in (*always, *guarded, *method.errors)
    ]
    return list(dict.fromkeys((*named, INTERNAL_ERROR)))


def _error(code: WireCode) -> Document:
    return {"code": code.code, "message": code.message}
