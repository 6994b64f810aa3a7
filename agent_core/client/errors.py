"""Errors between a program and the agent.

* ClientError
  + AgentUnreachable    no server answers at the address, or it is not an agent
    - ConnectionLost    the connection ended
      - CallInterrupted the connection ended while this call was running: it may or may not have taken effect
      - NotConnected    the client is connecting again; this call was not sent
  - CallFailed          the agent answered a call with an error
  - DownloadFailed      a file was refused, or arrived incomplete
  - TokenUnavailable    the program's function for tokens failed
  - UnexpectedResult    a result does not have the form of this client's version
"""

from collections.abc import Mapping
from typing import Any

__all__ = (
    "AUTHENTICATION_FAILED",
    "INVALID_PARAMS",
    "PERMISSION_DENIED",
    "AgentUnreachable",
    "CallFailed",
    "CallInterrupted",
    "ClientError",
    "ConnectionLost",
    "DownloadFailed",
    "NotConnected",
    "TokenUnavailable",
    "UnexpectedResult",
)

#: Codes of the wire contract that programs often distinguish.
AUTHENTICATION_FAILED = -32001
PERMISSION_DENIED = -32002
INVALID_PARAMS = -32602


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


class CallInterrupted(ConnectionLost):
    """Break of the connection while `method` was running. `reason` is that of the break."""

    def __init__(self, method: str, cause: ClientError) -> None:
        super().__init__(cause.details, reason=cause.reason, suggestion=cause.suggestion)
        self.method = method


class NotConnected(ConnectionLost):
    """Call made while the client is connecting again; it was not sent and has no effect."""

    default_suggestion = "Wait for `wait_connected()`, then call again."

    def __init__(self) -> None:
        super().__init__("The client is connecting to the agent again.", reason="not_connected")


class TokenUnavailable(ClientError):
    default_suggestion = "Let the function that is given as token return a valid token."


class UnexpectedResult(ClientError):
    """Result that does not have the expected form; `call` returns it as plain JSON values."""

    default_suggestion = "Install the client of the agent's version."


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
