"""Validation of a call's parameters, with errors that name the parameter and the broken rule."""

import difflib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent_core.base.errors import InvalidParams

__all__ = ("Parameters", "nearest")

P = TypeVar("P", bound=BaseModel)

_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})
#: Longest part of an unknown name that an error repeats.
_SHOWN_CHARS = 100
_BY_NAME = "Send an object with the parameters' names."


class Parameters(Generic[P]):
    """Parameters of one method, described by `model`."""

    def __init__(self, model: type[P]) -> None:
        self._model = model

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The wire names in positional order: required ones first, each kind as declared."""
        return _ordered_names(self._model)

    @cached_property
    def takes_positions(self) -> bool:
        """True if every parameter is scalar, so that an array of them is unambiguous."""
        schema = self._model.model_json_schema()
        definitions = schema.get("$defs", {})
        return all(_is_scalar(each, definitions) for each in schema.get("properties", {}).values())

    def validate(self, params: Mapping[str, object] | Sequence[object]) -> P:
        """Return `params` as the model; strings are not accepted as numbers, nor true as 1.

        Raises:
            InvalidParams: names the parameter and the broken rule, never the value, which may be a secret.
        """
        named = params if isinstance(params, Mapping) else {}
        if not isinstance(params, Mapping) and self._model.model_config.get("extra") != "allow":
            named = self._named(params)
        _refuse_unknown(self._model, named)
        try:
            return self._model.model_validate_json(json.dumps(named) if named else "{}", strict=True)
        except ValidationError as error:
            raise _explained(self._model, error, named) from error

    def _named(self, values: Sequence[object]) -> dict[str, object]:
        names = self.names
        if not self.takes_positions:
            raise InvalidParams(
                "Parameters by position are not accepted here.",
                param="params",
                rule="by_name",
                hint=_BY_NAME,
            )
        if len(values) > len(names):
            raise InvalidParams(
                f"There are {len(names)} parameters, but {len(values)} values were sent.",
                param="params",
                rule="too_many",
                hint=f"In this order: {', '.join(names)}." if names else "It takes none.",
            )
        return dict(zip(names, values, strict=False))


def nearest(wrong: str, known: Sequence[str], *, otherwise: str = "") -> str:
    """Return a hint with up to three of `known` that resemble `wrong`; `otherwise` if none does."""
    near = difflib.get_close_matches(wrong[:100], known, n=3)
    return f"Did you mean {' or '.join(repr(each) for each in near)}?" if near else otherwise


def _ordered_names(model: type[BaseModel]) -> tuple[str, ...]:
    fields = model.model_fields.items()
    required = [field.alias or name for name, field in fields if field.is_required()]
    return (*required, *(field.alias or name for name, field in fields if not field.is_required()))


def _is_scalar(schema: Mapping[str, object], definitions: Mapping[str, Mapping[str, object]]) -> bool:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _is_scalar(definitions[reference.rpartition("/")[2]], definitions)
    alternatives = schema.get("anyOf")
    if isinstance(alternatives, list):
        return all(_is_scalar(each, definitions) for each in alternatives)
    return schema.get("type") in _SCALARS or "enum" in schema or "const" in schema


def _refuse_unknown(model: type[BaseModel], params: Mapping[str, object], within: str = "") -> None:
    """Refuse the first name that `model`, or a model inside it, does not have.

    This runs before validation: for a misspelled name the error should name it, not the parameter that is missing in
    consequence, and pydantic would describe each of a hundred thousand unknown names.
    """
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    if model.model_config.get("extra") == "forbid":
        for name in params:
            if name not in known:
                raise _unknown(name, _ordered_names(model), within)
    for name, field in known.items():
        value, inner = params.get(name), _model_in(field.annotation)
        if inner is not None and isinstance(value, Mapping):
            _refuse_unknown(inner, value, f"{within}{name}.")


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model in `annotation`, which may also allow None; None if there is not exactly one."""
    found = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
    models = [each for each in found if issubclass(each, BaseModel)]
    return models[0] if len(models) == 1 else None


def _unknown(name: str, known: Sequence[str], within: str) -> InvalidParams:
    listed = f"Known: {', '.join(within + each for each in known)}." if known else "It takes none."
    shown = f"{within}{name}"[:_SHOWN_CHARS]
    return InvalidParams(
        f"There is no parameter {shown!r}.",
        param=shown,
        rule="unknown",
        hint=nearest(name, known, otherwise=listed),
    )


def _explained(model: type[BaseModel], error: ValidationError, params: Mapping[str, object]) -> InvalidParams:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    first = errors[0]
    if first["type"] != "missing":
        first = _of_all_types(errors, params)
    param = (".".join(str(part) for part in first["loc"]) or "params")[:_SHOWN_CHARS]
    if first["type"] == "missing":
        return InvalidParams(
            f"The parameter {param} is missing.", param=param, rule="required", hint=f"Send {param}."
        )
    if first["type"] == "string_pattern_mismatch":  # its message is the pattern, which people cannot read
        form = _description(model, first["loc"]) or "see its schema in rpc.discover"
        return InvalidParams(
            f"{param} does not have the expected form: {form}.",
            param=param,
            rule=first["type"],
            hint=form,
        )
    message = first["msg"].removeprefix("Value error, ").removesuffix(".")
    if message.startswith("Tuple "):  # pydantic's word for a list that is not changed
        message = f"List {message.removeprefix('Tuple ')}"
    return InvalidParams(f"{param}: {message}.", param=param, rule=first["type"], hint=message)


def _of_all_types(errors: Sequence[ErrorDetails], params: Mapping[str, object]) -> ErrorDetails:
    """Return the first error; for a value that may have several types, that of its own type, or one about all types.

    Pydantic then has one error for each type, with the type behind the place.
    """
    location = _place(params, errors[0]["loc"])
    if location == errors[0]["loc"]:
        return errors[0]
    found = [each for each in errors if each["loc"][: len(location)] == location]
    own = next((each for each in found if not each["type"].endswith("_type")), None)
    kinds = " or ".join(each["msg"].removeprefix("Input should be ") for each in found)
    message = own["msg"] if own else f"Input should be {kinds}"
    return {**(own or errors[0]), "type": own["type"] if own else "type", "loc": location, "msg": message}


def _place(value: object, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return the part of `location` that leads into `value`, or names a key of its objects."""
    for depth, part in enumerate(location):
        if part == "[key]":
            continue
        try:
            value = value[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return location[:depth]
    return location


def _description(model: type[BaseModel], location: Sequence[int | str]) -> str | None:
    """Return the description of the field at `location`, or of the nearest field around it."""
    described: str | None = None
    within: type[BaseModel] | None = model
    for part in location:
        fields = (
            {} if within is None else {each.alias or name: each for name, each in within.model_fields.items()}
        )
        if not isinstance(part, str) or part not in fields:
            break
        described = fields[part].description or described
        within = _model_in(fields[part].annotation)
    return described
