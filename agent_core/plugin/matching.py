"""Settings tables of a source, each for the cameras that its `match` means."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Generic, Protocol, TypeVar

__all__ = ("MatchedTables", "Table", "each_id_once", "each_matched_once", "matches")


class Table(Protocol):
    """Settings of the cameras that `match` means, with the public `id` that they give."""

    @property
    def match(self) -> str: ...

    @property
    def id(self) -> str | None: ...


TableT = TypeVar("TableT", bound=Table)


def matches(match: str, text: str) -> bool:
    """Return whether `match` means `text`: literally, by `*` and `?`, or also by sets of characters in brackets.

    Names of cameras have brackets, so these are first taken as they are.
    """
    return text == match or _by_wildcards(match, text) or fnmatchcase(text, match)


def _by_wildcards(match: str, text: str) -> bool:
    wildcards = {"*": ".*", "?": "."}
    pattern = "".join(wildcards.get(each) or re.escape(each) for each in match)
    return re.fullmatch(pattern, text, re.DOTALL) is not None


class MatchedTables(Generic[TableT]):
    """Tables in their order; it remembers which have been used."""

    def __init__(self, tables: Sequence[TableT]) -> None:
        self._tables = tables
        self._used: set[str] = set()

    def of(self, names: Iterable[str]) -> TableT | None:
        """Return the first table whose `match` means one of a camera's `names`, or None."""
        known = [name for name in names if name]
        for table in self._tables:
            if any(matches(table.match, name) for name in known):
                self._used.add(table.match)
                return table
        return None

    @property
    def unused(self) -> tuple[str, ...]:
        """`match` of each table that has meant no camera so far."""
        return tuple(table.match for table in self._tables if table.match not in self._used)


def each_matched_once(tables: tuple[TableT, ...]) -> tuple[TableT, ...]:
    """Return `tables`; a validator for pydantic.

    Raises:
        ValueError: two have the same `match`.
    """
    if twice := _twice(table.match for table in tables):
        raise ValueError(f"there are two tables with match {twice!r}; the second never applies: remove it")
    return tables


def each_id_once(tables: tuple[TableT, ...]) -> tuple[TableT, ...]:
    """Return `tables`; a validator for pydantic.

    Raises:
        ValueError: two have the same `id`.
    """
    if twice := _twice(table.id for table in tables if table.id):
        raise ValueError(f"there are two tables with id {twice!r}; give one of them another id")
    return tables


def _twice(values: Iterable[str | None]) -> str | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)
