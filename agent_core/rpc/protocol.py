"""JSON-RPC 2.0 without I/O: parses messages into calls and refusals, formats replies."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NoReturn, TypeGuard

from agent_core.base.errors import AgentError
from agent_core.rpc.errors import InvalidRequest, ParseFailed, WireError, wire_error

__all__ = (
    "MAX_ANONYMOUS_VALUES",
    "MAX_BATCH",
    "MAX_DEPTH",
    "MAX_VALUES",
    "Call",
    "Message",
    "Refusal",
    "RequestId",
    "batch_reply",
    "error_reply",
    "notification",
    "parse",
    "result_reply",
)

#: Calls in one batch.
MAX_BATCH = 50
#: Nesting depth; far above what any method needs, far below what breaks a JSON parser.
MAX_DEPTH = 64
#: Values and containers in one message; a full batch of our methods has a few hundred.
MAX_VALUES = 10_000
#: The same before `authenticate`: three times a full batch of public calls.
MAX_ANONYMOUS_VALUES = 1000

RequestId = str | int | None

#: The next bracket or comma outside strings. Possessive: no character is matched twice, and an unterminated string
#: extends to the end of the text.
_NEXT_MARK: Final = re.compile(r'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+"?)*+([\[\]{},])', re.DOTALL)
_JSON_SPACE: Final = " \t\r\n"
#: Id of a request whose params, which may be large, come after it, as all known clients send it.
_ID_AT_START: Final = re.compile(
    r'[ \t\r\n]*+\{(?:\s*+"(?:jsonrpc|method)"\s*+:\s*+"[^"\\]{0,200}+"\s*+,)*+\s*+'
    r'"id"\s*+:\s*+(-?(?:0|[1-9][0-9]{0,17}+)|"[^"\\\x00-\x1f]{0,200}+")\s*+,'
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request; without `wants_reply` it is a notification, and `id` is meaningless."""

    id: RequestId
    method: str
    params: dict[str, object] | list[object]
    wants_reply: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reply to an entry that is not a valid request."""

    reply: str


@dataclass(frozen=True, slots=True)
class Message:
    """Content of one text frame. The replies to a batch go out together."""

    entries: tuple[Call | Refusal, ...]
    is_batch: bool


class _DuplicateKey(ValueError):
    pass


def parse(text: str, max_values: int = MAX_VALUES) -> Message:
    """Parse one frame in linear time. Never raises: invalid input becomes a `Refusal`.

    A text that nests too deeply or has more than `max_values` values is refused before any value is created.
    """
    try:
        value = _load(text, max_values)
        if isinstance(value, list):
            return Message(tuple(_entry(each) for each in _checked_batch(value)), is_batch=True)
    except AgentError as error:
        request_id = _id_of(text) if error.reason == "too_many_values" else None
        return Message((_refusal(request_id, error),), is_batch=False)
    return Message((_entry(value),), is_batch=False)


def result_reply(request_id: RequestId, result_json: str) -> str:
    return f'{{"jsonrpc":"2.0","id":{_id_json(request_id)},"result":{result_json}}}'


def error_reply(request_id: RequestId, error: WireError) -> str:
    return f'{{"jsonrpc":"2.0","id":{_id_json(request_id)},"error":{error.json()}}}'


def batch_reply(replies: Iterable[str]) -> str | None:
    """Return the reply to a batch; None if all its calls were notifications, which get no reply."""
    joined = ",".join(replies)
    return f"[{joined}]" if joined else None


def notification(method: str, params_json: str) -> str:
    return f'{{"jsonrpc":"2.0","method":{json.dumps(method)},"params":{params_json}}}'


def _id_json(request_id: RequestId) -> str:
    """Return the id as JSON; most ids are numbers, for which `json.dumps` would set up an encoder."""
    return str(request_id) if isinstance(request_id, int) else json.dumps(request_id)


def _load(text: str, max_values: int) -> object:
    _measure(text, max_values)
    try:
        return _DECODER.decode(text)
    except _DuplicateKey as error:
        raise InvalidRequest(
            str(error), hint="Give each member of an object once.", reason="duplicate_key"
        ) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ParseFailed(f"The message is not JSON: {error.msg} at {where}.") from error
    except (ValueError, RecursionError) as error:
        raise ParseFailed("The message contains an invalid number.", reason="bad_number") from error


def _measure(text: str, max_values: int) -> None:
    """Raise ParseFailed or InvalidRequest if `text` exceeds the limit for depth, batch size or values.

    Counting brackets and commas is cheap and clears most messages. For the others, brackets and commas are followed
    one by one until the value ends or a limit is exceeded.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH or text.count(",") >= MAX_BATCH:
        _follow_marks(text, max_values, is_batch=text.lstrip(_JSON_SPACE).startswith("["))


def _follow_marks(text: str, max_values: int, *, is_batch: bool) -> None:
    depth, values, calls, at = 0, 1, 1, 0
    while found := _NEXT_MARK.match(text, at):
        at = found.end()
        mark = found[1]
        if mark in ("]", "}"):
            depth -= 1
            if depth <= 0:
                return  # The rest is not part of the value; the decoder reports it.
            continue
        values += 1
        if mark == ",":
            calls += is_batch and depth == 1
        else:
            depth += 1
        _refuse_excess(depth, calls, values, max_values)


def _refuse_excess(depth: int, calls: int, values: int, max_values: int) -> None:
    if depth > MAX_DEPTH:
        raise ParseFailed(f"The message nests deeper than {MAX_DEPTH} levels.", reason="too_deep")
    if calls > MAX_BATCH:
        raise _batch_too_large()
    if values > max_values:
        raise InvalidRequest(
            f"The message has more than {max_values} values.",
            hint="Split it into several messages; before authenticate the limit is lower.",
            reason="too_many_values",
        )


def _batch_too_large() -> InvalidRequest:
    return InvalidRequest(
        f"The batch has more than {MAX_BATCH} calls.",
        hint=f"Send at most {MAX_BATCH} calls in a batch.",
        reason="batch_too_large",
    )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey("An object in the message contains the same member twice.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


#: Shared: `json.loads` with these arguments would create a decoder for each text.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite_float)


def _checked_batch(entries: list[object]) -> list[object]:
    if not entries:
        raise InvalidRequest("The batch is empty.", hint="Put at least one call in it.", reason="empty_batch")
    if len(entries) > MAX_BATCH:
        raise _batch_too_large()
    return entries


def _entry(value: object) -> Call | Refusal:
    if not isinstance(value, dict):
        return _refusal(None, InvalidRequest("A request must be an object.", hint="Wrap it in { }."))
    request_id = value.get("id")
    if not _is_id(request_id):
        return _refusal(
            None, InvalidRequest("The id has the wrong type.", hint="Use a string, an integer or null.")
        )
    try:
        return Call(request_id, _method(value), _params(value), wants_reply="id" in value)
    except InvalidRequest as error:
        return _refusal(request_id, error)


def _id_of(text: str) -> RequestId:
    """Return the id at the start of a request that is not decoded, so that its caller does not wait; None if there is none."""
    found = _ID_AT_START.match(text)
    request_id: object = json.loads(found[1]) if found else None
    return request_id if _is_id(request_id) else None


def _is_id(value: object) -> TypeGuard[RequestId]:
    return value is None or (isinstance(value, (str, int)) and not isinstance(value, bool))


def _method(request: dict[str, object]) -> str:
    if request.get("jsonrpc") != "2.0":
        raise InvalidRequest("The member jsonrpc is missing or not 2.0.", hint='Send "jsonrpc": "2.0".')
    method = request.get("method")
    if not isinstance(method, str):
        raise InvalidRequest(
            "The method is missing or not a string.", hint='Send "method": "ping", for example.'
        )
    return method


def _params(request: dict[str, object]) -> dict[str, object] | list[object]:
    params = request.get("params", {})
    if not isinstance(params, (dict, list)):
        raise InvalidRequest(
            "The params are neither an object nor an array.", hint="Send an object, or omit params."
        )
    return params


def _refusal(request_id: RequestId, error: AgentError) -> Refusal:
    return Refusal(error_reply(request_id, wire_error(error, "")))
