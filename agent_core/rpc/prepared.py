"""A result whose JSON is there already."""

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ("Prepared",)

ModelT = TypeVar("ModelT")


@dataclass(frozen=True, slots=True)
class Prepared(Generic[ModelT]):
    """What a handler may return instead of a `model`: the JSON that a valid one had, made once and sent often.

    A method takes it only where `model` is its declared result, so the schema holds for what is sent.
    """

    model: type[ModelT]
    text: str
