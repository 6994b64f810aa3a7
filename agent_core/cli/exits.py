"""Exit codes, one per kind of failure, and error messages: two lines of text, or one JSON object."""

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Union

from agent_core.base.command_errors import CommandFailed, Unreachable, UsageFailed
from agent_core.base.errors import AgentError, AuthenticationFailed, ConfigError, PermissionDenied
from agent_core.cli.advice import next_step
from agent_core.cli.output import one_line

if TYPE_CHECKING:
    from agent_core.client.errors import ClientError

__all__ = ("CommandFailed", "ExitCode", "Unreachable", "UsageFailed", "exit_code", "explain")

#: Codes of the wire contract for invalid credentials and for an insufficient role.
_DENIED_CODES = frozenset({-32001, -32002})
_DENIED_STATUSES = frozenset({401, 403})

Failure = Union[AgentError, "ClientError"]


class ExitCode(IntEnum):
    """Exit code of a command. As in shells, 128 + N for signal N: 130 after Ctrl-C, 141 after SIGPIPE."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    DENIED = 4
    CONFIG = 5
    START = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def exit_code(error: Failure) -> ExitCode:
    """Return the exit code for `error`; `run` maps errors of the start itself."""
    match error:
        case UsageFailed():
            return ExitCode.USAGE
        case Unreachable():
            return ExitCode.UNREACHABLE
        case ConfigError():
            return ExitCode.CONFIG
        case AuthenticationFailed() | PermissionDenied():
            return ExitCode.DENIED
        case AgentError():
            return ExitCode.FAILED
    return _client_exit_code(error)


def _client_exit_code(error: "ClientError") -> ExitCode:
    from agent_core.client.errors import AgentUnreachable, CallFailed, DownloadFailed

    match error:
        case AgentUnreachable():
            return ExitCode.UNREACHABLE
        case CallFailed() if error.code in _DENIED_CODES:
            return ExitCode.DENIED
        case DownloadFailed() if error.status in _DENIED_STATUSES:
            return ExitCode.DENIED
    return ExitCode.FAILED


def explain(error: Failure, code: ExitCode, *, as_json: bool) -> str:
    """Return the text for standard error: the fault and the next step."""
    if not as_json:
        return f"camera-agent: {one_line(error.details)}\nWhat to do: {one_line(next_step(error))}"
    words: dict[str, Any] = {
        "exit_code": int(code),
        "reason": error.reason,
        "details": error.details,
        "suggestion": next_step(error),
    }
    if not isinstance(error, AgentError):
        words |= _wire_fields(error)
    return json.dumps({"error": words}, default=str)


def _wire_fields(error: "ClientError") -> dict[str, Any]:
    from agent_core.client.errors import CallFailed

    if not isinstance(error, CallFailed):
        return {}
    return {"code": error.code, "message": error.message, "data": dict(error.data)}
