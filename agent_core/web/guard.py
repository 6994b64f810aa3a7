"""The protocols at the door: HTTP and the WebSocket handshake, each answered in any case and within a time."""

import asyncio
import sys
from http import HTTPStatus

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from agent_core.web.peer import Peer
from agent_core.web.refusal import refusal
from agent_core.web.socket_protocol import SocketProtocol

__all__ = ("DoorProtocol",)

#: A peer that is refused is answered when it has asked, so that the answer is not lost to a reset; it has this long to
#: ask, and this long to read the answer.
_LINGER_S = 1.0
_NO_PLACE = "Too many connections.\n"


class DoorProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for each request's head, and the way to the WebSocket.

    The deadline runs from the connection's start, and from the first byte of a later request, until the head is
    complete: a peer that sends a byte now and then gains nothing.

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
        self._arm(_LINGER_S if self._peer.is_refused else self._first_request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._unset_keepalive_if_required()  # uvicorn leaves it after an error, and with it all that belongs to the peer
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
        super().on_response_complete()
        self._note_answering()

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except h11.LocalProtocolError:  # refused, or broken off in the middle of a request
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls it while it handles h11's error."""
        error = sys.exc_info()[1]
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if self._is_answering():
            self.transport.abort()  # There can be only one answer, and another one is under way.
        else:
            self._refuse(HTTPStatus(hint), f"{msg}\n")

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        names = {name for name, _ in event.headers}
        if event.method != b"GET":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "A WebSocket is opened by GET.\n", "allow: GET\r\n")
        elif (b"content-length", b"0") not in event.headers and names & {
            b"content-length",
            b"transfer-encoding",
        }:
            self._refuse(HTTPStatus.BAD_REQUEST, "A request for a WebSocket has no body.\n")
        else:
            self._disarm()
            self._upgrade(event)

    def _upgrade(self, event: h11.Request) -> None:
        """Hand the connection over at once, so that it has one owner whatever becomes of the handshake."""
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
        """A peer that is being answered does not give way: it may be a download, which its credentials opened."""
        is_answering = self._is_answering()
        self._peer.set_known(is_known=is_answering)
        if is_answering:
            self._disarm()

    def _refuse(self, status: HTTPStatus, text: str, more: str = "") -> None:
        """Answer without the application, and close when the peer has read it or has had the time to."""
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
