"""Parser of TOML that refuses what Python's parser accepts, or fails at, and the agent cannot use.

Apart from `loading`, whose merging and comparing rely on these limits.
"""

import tomllib
from collections.abc import Iterable
from typing import Any

__all__ = ("parse_toml",)

#: The tables of a plugin have three or four; comparing and merging recurse.
_MOST_LEVELS = 64
#: Integers that TOML requires; a larger one is not even a floating-point number.
_INTEGERS = range(-(1 << 63), 1 << 63)


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML document.

    Raises:
        ValueError: it is not TOML, has an integer of more than 64 bits, or is nested deeper than 64 levels. The message
            names the place, and no value.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python's own limit on digits
        raise _too_large("a number") from None
    _check(values)
    return values


def _check(values: dict[str, Any]) -> None:
    level: list[tuple[str, object]] = list(values.items())
    for _ in range(_MOST_LEVELS):
        for place, value in level:
            if isinstance(value, int) and value not in _INTEGERS:
                raise _too_large(place)
        level = [below for place, value in level for below in _below(place, value)]
    if level:
        raise _too_deep()


def _below(place: str, value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, dict):
        return ((f"{place}.{key}", each) for key, each in value.items())
    if isinstance(value, list):
        return ((place, each) for each in value)
    return ()


def _too_deep() -> ValueError:
    return ValueError(f"it is nested deeper than {_MOST_LEVELS} levels")


def _too_large(place: str) -> ValueError:
    return ValueError(f"{place} has more than 64 bits")
