"""Errors between a program and the agent.

* ClientError
  + AgentUnreachable    no server answers at the address, or it is not an agent
    - ConnectionLost    the connection ended; running calls may or may not have taken effect
  - CallFailed          the agent answered a call with an error
  - DownloadFailed      a file was refused, or arrived incomplete
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

#: Codes of the wire contract that programs often distinguish.
AUTHENTICATION_FAILED = -32001
PERMISSION_DENIED = -32002


class ClientError(Exception):
    """Root of the tree. `reason` is a stable word; `details` and `suggestion` are sentences for people."""

    default_suggestion = "See the agent's log for more."

    def __init__(self, details: str, *, reason: str, suggestion: str | None = None) -> None:
        super().__init__(details)
        self.details = details
        self.reason = reason
        self.suggestion = suggestion or self.default_suggestion


class AgentUnreachable(ClientError):
    default_suggestion = "Check that the agent runs, and that address and port are correct."


class ConnectionLost(AgentUnreachable):
    default_suggestion = "Connect again; query the state before you repeat a call that changes something."


class CallFailed(ClientError):
    """Error reply: `code` and `message` as listed in the wire contract, `data` as received."""

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
    """Failed download. `status` is the HTTP status; None if the answer broke off."""

    default_suggestion = "Request a new download_url and try again."

    def __init__(
        self, details: str, *, reason: str, suggestion: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(details, reason=reason, suggestion=suggestion)
        self.status = status
