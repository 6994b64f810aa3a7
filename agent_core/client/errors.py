"""Errors between a program and the agent.

* ClientError
  + AgentUnreachable    nothing answers at the address, or not as an agent does
    - ConnectionLost    the connection ended; whether running calls took effect is not known
  - CallFailed          the agent answered a call with an error
  - DownloadFailed      a file was refused, or did not arrive whole
"""

from collections.abc import Mapping
from typing import Any

__all__ = (
    "AUTHENTICATION_FAILED",
    "PERMISSION_DENIED",
    "AgentUnreachable",
    "CallFailed",
    "ClientError",
    "ConnectionLost",
    "DownloadFailed",
)

#: Codes of the wire contract that a program may want to tell from the others.
AUTHENTICATION_FAILED = -32001
PERMISSION_DENIED = -32002


class ClientError(Exception):
    """The root of the tree. `reason` is a stable word, `details` and `suggestion` are sentences for a person."""

    default_suggestion = "See the agent's log for more."

    def __init__(self, details: str, *, reason: str, suggestion: str | None = None) -> None:
        super().__init__(details)
        self.details = details
        self.reason = reason
        self.suggestion = suggestion or self.default_suggestion


class AgentUnreachable(ClientError):
    default_suggestion = "Check that the agent runs, and that address and port are its own."


class ConnectionLost(AgentUnreachable):
    default_suggestion = "Connect again; ask for the state before repeating a call that changes something."


class CallFailed(ClientError):
    """The `error` member of a reply: `code` and `message` as the wire contract lists them, `data` as it came."""

    def __init__(self, code: int, message: str, data: Mapping[str, Any]) -> None:
        super().__init__(
            str(data.get("details") or message),
            reason=str(data.get("reason") or "error"),
            suggestion=str(data.get("suggestion") or "") or None,
        )
        self.code = code
        self.message = message
        self.data = data


class DownloadFailed(ClientError):
    """`status` is the HTTP status; None where the answer broke off."""

    default_suggestion = "Ask for a new download_url and try again."

    def __init__(
        self, details: str, *, reason: str, suggestion: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion)
        self.status = status
