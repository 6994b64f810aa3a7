"""OpenRPC document, generated from the types that validate calls."""

from collections.abc import Iterable
from typing import Literal

from pydantic import JsonValue, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import DataclassField, ModelField, TypedDictField

from agent_core.rpc.errors import CODES, INTERNAL_ERROR, WireCode
from agent_core.rpc.table import Method, MethodTable
from agent_core.rpc.topics import EventTopics, Notification

__all__ = ("OPENRPC_VERSION", "Document", "openrpc_document")

OPENRPC_VERSION = "1.3.2"

Document = dict[str, JsonValue]
_Part = Literal["params", "result", "event"]
_Key = tuple[str, _Part]


_Field = ModelField | DataclassField | TypedDictField

_PROPERTIES = TypeAdapter(dict[str, JsonValue])
_NAMES = TypeAdapter(list[str])


class _WithoutTitles(GenerateJsonSchema):
    """Generator that gives members no titles: a generator of clients would take equal ones for one type."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def field_is_required(self, field: _Field, total: bool) -> bool:  # noqa: FBT001 - the signature of pydantic
        """Require members of results and events that have a default: only those without a value are left out."""
        inner = field["schema"]
        if self.mode == "serialization" and inner["type"] == "default" and "default" in inner:
            return inner["default"] is not None
        return super().field_is_required(field, total)


def openrpc_document(
    table: MethodTable, topics: EventTopics, *, title: str, version: str, contract_version: str = ""
) -> Document:
    """Return the description of all methods in `table` and of the events of `topics`.

    Shared and nested types are in `components`, each under a title that no other has. OpenRPC knows no events: they are in
    `x-notifications`, described like methods, with the names of the topic to subscribe to in `x-topics`.

    Args:
        table: the methods.
        topics: the topics.
        title: name of the program.
        version: version of the program.
        contract_version: version of the contract, "MAJOR.MINOR"; left out if empty.
    """
    schemas, components = _schemas(table, topics)
    methods: list[JsonValue] = [
        _method(method, schemas[method.name, "params"], schemas[method.name, "result"], components)
        | _example(method, table)
        for method in table
    ]
    info: Document = {"title": title, "version": version}
    if contract_version:
        info["x-contract-version"] = contract_version
    return {
        "openrpc": OPENRPC_VERSION,
        "info": info,
        "methods": methods,
        "x-notifications": [
            _event(each, schemas.get((each.method, "event"), {}), components) for each in topics.notifications
        ],
        "components": {"schemas": components, "errors": _errors()},
    }


def _errors() -> Document:
    """Return all errors by name, those that any call can end with before a method is found included."""
    codes = (*CODES.values(), INTERNAL_ERROR)
    return {"".join(each.capitalize() for each in code.message.split()): _error(code) for code in codes}


def _schemas(table: MethodTable, topics: EventTopics) -> tuple[dict[_Key, Document], Document]:
    inputs: list[tuple[_Key, Literal["validation", "serialization"], TypeAdapter[object]]] = []
    for method in table:
        inputs.append(((method.name, "params"), "validation", TypeAdapter(method.Params)))
        inputs.append(((method.name, "result"), "serialization", method.result_type))
    inputs += [
        ((each.method, "event"), "serialization", TypeAdapter(each.form))
        for each in topics.notifications
        if each.form is not None
    ]
    found, shared = TypeAdapter.json_schemas(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=_WithoutTitles
    )
    components: Document = {
        name: {**schema, "title": name} for name, schema in shared.get("$defs", {}).items()
    }
    return {key: schema for (key, _), schema in found.items()}, components


def _method(method: Method, params: Document, result: Document, components: Document) -> Document:
    described: Document = {
        "name": method.name,
        "summary": method.summary,
        "params": _params(params, components, names=method.parameters.names),
        "result": {"name": f"{method.name}_result", "schema": result},
        "errors": [_error(code) for code in method.codes],
        "paramStructure": "either" if method.parameters.takes_positions else "by-name",
        "x-role": str(method.role) if method.role is not None else "none",
    }
    if method.deprecated:
        described["deprecated"] = True
    if method.provided_by is not None:
        described["x-plugin"] = method.provided_by
    return described


def _example(method: Method, table: MethodTable) -> Document:
    """Return the member `examples` of a method; `x-after` names the methods to call before, each by its example."""
    example = method.example() if method.example is not None else None
    if example is None:
        return {}
    params = _PROPERTIES.validate_python(
        example.params.model_dump(mode="json", by_alias=True, exclude_unset=True)
    )
    pairing: Document = {
        "name": method.name,
        "params": [{"name": name, "value": value} for name, value in params.items()],
        "result": {"name": f"{method.name}_result", "value": method.result_value(example.result)},
    }
    before: list[JsonValue] = [name for name in example.after if name in table]
    if before:
        pairing["x-after"] = before
    return {"examples": [pairing]}


def _event(notification: Notification, params: Document, components: Document) -> Document:
    return {
        "name": notification.method,
        "summary": notification.summary,
        "params": _params(params, components),
        "paramStructure": "by-name",
        "x-topics": [*notification.topics],
    }


def _params(schema: Document, components: Document, *, names: Iterable[str] | None = None) -> list[JsonValue]:
    """Return a descriptor of each member of the object `schema`, in the order of `names` or of the schema."""
    model = _resolved(schema, components)
    properties = _PROPERTIES.validate_python(model.get("properties", {}))
    required = _NAMES.validate_python(model.get("required", []))
    return [
        _descriptor(name, properties[name], required=name in required)
        for name in (properties if names is None else names)
    ]


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


def _error(code: WireCode) -> Document:
    return {"code": code.code, "message": code.message}
