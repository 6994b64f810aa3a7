"""Path names: which are allowed, and which configuration answers for a name."""

import re
from collections.abc import Iterable

from embedded_server.gotext import ConfigRefused

__all__ = ("ALL_OTHERS", "check_name", "is_pattern", "match", "pattern_of", "why_bad")

ALL_OTHERS = ("all_others", "all", "~^.*$")
_ALLOWED = re.compile(r"[0-9a-zA-Z_\-/.]+\Z")


def why_bad(name: str) -> str:
    """The server's words for a name that is not allowed, empty for a good one."""
    if not name:
        return "cannot be empty"
    if name.startswith("/"):
        return "can't begin with a slash"
    if name.endswith("/"):
        return "can't end with a slash"
    if not _ALLOWED.match(name):
        return "can contain only alphanumeric characters, underscore, dot, minus, slash"
    if {".", ".."} & set(name.split("/")):
        return "can't contain dot path segments"
    return ""


def is_pattern(name: str) -> bool:
    return name.startswith("~") or name in ALL_OTHERS


def pattern_of(name: str) -> re.Pattern[str]:
    """The expression of a pattern's name; Go's syntax and ours agree on what names can need.

    Raises:
        ConfigRefused: it is none.
    """
    text = "^.*$" if name in ALL_OTHERS else name[1:]
    try:
        return re.compile(text)
    except re.error:
        raise ConfigRefused(f"invalid regular expression: {text}") from None


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a path configuration.

    Raises:
        ConfigRefused: with the server's words.
    """
    if is_pattern(name):
        pattern_of(name)
    elif reason := why_bad(name):
        raise ConfigRefused(f"invalid path name '{name}': {reason}")


def match(name: str, configured: Iterable[str]) -> tuple[str, tuple[str, ...]] | None:
    """The configuration for `name` and the groups of its expression: exact, then patterns by name, then the rest.

    Raises:
        ConfigRefused: `name` is not allowed.
    """
    if reason := why_bad(name):
        raise ConfigRefused(f"invalid path name: {reason} ({name})")
    names = set(configured)
    if name in names and not is_pattern(name):
        return name, ()
    for candidate in sorted(filter(is_pattern, names), key=lambda one: (one in ALL_OTHERS, one)):
        if found := pattern_of(candidate).search(name):
            return candidate, tuple(group or "" for group in found.groups())
    return None
