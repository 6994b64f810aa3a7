"""Path names: rules for them, and the configuration that applies to a name."""

import re
from collections.abc import Iterable

from embedded_server.config.gotext import ConfigRefused

__all__ = ("ALL_OTHERS", "check_name", "is_pattern", "match", "matches", "pattern_of", "why_bad")

ALL_OTHERS = ("all_others", "all", "~^.*$")
_ALLOWED = re.compile(r"[0-9a-zA-Z_\-/.]+\Z")
#: Characters: a name becomes part of a file name and is matched against regular expressions.
_MAX_NAME = 255
#: Repetitions and choices in an expression. Python's engine backtracks, unlike Go's: the time grows with the length of
#: the name to the power of this number, and exponentially for nested repetitions.
_MAX_CHOICES = 3
_MAX_ALTERNATIVES = 16
_IRRELEVANT = re.compile(r"\\.|\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
_REPETITION = re.compile(r"[*+?{]")
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_SPECIAL_GROUP = re.compile(r"\(\?(?!:)")
_BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")


def why_bad(name: str) -> str:
    """Return MediaMTX's reason to refuse `name`, empty for a valid name."""
    if not name:
        return "cannot be empty"
    if name.startswith("/") or name.endswith("/"):
        return f"can't {'begin' if name.startswith('/') else 'end'} with a slash"
    if len(name) > _MAX_NAME:
        return f"can't be longer than {_MAX_NAME} characters"
    if not _ALLOWED.match(name):
        return "can contain only alphanumeric characters, underscore, dot, minus, slash"
    if {".", ".."} & set(name.split("/")):
        return "can't contain dot path segments"
    return ""


def is_pattern(name: str) -> bool:
    return name.startswith("~") or name in ALL_OTHERS


def pattern_of(name: str) -> re.Pattern[str]:
    """Compile the name of a pattern; Go's and Python's syntax agree on all that names need.

    Raises:
        ConfigRefused: `name` is not a valid expression, or matching it could take very long.
    """
    text = "^.*$" if name in ALL_OTHERS else name[1:]
    try:
        found = re.compile(text)
    except (re.error, OverflowError, RecursionError):
        raise ConfigRefused(f"invalid regular expression: {text}") from None
    if not _is_cheap(text):
        raise ConfigRefused(f"regular expression is too complex for this server: {text}")
    return found


def _is_cheap(text: str) -> bool:
    plain = _IRRELEVANT.sub("x", text)
    if len(text) > _MAX_NAME or _BACK_REFERENCE.search(text):
        return False
    if _REPEATED_GROUP.search(plain) or _SPECIAL_GROUP.search(plain):
        return False
    plain = plain.replace("(?:", "(")
    alternatives = plain.count("|")
    choices = min(alternatives, plain.count("(") + 1)
    return alternatives <= _MAX_ALTERNATIVES and len(_REPETITION.findall(plain)) + choices <= _MAX_CHOICES


def matches(pattern: str, name: str) -> re.Match[str] | None:
    """Match `name` against the name of a pattern."""
    return pattern_of(pattern).search(name) if len(name) <= _MAX_NAME else None


def check_name(name: str) -> None:
    """Check the name of a path configuration.

    Raises:
        ConfigRefused: the name is invalid; the message is MediaMTX's.
    """
    if is_pattern(name):
        pattern_of(name)
    elif reason := why_bad(name):
        raise ConfigRefused(f"invalid path name '{name}': {reason}")


def match(name: str, configured: Iterable[str]) -> tuple[str, tuple[str, ...]] | None:
    """Find the configuration for `name`: an exact name, else the first pattern by name, else `all_others`.

    Returns:
        The name of the configuration and the groups matched by its expression; None if there is none.

    Raises:
        ConfigRefused: `name` is invalid.
    """
    if reason := why_bad(name):
        raise ConfigRefused(f"invalid path name: {reason} ({name})")
    names = set(configured)
    if name in names and not is_pattern(name):
        return name, ()
    for candidate in sorted(filter(is_pattern, names), key=lambda one: (one in ALL_OTHERS, one)):
        if found := matches(candidate, name):
            return candidate, tuple(group or "" for group in found.groups())
    return None
