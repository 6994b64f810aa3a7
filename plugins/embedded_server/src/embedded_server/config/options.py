"""Decoding of request bodies to typed options, with the error texts of Go's JSON decoder."""

import ipaddress
import json
import math
import re
from collections.abc import Mapping
from typing import NoReturn

from embedded_server.config.defaults import DEPRECATED_PATH_KEYS, GLOBAL, NEWER_THAN_LEGACY, PATH
from embedded_server.config.gotext import (
    ConfigRefused,
    Json,
    duration_text,
    parse_duration,
    parse_size,
    size_text,
)
from embedded_server.config.names import pattern_of

__all__ = ("global_options", "path_options")

_DURATION = re.compile(r"(Timeout|After|Duration)\Z")
_SIZE = re.compile(r"(recordMaxPartSize|hlsSegmentMaxSize)\Z")
_FLOAT = re.compile(r"rpiCamera(Brightness|Contrast|Saturation|Sharpness|Gain|EV|FPS|LensPosition)\Z")
_CONTEXT = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ',' delimiter": "after object key:value pair",
    "Expecting ':' delimiter": "after object key",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}
#: Levels of nesting; valid options have at most four.
_MAX_DEPTH = 16
#: Digits of a number; no option takes more than 64 bits.
_MAX_DIGITS = 40
_MAX_INT = 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
_ACTIONS = ("publish", "read", "playback", "api", "metrics", "pprof")


def path_options(body: bytes, *, legacy: bool = False) -> dict[str, Json]:
    """Decode the options of a path, normalised; `null` means not set.

    Raises:
        ConfigRefused: the body is invalid; the message is MediaMTX's.
    """
    given = _object(body)
    given.pop("name", None)
    hidden = NEWER_THAN_LEGACY if legacy else frozenset[str]()
    return _typed(
        given, {key: value for key, value in PATH.items() if key not in hidden}, DEPRECATED_PATH_KEYS
    )


def global_options(body: bytes) -> dict[str, Json]:
    """Decode the options of the server, normalised; `null` means not set.

    Raises:
        ConfigRefused: the body is invalid; the message is MediaMTX's.
    """
    given = _object(body)
    users = given.pop("authInternalUsers", None)
    options = _typed(given, GLOBAL, frozenset())
    if users is not None:
        options["authInternalUsers"] = _users(users)
    return options


def _object(body: bytes) -> dict[str, Json]:
    try:
        text = body.decode()
        value: Json = _clean(
            json.loads(text, parse_constant=_no_constant, parse_int=_integer, parse_float=_fraction), 0
        )
    except json.JSONDecodeError as error:
        raise ConfigRefused(_syntax_error(text, error)) from None
    except (UnicodeDecodeError, RecursionError):
        raise ConfigRefused("invalid character '\\u00ff' looking for beginning of value") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        _wrong_type(value, "map[string]json.RawMessage")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ConfigRefused(f"invalid character '{text[0]}' looking for beginning of value")


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS or abs(int(text)) > _MAX_INT:
        raise ConfigRefused(f"json: cannot unmarshal number {text[:_MAX_DIGITS]} into Go value of type int")
    return int(text)


def _fraction(text: str) -> float:
    if len(text) > 10 * _MAX_DIGITS or not math.isfinite(float(text)):
        raise ConfigRefused(
            f"json: cannot unmarshal number {text[:_MAX_DIGITS]} into Go value of type float64"
        )
    return float(text)


def _clean(value: Json, depth: int) -> Json:
    """Replace lone surrogates, which UTF-8 cannot encode, as Go does; refuse excessive nesting."""
    if depth > _MAX_DEPTH:
        raise ConfigRefused("exceeded max depth")
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_clean(each, depth + 1) for each in value]
    if isinstance(value, dict):
        return {_SURROGATE.sub("\ufffd", key): _clean(each, depth + 1) for key, each in value.items()}
    return value


def _syntax_error(text: str, error: json.JSONDecodeError) -> str:
    message = error.msg
    position = error.pos
    if message.startswith("Unterminated") or position >= len(text.rstrip()):
        return "unexpected end of JSON input"
    if message.startswith("Illegal trailing comma"):  # Python 3.13 points at the comma, Go at the next token
        position += 1 + len(text[position + 1 :]) - len(text[position + 1 :].lstrip())
    context = next((said for start, said in _CONTEXT.items() if message.startswith(start)), "in literal")
    return f"invalid character '{text[position]}' {context}"


def _wrong_type(value: Json, wanted: str) -> NoReturn:
    if isinstance(value, bool):
        kind = "bool"
    elif isinstance(value, (int, float)):
        kind = f"number {value}" if wanted in ("int", "uint") else "number"
    else:
        kind = "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
    raise ConfigRefused(f"json: cannot unmarshal {kind} into Go value of type {wanted}")


def _typed(given: Mapping[str, Json], known: Mapping[str, Json], ignored: frozenset[str]) -> dict[str, Json]:
    for key in given:
        if key not in known and key not in ignored:
            raise ConfigRefused(f"json: unknown field {json.dumps(key)}")
    return {key: _value(key, given[key], known[key]) for key in known if given.get(key) is not None}


def _value(key: str, value: Json, default: Json) -> Json:
    if isinstance(default, bool):
        return value if isinstance(value, bool) else _wrong_type(value, "bool")
    if isinstance(default, str):
        return _text(key, value)
    if isinstance(default, list):
        return _list(value, default)
    if _FLOAT.match(key):
        return value if _is_number(value) else _wrong_type(value, "float64")
    if isinstance(value, bool) or not isinstance(value, int):
        _wrong_type(value, "int")
    return value


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(key: str, value: Json) -> str:
    if not isinstance(value, str):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise ConfigRefused("json: cannot unmarshal number into Go value of type string")
        _wrong_type(value, "string")
    if key == "recordFormat" and value not in ("fmp4", "mpegts"):
        raise ConfigRefused(f"invalid record format '{value}'")
    if _DURATION.search(key):
        return duration_text(parse_duration(value))
    return size_text(parse_size(value)) if _SIZE.match(key) else value


def _list(value: Json, default: list[Json]) -> Json:
    if not isinstance(value, list):
        _wrong_type(value, f"[]{'uint' if default and isinstance(default[0], int) else 'string'}")
    return value


def _users(value: Json) -> list[Json]:
    if not isinstance(value, list):
        _wrong_type(value, "[]json.RawMessage")
    return [_user(entry, f"authInternalUsers[{index}]") for index, entry in enumerate(value)]


def _user(value: Json, where: str) -> Json:
    entry = _entry(value, ("user", "pass", "ips", "permissions"), where)
    permissions = entry.get("permissions")
    if permissions is not None and not isinstance(permissions, list):
        _wrong_type(permissions, "[]json.RawMessage")
    return {
        "user": _string(entry.get("user")),
        "pass": _string(entry.get("pass")),
        "ips": _networks(entry.get("ips")),
        "permissions": [
            _permission(one, f"{where}.permissions[{index}]") for index, one in enumerate(permissions or [])
        ],
    }


def _entry(value: Json, keys: tuple[str, ...], where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        _wrong_type(value, "map[string]json.RawMessage")
    for key in value:
        if key not in keys:
            raise ConfigRefused(f"json: unknown field {json.dumps(f'{where}.{key}')}")
    return value


def _string(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _wrong_type(value, "string")


def _permission(value: Json, where: str) -> Json:
    entry = _entry(value, ("action", "path"), where)
    action = _string(entry.get("action"))
    if action not in _ACTIONS:
        raise ConfigRefused(f"invalid auth action: '{action}'")
    path = _string(entry.get("path"))
    if path.startswith("~"):
        pattern_of(path)
    return {"action": action, "path": path}


def _networks(value: Json) -> Json:
    if value is None:
        return None
    if not isinstance(value, list):
        _wrong_type(value, "[]string")
    try:
        return [str(ipaddress.ip_network(_string(one), strict=False)) for one in value]
    except ValueError as error:
        raise ConfigRefused(f"unable to parse IP/CIDR: {error}") from None
