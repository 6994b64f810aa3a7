"""WebSocket to an agent: opening, closing, and errors that explain a failure."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext, SSLError
from types import MappingProxyType
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from agent_core.client.address import AgentAddress
from agent_core.client.errors import AgentUnreachable, ConnectionLost

__all__ = ("Dial", "explain_closed", "open_socket")

#: Limit of one message; the largest reply, a list of 1000 files with long names, may have some MiB.
_MAX_MESSAGE_BYTES = 16 << 20
#: Time for the agent to answer a closing handshake; then the socket is dropped.
_CLOSE_TIMEOUT_S = 1.0
#: Close codes of RFC 6455, section 7.4.1.
_SERVICE_RESTART, _MESSAGE_TOO_BIG = 1012, 1009

#: OpenSSL's reason for an answer that is not TLS.
_NO_TLS = MappingProxyType({"WRONG_VERSION_NUMBER": "the server there does not speak TLS"})


@dataclass(frozen=True, slots=True)
class Dial:
    """Address of an agent, trusted certificates, and the limits of a connection to it.

    A connection counts as lost when a ping, one every `ping_interval_s`, is not answered for as long.
    """

    url: str
    ssl: SSLContext | None
    connect_timeout_s: float
    ping_interval_s: float


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Refuse redirects: the token is for the agent at this address only."""
        return exc


@asynccontextmanager
async def open_socket(dial: Dial) -> AsyncGenerator[ClientConnection]:
    """Connect to the agent; the connection closes with the context, also on cancellation.

    Ignores the environment's proxies: agents are on local networks.

    Raises:
        AgentUnreachable: no server answers, or it does not speak WebSocket.
    """
    socket = await _connect(dial)
    try:
        yield socket
    finally:
        with anyio.move_on_after(2 * _CLOSE_TIMEOUT_S, shield=True):
            await socket.close()


async def _connect(dial: Dial) -> ClientConnection:
    more: dict[str, Any] = {"ssl": dial.ssl} if dial.ssl is not None else {}
    address = AgentAddress.parse(dial.url)
    if address.socket_path is not None:
        more = {"unix": True, "path": address.socket_path}
    try:
        return await _Connect(
            address.web_socket,
            open_timeout=dial.connect_timeout_s,
            ping_interval=dial.ping_interval_s,
            ping_timeout=dial.ping_interval_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            compression=None,
            proxy=None,
            max_size=_MAX_MESSAGE_BYTES,
            **more,
        )
    except (OSError, InvalidHandshake, InvalidURI, ValueError) as error:
        raise _unreachable(address.shown, error) from error


def _unreachable(where: str, error: Exception) -> AgentUnreachable:
    match error:
        case InvalidURI() | ValueError():
            return AgentUnreachable(
                "The address is not a WebSocket URL.",
                reason="bad_url",
                suggestion="Use the form ws://HOST:8002/ws, or wss:// for an agent with a certificate.",
            )
        case TimeoutError():
            return AgentUnreachable(f"The agent at {where} does not answer.", reason="timeout")
        case SSLError():
            said = (
                getattr(error, "verify_message", "")
                or _NO_TLS.get(error.reason, error.reason)
                or "TLS failed"
            )
            return AgentUnreachable(
                f"No secure connection to the agent at {where}: {said}.",
                reason="tls_failed",
                suggestion="Use ws:// if the agent has no certificate; set SSL_CERT_FILE to a certificate to trust.",
            )
        case InvalidStatus():
            return _refused(where, error.response.status_code)
        case InvalidHandshake():
            return AgentUnreachable(
                f"The server at {where} is not an agent.",
                reason="not_an_agent",
                suggestion="Check address and port; an agent with a certificate accepts wss:// only.",
            )
        case _:
            return AgentUnreachable(
                f"No agent can be reached at {where}: {_said(error)}.", reason="unreachable"
            )


def _said(error: Exception) -> str:
    """Return the system's error text: asyncio adds socket addresses and lists a failure for each."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number).lower()
    said = getattr(error, "strerror", None)  # for a name that cannot be resolved
    return str(said).lower() if said else "none of its addresses answers"


def _refused(where: str, status: int) -> AgentUnreachable:
    if status == 503:
        return AgentUnreachable(
            f"The agent at {where} accepts no more connections (HTTP status 503).",
            reason="too_many_connections",
            suggestion="Close other connections, or raise server.max_connections.",
        )
    return AgentUnreachable(
        f"The server at {where} refused the WebSocket (HTTP status {status}).",
        reason="refused",
        suggestion="Check the path of the address; an agent's is /ws.",
    )


def explain_closed(error: ConnectionClosed) -> ConnectionLost:
    """Return the error for a connection that has ended, by its close codes."""
    received = error.rcvd.code if error.rcvd else None
    sent = error.sent.code if error.sent else None
    if received == _SERVICE_RESTART:
        return ConnectionLost(
            "The agent is stopping or restarting.",
            reason="agent_stopping",
            suggestion="Connect again in a moment.",
        )
    if received == _MESSAGE_TOO_BIG:
        return ConnectionLost(
            "The agent refused a message as too large.",
            reason="message_too_large",
            suggestion="Send smaller messages, or raise server.max_message_bytes.",
        )
    if sent == _MESSAGE_TOO_BIG:
        return ConnectionLost(
            "The agent sent a larger message than this client accepts.",
            reason="reply_too_large",
            suggestion="Request less, for example with a smaller limit.",
        )
    if error.sent is not None and "keepalive" in error.sent.reason:
        return ConnectionLost("The agent has stopped answering.", reason="no_keepalive")
    return ConnectionLost("The connection to the agent was lost.", reason="connection_lost")
