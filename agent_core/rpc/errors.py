"""Errors on the wire: one table from classes to codes, and the last filter before the socket."""

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
    "wire_error",
    "without_device_paths",
)

_LOG = logging.getLogger("camera_agent.rpc")
#: In JSON, so an escape may stand before it. Not in the middle of another path, and not /dev/shm, which has files.
_DEVICE_PATH = re.compile(
    r"(?:(?<![\w.~-])|(?<=\\[bfnrt])|(?<=\\u00[01][0-9a-f]))/dev/(?!shm/)[^\s\"'\\,;)\]}]*"
)


class ParseFailed(AgentError):
    """The text of a message is not JSON that can be read."""

    default_reason = "not_json"
    default_suggestion = "Send one JSON object, or an array of them, a text frame."


class _WithHint(AgentError):
    def __init__(
        self, details: str, *, hint: str, reason: str | None = None, suggestion: str | None = None
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion)
        self.hint = hint

    def data(self) -> dict[str, object]:
        return {"hint": self.hint}


class InvalidRequest(_WithHint):
    """JSON, but not a request; `hint` is the form that was expected."""

    default_reason = "invalid_request"
    default_suggestion = 'Send {"jsonrpc": "2.0", "id": 1, "method": "...", "params": {...}}.'


class MethodNotFound(_WithHint):
    """`hint` has the nearest names that exist."""

    default_reason = "method_not_found"
    default_suggestion = "Call rpc.discover for all that exists."


@dataclass(frozen=True, slots=True)
class WireCode:
    """A code and the message that always goes with it."""

    code: int
    message: str


INTERNAL_ERROR = WireCode(-32603, "Internal error")

#: A class not listed here has the code of its nearest listed ancestor; with none it is a bug, -32603.
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


@dataclass(frozen=True, slots=True)
class WireError:
    """The `error` member of a reply."""

    code: WireCode
    data: Mapping[str, object]

    def json(self) -> str:
        body = {"code": self.code.code, "message": self.code.message, "data": dict(self.data)}
        return without_device_paths(json.dumps(body, default=str))


def wire_error(error: Exception, request_id: str) -> WireError:
    """`error` as a client is shown it; one that nobody foresaw is logged under `request_id` and shown as such."""
    known = _only_agent_error(error)
    code = _code_of(type(known)) if known is not None else None
    if known is None or code is None:
        _LOG.error("unexpected error in a call", exc_info=error, extra={"fields": {"request_id": request_id}})
        return _internal(request_id)
    words = {"reason": known.reason, "details": known.details, "suggestion": known.suggestion}
    return WireError(code, {**words, **known.data()})


def code_of(error: AgentError) -> int:
    """The code that a client is shown for `error`."""
    return (_code_of(type(error)) or INTERNAL_ERROR).code


def _code_of(kind: type[AgentError]) -> WireCode | None:
    return next((CODES[each] for each in kind.__mro__ if each in CODES), None)


def _only_agent_error(error: BaseException) -> AgentError | None:
    """The error itself, or the only one in a group: a handler's task group wraps what its one child raised."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, AgentError) else None


def _internal(request_id: str) -> WireError:
    data = {
        "reason": "internal_error",
        "details": "The agent failed in a way that it should not.",
        "suggestion": f"Look for request_id={request_id} in the agent's log and report what it says.",
        "request_id": request_id,
    }
    return WireError(INTERNAL_ERROR, data)


def without_device_paths(text: str) -> str:
    """`text`, JSON about to be sent, with device paths blanked out. Finding one is a bug, and logged as one."""
    if "/dev/" not in text or not _DEVICE_PATH.search(text):
        return text
    _LOG.error("a device path was about to be sent to a client; it was blanked out")
    return _DEVICE_PATH.sub("[device]", text)
