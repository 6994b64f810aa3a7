"""WebSocket protocol with limits that apply before messages are parsed."""

from typing import Any, Final

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

__all__ = ("LimitedProtocol", "SizeLimit", "text_frame")

#: Bytes parsed at once. A frame can be as small as 6 bytes; all frames of one read would be queued before a reply.
_SLICE_BYTES: Final = 4096
#: Pings, pongs and fragments of unfinished messages: allowed at once, and per second.
_FRAMES_BURST: Final = 2048
_FRAMES_PER_S: Final = 256
#: A peer that broke a rule may still be sending. Unread data would turn our close frame into a reset, so data is read
#: and dropped until the peer has been quiet for `_QUIET_S`, at most for `_LINGER_S`.
_QUIET_S: Final = 0.1
_LINGER_S: Final = 1.0


def text_frame(text: str) -> bytes:
    """Return the frame of a message to a client: without mask and compression, it is the same for all clients."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


class SizeLimit:
    """Size limit of one connection's messages; low until it is lifted."""

    def __init__(self, connection: ServerProtocol, untrusted_bytes: int) -> None:
        self._connection = connection
        self._full = connection.max_message_size
        self._untrusted = untrusted_bytes if self._full is None else min(self._full, untrusted_bytes)
        self.restore()

    def configure(self, full_bytes: int, untrusted_bytes: int) -> None:
        """Apply other limits from the next frame on."""
        self._full, self._untrusted = full_bytes, min(full_bytes, untrusted_bytes)
        self._connection.max_message_size = self._full if self._is_lifted else self._untrusted

    def lift(self) -> None:
        """Accept messages up to the full size from the next frame on."""
        self._is_lifted = True
        self._connection.max_message_size = self._full

    def restore(self) -> None:
        """Accept only short messages from the next frame on."""
        self._is_lifted = False
        self._connection.max_message_size = self._untrusted


class LimitedProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with limits on message size, number of frames and read-ahead.

    Closes a peer that exceeds a limit with 1008 or 1009, and one whose text is not UTF-8 with 1007.

    Args:
        config: uvicorn's.
        server_state: uvicorn's, of the server that the connection belongs to.
        app_state: `state` of the ASGI scope.
        untrusted_bytes: the size limit of messages until `size_limit.lift` is called.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, untrusted_bytes: int
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.size_limit = SizeLimit(self.conn, untrusted_bytes)
        self._unread = bytearray()
        self._frames_left = float(_FRAMES_BURST)
        self._counted_at_s = self.loop.time()
        self._close_by_s: float | None = None
        self._last_data_s = 0.0

    def data_received(self, data: bytes) -> None:
        if self._close_by_s is not None:
            self._linger()
        elif self._unread or len(data) > _SLICE_BYTES or not self.queue.empty():
            self._unread += data
            self._parse_more()
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread.clear()
        super().connection_lost(exc)

    @property
    def takes_more(self) -> bool:
        """True if a frame can be sent now: the connection is open, and the peer has read nearly all before it."""
        return self.writable.is_set() and self.conn.state is State.OPEN and not self.transport.is_closing()

    def send_frame(self, frame: bytes) -> None:
        """Send a whole frame, made by `text_frame`, at once; only while `takes_more`, or right after another."""
        self.transport.write(frame)

    async def receive(self) -> ASGIReceiveEvent:
        message = await self.queue.get()
        self._parse_more()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.close":
            self._parse_more()  # Unparsed data may contain the peer's close frame.

    def handle_cont(self, event: Frame) -> None:
        if event.fin or self._within_frame_limit():
            super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        if event.fin or self._within_frame_limit():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if event.fin or self._within_frame_limit():
            super().handle_bytes(event)

    def handle_ping(self) -> None:
        if self._within_frame_limit():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._within_frame_limit():
            super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        """Queue a whole message. Unlike the base class, pause reading in `_parse_more`, only if needed."""
        data, self.frames = b"".join(self.frames), []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
            return
        try:
            self.queue.put_nowait({"type": "websocket.receive", "text": data.decode()})
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "the text is not UTF-8")

    def handle_parser_exception(self) -> None:
        """Close the connection with a close frame that names the broken rule."""
        if self.close_sent:
            return
        self.close_sent = True
        close = self.conn.close_sent
        if close is None:
            self.transport.close()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._linger()

    def _parse_more(self) -> None:
        """Parse received data until there is a message to answer; read on when all of it is parsed."""
        while self._unread and self._close_by_s is None and (self.close_sent or self.queue.empty()):
            piece = bytes(self._unread[:_SLICE_BYTES])
            del self._unread[:_SLICE_BYTES]
            super().data_received(piece)
        hold = bool(self._unread)
        if hold and not self.read_paused:
            self.transport.pause_reading()
        elif self.read_paused and not hold:
            self.transport.resume_reading()
        self.read_paused = hold

    def _within_frame_limit(self) -> bool:
        """Count a frame that ends no message; if there were too many, close the connection and return False."""
        if self.close_sent:
            return False
        now_s = self.loop.time()
        refilled = self._frames_left + (now_s - self._counted_at_s) * _FRAMES_PER_S
        self._frames_left, self._counted_at_s = min(_FRAMES_BURST, refilled) - 1, now_s
        if self._frames_left < 0:
            self._fail(CloseCode.POLICY_VIOLATION, "too many pings or message fragments")
        return self._frames_left >= 0

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def _linger(self) -> None:
        """Read and drop further data until the peer is quiet or its time is over."""
        self._unread.clear()
        self._last_data_s = self.loop.time()
        if self._close_by_s is None:
            self._close_by_s = self._last_data_s + _LINGER_S
            self._parse_more()
            self.close_timer = self.loop.call_later(_QUIET_S, self._close_when_quiet)

    def _close_when_quiet(self) -> None:
        left_s = min(self._close_by_s or 0.0, self._last_data_s + _QUIET_S) - self.loop.time()
        if left_s > 0:
            self.close_timer = self.loop.call_later(left_s, self._close_when_quiet)
        else:
            self.transport.close()
