"""Answers that routes share: errors as JSON, and responses that end when their credentials are revoked."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from agent_core.auth.live import LiveAccess
from agent_core.base.errors import (
    AgentError,
    AuthenticationFailed,
    CaptureFailed,
    DependencyFailed,
    InvalidParams,
    InvalidState,
    NotFound,
    PermissionDenied,
    RateLimited,
    Unsupported,
)
from agent_core.rpc.errors import wire_error
from agent_core.web.access import peer_of
from agent_core.web.http_errors import HttpError

__all__ = ("Revocable", "error_response", "handle_error", "wait_gone")

#: Delay proposed to a client when the agent lacks something for the moment, such as a file descriptor or a camera.
_BUSY_RETRY_S = 5
#: An error of a class not listed is a bug in a route.
_STATUSES: Mapping[type[AgentError], int] = MappingProxyType(
    {
        InvalidParams: 400,
        AuthenticationFailed: 401,
        PermissionDenied: 403,
        NotFound: 404,
        InvalidState: 409,
        Unsupported: 409,
        RateLimited: 429,
        DependencyFailed: 503,
    }
)
#: Rules about bodies that have a status of their own.
_RULES: Mapping[str, int] = MappingProxyType({"media_type": 415, "too_long": 413, "too_slow": 408})
#: Reasons of a `CaptureFailed` that another request may do nothing about but wait longer.
_TOO_SLOW = frozenset({"deadline_exceeded", "timed_out"})


def _status(error: AgentError) -> int | None:
    if isinstance(error, InvalidParams) and error.rule in _RULES:
        return _RULES[error.rule]
    if isinstance(error, CaptureFailed) and error.reason in _TOO_SLOW:
        return 504
    return next((_STATUSES[each] for each in type(error).__mro__ if each in _STATUSES), None)


def error_response(
    error: AgentError, *, challenge: str = "Bearer", has_more: bool = False
) -> Response | None:
    """Return the response for an error that a client can meet; None for another one, which is a bug.

    Args:
        error: the error.
        challenge: how to authenticate, for `WWW-Authenticate`.
        has_more: the body has all members that the error's `data` has over WebSocket.
    """
    if isinstance(error, HttpError):
        told = {"reason": error.reason, "details": error.details, "suggestion": error.suggestion}
        return JSONResponse(told, status_code=error.status, headers=error.headers())
    status = _status(error)
    if status is None:
        return None
    headers: dict[str, str] = {}
    if status == 401:
        headers = {"www-authenticate": challenge}
    elif isinstance(error, RateLimited):
        headers = {"retry-after": str(-(-error.retry_after_ms // 1000))}
    elif status == 503:
        headers = {"retry-after": str(_BUSY_RETRY_S)}
    data = json.loads(wire_error(error, "").json())["data"]
    body = data if has_more else {name: data[name] for name in ("reason", "details", "suggestion")}
    return JSONResponse(body, status_code=status, headers=headers)


async def handle_error(_request: Request, error: Exception) -> Response:
    """Return the response for an `AgentError`; raise any other error, which is a bug and logged as one."""
    response = error_response(error) if isinstance(error, AgentError) else None
    if response is None:
        raise error
    return response


class Revocable(Response):
    """Response that ends with its connection when the credentials for it are revoked."""

    def __init__(self, response: Response, live: LiveAccess, is_current: Callable[[], bool]) -> None:
        super().__init__()
        self._response = response
        self._live = live
        self._is_current = is_current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._live.hold(self._is_current, peer_of(scope).end):
            await self._response(scope, receive, send)


async def wait_gone(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
