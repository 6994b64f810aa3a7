"""Errors on the wire: the table of codes, and the filter for device paths."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent_core.base.errors import (
    AgentError,
    AuthenticationFailed,
    DependencyFailed,
    InvalidParams,
    InvalidState,
    NotFound,
    PermissionDenied,
    RateLimited,
    Unsupported,
)

__all__ = (
    "CODES",
    "INTERNAL_ERROR",
    "InvalidRequest",
    "MethodNotFound",
    "ParseFailed",
    "WireCode",
    "WireError",
    "code_of",
    "only_agent_error",
    "wire_code",
    "wire_error",
    "without_device_paths",
)

_LOG = logging.getLogger("camera_agent.rpc")
#: A device path in JSON text, perhaps after an escape; not inside another path, and not in /dev/shm, which holds files.
_DEVICE_PATH = re.compile(
    r"(?:(?<![\w.~-])|(?<=\\[bfnrt])|(?<=\\u00[01][0-9a-f]))/dev/(?!shm/)[^\s\"'\\,;)\]}]*"
)


class ParseFailed(AgentError):
    """The message is not valid JSON."""

    default_reason = "not_json"
    default_suggestion = "Send one JSON object, or an array of them, per text frame."


class _WithHint(AgentError):
    def __init__(
        self, details: str, *, hint: str, reason: str | None = None, suggestion: str | None = None
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion)
        self.hint = hint

    def data(self) -> dict[str, object]:
        return {"hint": self.hint}


class InvalidRequest(_WithHint):
    """The message is JSON but not a request; `hint` describes the expected form."""

    default_reason = "invalid_request"
    default_suggestion = 'Send {"jsonrpc": "2.0", "id": 1, "method": "...", "params": {...}}.'


class MethodNotFound(_WithHint):
    """The method does not exist; `hint` suggests similar names."""

    default_reason = "method_not_found"
    default_suggestion = "Call rpc.discover for the list of methods."


@dataclass(frozen=True, slots=True)
class WireCode:
    """A code with its fixed message."""

    code: int
    message: str


INTERNAL_ERROR = WireCode(-32603, "Internal error")

#: A class not listed has the code of its nearest listed base class; without one it is a bug, -32603.
CODES: Mapping[type[AgentError], WireCode] = MappingProxyType(
    {
        ParseFailed: WireCode(-32700, "Parse error"),
        InvalidRequest: WireCode(-32600, "Invalid Request"),
        MethodNotFound: WireCode(-32601, "Method not found"),
        InvalidParams: WireCode(-32602, "Invalid params"),
        AuthenticationFailed: WireCode(-32001, "Authentication failed"),
        PermissionDenied: WireCode(-32002, "Permission denied"),
        NotFound: WireCode(-32010, "Not found"),
        InvalidState: WireCode(-32020, "Invalid state"),
        Unsupported: WireCode(-32030, "Unsupported"),
        RateLimited: WireCode(-32040, "Rate limited"),
        DependencyFailed: WireCode(-32050, "Dependency failed"),
    }
)

#: Code of errors that tell what something else has said. Others quote the call at most: a device path in them is the
#: client's own, and no bug of the agent.
_TELLS_OTHERS = CODES[DependencyFailed]


@dataclass(frozen=True, slots=True)
class WireError:
    """The `error` member of a reply."""

    code: WireCode
    data: Mapping[str, object]

    def json(self) -> str:
        body = {"code": self.code.code, "message": self.code.message, "data": dict(self.data)}
        text = json.dumps(body, default=str)
        if self.code == _TELLS_OTHERS:
            return without_device_paths(text)
        return _DEVICE_PATH.sub("[device]", text)


def wire_error(error: Exception, request_id: str) -> WireError:
    """Return `error` as clients see it; log an unexpected one under `request_id` and hide its text."""
    known = only_agent_error(error)
    code = wire_code(type(known)) if known is not None else None
    if known is None or code is None:
        _LOG.error("unexpected error in a call", exc_info=error, extra={"fields": {"request_id": request_id}})
        return _internal(request_id)
    texts = {"reason": known.reason, "details": known.details, "suggestion": known.suggestion}
    return WireError(code, {**texts, **known.data()})


def code_of(error: AgentError) -> int:
    """Return the code that clients get for `error`."""
    return (wire_code(type(error)) or INTERNAL_ERROR).code


def wire_code(kind: type[AgentError]) -> WireCode | None:
    """Return the code of errors of class `kind`; None for one that clients see as an internal error."""
    return next((CODES[each] for each in kind.__mro__ if each in CODES), None)


def only_agent_error(error: BaseException) -> AgentError | None:
    """Return the error, or the only one in a group: a handler's task group wraps the error of its child."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, AgentError) else None


def _internal(request_id: str) -> WireError:
    data = {
        "reason": "internal_error",
        "details": "The call failed because of a bug in the agent.",
        "suggestion": f"Find request_id={request_id} in the agent's log and report that entry.",
        "request_id": request_id,
    }
    return WireError(INTERNAL_ERROR, data)


def without_device_paths(text: str, *, call: object = None) -> str:
    """Return JSON text with device paths replaced; log an error for one, which is a bug.

    `call` are the params that `text` answers: a path that they name is the client's own, and no bug.
    """
    found = _DEVICE_PATH.findall(text) if "/dev/" in text else ()
    if not found:
        return text
    named = json.dumps(call, default=str, ensure_ascii=False)
    if not all(path.rstrip(".:") in named for path in found):
        _LOG.error("a message for a client contained a device path, which was removed")
    return _DEVICE_PATH.sub("[device]", text)
