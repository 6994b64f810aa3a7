"""Settings that a reload changes without a restart: their mark, and the comparison of two configurations by it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema

__all__ = ("HOT", "KeyChange", "changes", "is_hot", "with_keys")

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class _Hot:
    """Type of `HOT`; the JSON schema shows a marked setting by `"hot": true`."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(core_schema), "hot": True}


#: Marks a setting that a running agent takes over at a reload: `level: Annotated[str, HOT] = "info"`.
HOT: Final = _Hot()


@dataclass(frozen=True, slots=True)
class KeyChange:
    """Setting with another value than before. `key` has its tables, such as `server.max_calls`."""

    key: str
    is_hot: bool


def is_hot(model: type[BaseModel], name: str) -> bool:
    """Return True if the field `name` of `model` is marked."""
    return HOT in model.model_fields[name].metadata


def changes(old: BaseModel, new: BaseModel, prefix: str = "") -> Iterator[KeyChange]:
    """Yield the fields with different values, in the order of the models; those of a table one by one.

    Args:
        old: the settings in effect.
        new: settings of the same class.
        prefix: precedes each key, such as `plugins.v4l2_tier.`.
    """
    model = type(old)
    for name in model.model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if isinstance(before, BaseModel) and type(before) is type(after):
            yield from changes(before, after, f"{prefix}{name}.")
        else:
            yield KeyChange(f"{prefix}{name}", is_hot(model, name))


def with_keys(old: ModelT, new: ModelT, keys: Collection[str], prefix: str = "") -> ModelT:
    """Return `old` with the values that `new` has for `keys`, which `changes` has named."""
    update: dict[str, object] = {}
    for name in type(old).model_fields:
        before, after, key = getattr(old, name), getattr(new, name), f"{prefix}{name}"
        if key in keys:
            update[name] = after
        elif isinstance(before, BaseModel) and any(each.startswith(f"{key}.") for each in keys):
            update[name] = with_keys(before, after, keys, f"{key}.")
    return old.model_copy(update=update) if update else old
