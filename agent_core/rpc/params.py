"""From the params of a call to a validated model, or to a sentence that says which one is wrong and why."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from agent_core.errors import InvalidParams

__all__ = ("nearest", "ordered_params", "validate_params")

P = TypeVar("P", bound=BaseModel)

_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})
_BY_NAME = "Send an object with the parameters' names."


def validate_params(model: type[P], params: Mapping[str, object] | Sequence[object]) -> P:
    """`params` as `model`; text is not taken for a number, nor true for 1.

    Raises:
        InvalidParams: says which parameter breaks which rule, never its value, which may be a secret.
    """
    named = params if isinstance(params, Mapping) else {}
    if not isinstance(params, Mapping) and model.model_config.get("extra") != "allow":
        named = _named(model, params)
    try:
        return model.model_validate_json(json.dumps(named) if named else "{}", strict=True)
    except ValidationError as error:
        raise _explained(model, error) from error


def nearest(wrong: str, known: Sequence[str], *, otherwise: str = "") -> str:
    """A hint with up to three of `known` that look like `wrong`."""
    near = difflib.get_close_matches(wrong[:100], known, n=3)
    return f"Did you mean {' or '.join(repr(each) for each in near)}?" if near else otherwise


def ordered_params(model: type[BaseModel]) -> tuple[str, ...]:
    """The wire names in positional order: required ones first, each kind as declared."""
    fields = model.model_fields.items()
    required = [field.alias or name for name, field in fields if field.is_required()]
    return (*required, *(field.alias or name for name, field in fields if not field.is_required()))


def takes_positions(model: type[BaseModel]) -> bool:
    """Whether every parameter is scalar, so that an array of them is unambiguous."""
    schema = model.model_json_schema()
    return all(_is_scalar(each, schema.get("$defs", {})) for each in schema.get("properties", {}).values())


def _is_scalar(schema: Mapping[str, object], definitions: Mapping[str, Mapping[str, object]]) -> bool:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _is_scalar(definitions[reference.rpartition("/")[2]], definitions)
    alternatives = schema.get("anyOf")
    if isinstance(alternatives, list):
        return all(_is_scalar(each, definitions) for each in alternatives)
    return schema.get("type") in _SCALARS or "enum" in schema or "const" in schema


def _named(model: type[BaseModel], values: Sequence[object]) -> dict[str, object]:
    names = ordered_params(model)
    if not takes_positions(model):
        raise InvalidParams(
            "This method does not take its parameters by position.",
            param="params",
            rule="by_name",
            hint=_BY_NAME,
        )
    if len(values) > len(names):
        raise InvalidParams(
            f"The method takes {len(names)} parameters, and {len(values)} came.",
            param="params",
            rule="too_many",
            hint=f"In this order: {', '.join(names)}." if names else "It takes none.",
        )
    return dict(zip(names, values, strict=False))


def _explained(model: type[BaseModel], error: ValidationError) -> InvalidParams:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = ".".join(str(part) for part in first["loc"]) or "params"
    known = ordered_params(model)
    if first["type"] == "extra_forbidden":
        listed = f"Known: {', '.join(known)}." if known else "It takes none."
        hint = nearest(str(first["loc"][-1]), known, otherwise=listed) if len(first["loc"]) == 1 else ""
        return InvalidParams(
            "There is no such parameter.", param=param[:100], rule="unknown", hint=hint or _BY_NAME
        )
    if first["type"] == "missing":
        return InvalidParams(
            f"The parameter {param} is missing.", param=param, rule="required", hint=f"Send {param}."
        )
    message = first["msg"].removeprefix("Value error, ")
    return InvalidParams(f"{param}: {message}.", param=param, rule=first["type"], hint=message)
