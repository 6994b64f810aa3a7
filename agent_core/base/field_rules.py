"""Rules for the fields of values that foreign code returned, and the words that describe a breach.

Type annotations do not bind a plugin: each package checks the values it takes over by these rules.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

__all__ = (
    "Rule",
    "first_breach",
    "is_number",
    "is_size",
    "is_text",
    "is_whole",
    "kind_of",
    "optional",
    "tuple_of",
)

#: What a message says is expected, such as "a text", and the test of the value.
Rule = tuple[str, Callable[[Any], bool]]


def is_text(value: object) -> bool:
    """Return True for a text that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def is_number(value: object) -> bool:
    """Return True for a finite number that a float can hold; bools do not count as numbers."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_whole(value: object) -> bool:
    """Return True for a whole number; bools do not count as numbers."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_size(value: object) -> bool:
    """Return True for a whole number above 0."""
    return is_whole(value) and value > 0  # type: ignore[operator] # a whole number


def optional(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return `rule` extended to accept None."""
    return lambda value: value is None or rule(value)


def tuple_of(member: type) -> Callable[[Any], bool]:
    """Return a test for tuples whose items are all instances of `member`."""
    return lambda value: isinstance(value, tuple) and all(isinstance(each, member) for each in value)


def first_breach(value: object, rules: Mapping[str, Rule]) -> str:
    """Return the first broken rule as the end of a sentence; empty if the value keeps all rules."""
    for name, (expected, is_kept) in rules.items():
        if not is_kept(getattr(value, name)):
            return f"whose {name} is not {expected}"
    return ""


def kind_of(value: object) -> str:
    """Return the type's name; for a class, "the class" and its name."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
