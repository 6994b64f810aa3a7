"""WebSocket protocol of one peer, with limits that change when it authenticates."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.exceptions import SecurityError

from agent_core.web.frames import LimitedProtocol, SizeLimit
from agent_core.web.peer import Peer
from agent_core.web.refusal import refusal

__all__ = ("SocketProtocol", "Trust")

#: From the registry of close codes.
_POLICY_VIOLATION = 1008
_TRY_AGAIN_LATER = 1013


@dataclass(frozen=True, slots=True)
class Trust:
    """Limits of a connection that change when its peer authenticates; `trust` in the ASGI scope's state.

    `close` closes the connection at once, with a code and a reason. `frames` sends frames without waiting.
    """

    peer: Peer
    size_limit: SizeLimit
    close: Callable[[int, str], None]
    frames: LimitedProtocol

    @property
    def address(self) -> str:
        return self.peer.address

    def admit(self) -> None:
        """Accept long messages and keep the connection's slot."""
        self.size_limit.lift()
        self.peer.set_known(is_known=True)

    def revoke(self) -> None:
        """Close the connection: the credentials of its peer were revoked."""
        self.close(_POLICY_VIOLATION, "the credentials were revoked; authenticate with others")

    def dismiss(self) -> None:
        """Treat the connection as anonymous again."""
        self.size_limit.restore()
        self.peer.set_known(is_known=False)


class SocketProtocol(LimitedProtocol):
    """WebSocket that always answers the handshake and buffers little for a peer that does not read.

    Args:
        config: uvicorn's.
        server_state: uvicorn's, of the server that the connection belongs to.
        peer: the connection.
        untrusted_bytes: the size limit of messages before the peer has authenticated.
    """

    def __init__(
        self, config: Config, server_state: ServerState, peer: Peer, *, untrusted_bytes: int
    ) -> None:
        state: dict[str, object] = {"peer": peer}
        super().__init__(config, server_state, state, untrusted_bytes=untrusted_bytes)
        self.app_state["trust"] = Trust(peer, self.size_limit, self._close_at_once, self)
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._peer.end = self.give_way

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._peer.gone()

    def open(self, request: bytes, following: bytes) -> None:
        """Process the handshake's request and the data received after it.

        The websockets library has limits that h11 does not have, and is silent when one is exceeded.
        """
        self.data_received(request)
        if self.handshake_initiated:
            if following:
                self.data_received(following)
            return
        fault = self.conn.handshake_exc
        is_large = any(isinstance(each, SecurityError) for each in (fault, getattr(fault, "__cause__", None)))
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if is_large else HTTPStatus.BAD_REQUEST
        self.handshake_complete = self.close_sent = True
        self.transport.write(refusal(status, "The request is malformed or too large.\n"))
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)

    def pause_writing(self) -> None:
        self._peer.progress.pause()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._peer.progress.resume()
        super().resume_writing()

    def handle_ping(self) -> None:
        """Answer a ping, but do not queue pongs for a peer that does not read; one pong may answer several pings."""
        if not self._peer.progress.is_paused:
            super().handle_ping()
        elif self._within_frame_limit():
            self.conn.data_to_send()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # uvicorn would log this refusal as an error.

    def give_way(self) -> None:
        """Close the connection at once to free its slot."""
        self._close_at_once(
            _TRY_AGAIN_LATER, "the connection is needed for another client; authenticate, or reconnect later"
        )

    def _close_at_once(self, code: int, reason: str) -> None:
        """Close the connection; unread data is lost."""
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            self.close_sent = True
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            if not self.transport.get_write_buffer_size() and self.scheme == "ws":
                self.transport.close()
                return
        self.transport.abort()
