"""HTTP protocol of the port, which also hands WebSocket handshakes over, each within a deadline."""

import asyncio
import sys
from http import HTTPStatus

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from agent_core.web.body_writer import BodyWriter
from agent_core.web.peer import Peer
from agent_core.web.refusal import refusal
from agent_core.web.socket_protocol import SocketProtocol

__all__ = ("DoorProtocol",)

#: Time for a refused peer to send its request, and again to read the reply. Replying before the request would lose the
#: reply to a reset.
_LINGER_S = 1.0
_NO_PLACE = "Too many connections.\n"


class DoorProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for each request's head and the upgrade to WebSocket.

    The deadline runs from the start of the connection, or the first byte of a later request, until the head is
    complete; sending byte by byte does not extend it.

    Args:
        config: uvicorn's.
        server_state: uvicorn's, of the server that the connection belongs to.
        peer: the connection.
        first_request_s: the deadline.
        untrusted_bytes: the size limit of a WebSocket's messages before its peer has authenticated.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        peer: Peer,
        *,
        first_request_s: float,
        untrusted_bytes: int,
    ) -> None:
        super().__init__(config, server_state, {"peer": peer})
        self._peer = peer
        self._first_request_s = first_request_s
        self._untrusted_bytes = untrusted_bytes
        self._deadline: asyncio.TimerHandle | None = None
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer.end = transport.abort
        self._peer.writer = BodyWriter(transport, self._peer.progress)
        self._arm(_LINGER_S if self._peer.is_refused else self._first_request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._unset_keepalive_if_required()  # after an error uvicorn leaves the timer, which keeps the peer alive
        super().connection_lost(exc)
        self._peer.gone()

    def data_received(self, data: bytes) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self._peer.is_refused:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, _NO_PLACE, "retry-after: 10\r\n")
            return
        if self._deadline is None and not self._is_answering():
            self._arm(self._first_request_s)
        super().data_received(data)
        self._note_answering()

    def pause_writing(self) -> None:
        self._peer.progress.pause()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._peer.progress.resume()
        super().resume_writing()

    def on_response_complete(self) -> None:
        self._disarm()
        # Each request is given access by itself; the next one may begin here.
        self._peer.set_known(is_known=False)
        super().on_response_complete()
        self._note_answering()

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except h11.LocalProtocolError:  # refused, or cut off in the middle of a request
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP; uvicorn calls this while it handles h11's error."""
        error = sys.exc_info()[1]
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if self._is_answering():
            self.transport.abort()  # An answer is already under way.
        else:
            self._refuse(HTTPStatus(hint), f"{msg}\n")

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        names = {name for name, _ in event.headers}
        if event.method != b"GET":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Use GET to open a WebSocket.\n", "allow: GET\r\n")
        elif (b"content-length", b"0") not in event.headers and names & {
            b"content-length",
            b"transfer-encoding",
        }:
            self._refuse(HTTPStatus.BAD_REQUEST, "A WebSocket request must not have a body.\n")
        else:
            self._disarm()
            self._upgrade(event)

    def _upgrade(self, event: h11.Request) -> None:
        """Hand the connection to a WebSocket protocol, which owns it even if the handshake fails."""
        self.connections.discard(self)
        socket = SocketProtocol(
            self.config, self.server_state, self._peer, untrusted_bytes=self._untrusted_bytes
        )
        socket.connection_made(self.transport)
        self.transport.set_protocol(socket)
        head = [b"%b %b HTTP/1.1\r\n" % (event.method, event.target)]
        head += [b"%b: %b\r\n" % header for header in self.headers]
        socket.open(b"".join(head) + b"\r\n", self.conn.trailing_data[0])

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = getattr(self, "cycle", None)
        return cycle is not None and not cycle.response_complete

    def _note_answering(self) -> None:
        """Lift the deadline of a peer that is answered, which stays a stranger until its request was given access."""
        if self._is_answering():
            self._disarm()
        else:
            self._peer.set_known(is_known=False)

    def _refuse(self, status: HTTPStatus, text: str, more: str = "") -> None:
        """Answer without the application; close when the peer has read the answer or its time is over."""
        self._is_refused = True
        self.transport.write(refusal(status, text, more))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._arm(_LINGER_S)
        else:
            self.transport.close()

    def _arm(self, after_s: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(after_s, self._too_late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.abort()
