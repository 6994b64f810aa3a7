"""JSON-RPC 2.0 without I/O: text in, calls and ready refusals out; results and errors in, text out."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn, TypeGuard

from agent_core.errors import AgentError
from agent_core.rpc.errors import InvalidRequest, ParseFailed, WireError, wire_error

__all__ = (
    "MAX_BATCH",
    "MAX_DEPTH",
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
#: Brackets open at once; far above what any method takes, far below what any JSON reader can stand.
MAX_DEPTH = 64

RequestId = str | int | None

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """One request; `id` means nothing where no reply is wanted (a notification)."""

    id: RequestId
    method: str
    params: dict[str, object] | list[object]
    wants_reply: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that is no request, with the reply that says so."""

    reply: str


@dataclass(frozen=True, slots=True)
class Message:
    """What one text frame held. The replies to a batch go out together."""

    entries: tuple[Call | Refusal, ...]
    is_batch: bool


class _DuplicateKey(ValueError):
    pass


def parse(text: str) -> Message:
    """Read one frame. Never raises: what cannot be read is a `Refusal`."""
    try:
        value = _load(text)
        if isinstance(value, list):
            return Message(tuple(_entry(each) for each in _checked_batch(value)), is_batch=True)
    except AgentError as error:
        return Message((_refusal(None, error),), is_batch=False)
    return Message((_entry(value),), is_batch=False)


def result_reply(request_id: RequestId, result_json: str) -> str:
    return f'{{"jsonrpc":"2.0","id":{_id_json(request_id)},"result":{result_json}}}'


def error_reply(request_id: RequestId, error: WireError) -> str:
    return f'{{"jsonrpc":"2.0","id":{_id_json(request_id)},"error":{error.json()}}}'


def batch_reply(replies: Iterable[str]) -> str | None:
    """None where every call was a notification: then nothing is sent at all."""
    joined = ",".join(replies)
    return f"[{joined}]" if joined else None


def notification(method: str, params_json: str) -> str:
    return f'{{"jsonrpc":"2.0","method":{json.dumps(method)},"params":{params_json}}}'


def _id_json(request_id: RequestId) -> str:
    """Most ids are numbers, for which `json.dumps` sets up an encoder."""
    return str(request_id) if isinstance(request_id, int) else json.dumps(request_id)


def _load(text: str) -> object:
    if _depth_exceeds(text, MAX_DEPTH):
        raise ParseFailed(f"The message nests deeper than {MAX_DEPTH} levels.", reason="too_deep")
    try:
        return _DECODER.decode(text)
    except _DuplicateKey as error:
        hint = "Give each member of an object once."
        raise InvalidRequest(str(error), hint=hint, reason="duplicate_key") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ParseFailed(f"The message is not JSON: {error.msg} at {where}.") from error
    except (ValueError, RecursionError) as error:
        raise ParseFailed("The message has a number that cannot be read.", reason="bad_number") from error


def _depth_exceeds(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for token in _TOKENS.finditer(text):
        first = token[0][0]
        depth += (first in "[{") - (first in "]}")
        if depth > limit:
            return True
    return False


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey("An object in the message has the same member twice.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


#: Made once: `json.loads` with the same arguments makes one for each text.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite_float)


def _checked_batch(entries: list[object]) -> list[object]:
    if not entries:
        raise InvalidRequest("The batch is empty.", hint="Put at least one call in it.", reason="empty_batch")
    if len(entries) > MAX_BATCH:
        raise InvalidRequest(
            f"The batch has {len(entries)} calls.",
            hint=f"Send at most {MAX_BATCH} calls a batch.",
            reason="batch_too_large",
        )
    return entries


def _entry(value: object) -> Call | Refusal:
    if not isinstance(value, dict):
        return _refusal(None, InvalidRequest("A request is an object.", hint="Wrap it in { }."))
    request_id = value.get("id")
    if not _is_id(request_id):
        return _refusal(
            None, InvalidRequest("The id has a wrong type.", hint="Use a string, an integer or null.")
        )
    try:
        return Call(request_id, _method(value), _params(value), wants_reply="id" in value)
    except InvalidRequest as error:
        return _refusal(request_id, error)


def _is_id(value: object) -> TypeGuard[RequestId]:
    return value is None or (isinstance(value, (str, int)) and not isinstance(value, bool))


def _method(request: dict[str, object]) -> str:
    if request.get("jsonrpc") != "2.0":
        raise InvalidRequest("The version is missing or not 2.0.", hint='Send "jsonrpc": "2.0".')
    method = request.get("method")
    if not isinstance(method, str):
        raise InvalidRequest(
            "The method is missing or no string.", hint='Send "method": "ping", for example.'
        )
    return method


def _params(request: dict[str, object]) -> dict[str, object] | list[object]:
    params = request.get("params", {})
    if not isinstance(params, (dict, list)):
        raise InvalidRequest("The params are no object.", hint="Send an object, or leave params out.")
    return params


def _refusal(request_id: RequestId, error: AgentError) -> Refusal:
    return Refusal(error_reply(request_id, wire_error(error, "")))
