"""The guard at the door: how many connections there may be, and how long one may be silent before its first request."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

__all__ = ("ConnectionLimits", "guarded_protocol")

_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\n"
    b"retry-after: 10\r\nconnection: close\r\n\r\nToo many connections.\n"[:-1]
)
#: A refused peer is answered when it has asked, so that the answer is not lost to a reset; it has this long to ask.
_REFUSED_LINGER_S = 1.0


class ConnectionLimits:
    """Counts and times of a server's connections."""

    def __init__(self, total: int, per_address: int, first_request_s: float) -> None:
        self.total = total
        self.per_address = per_address
        self.first_request_s = first_request_s


def guarded_protocol(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """The protocol class of one server: uvicorn wants a class, so the limits are bound in a subclass."""

    class Guarded(_GuardedProtocol):
        def __init__(
            self,
            config: Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, app_state, _loop)
            self.limits = limits

    return Guarded


def _address(connection: object) -> str:
    client: tuple[str, int] | None = getattr(connection, "client", None)
    return client[0] if client else ""


class _GuardedProtocol(H11Protocol):
    """HTTP/1.1 with a cap on connections and a deadline for each request's head.

    The deadline runs from the connection's start, and from the first byte of a later request, until the head is
    complete: a peer that sends a byte now and then gains nothing.
    """

    limits: ConnectionLimits
    _refused = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._refused = self._is_one_too_many()
        self._arm(_REFUSED_LINGER_S if self._refused else self.limits.first_request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._disarm()
            self.transport.write(_REFUSAL)
            self.transport.close()
            return
        if self._deadline is None and not self._is_answering():
            self._arm(self.limits.first_request_s)
        super().data_received(data)
        if self._is_answering():
            self._disarm()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._disarm()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        self._disarm()
        super().on_response_complete()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = getattr(self, "cycle", None)
        return cycle is not None and not cycle.response_complete

    def _is_one_too_many(self) -> bool:
        addresses = [_address(each) for each in self.connections]
        same = addresses.count(_address(self))
        return len(addresses) > self.limits.total or same > self.limits.per_address

    def _arm(self, after_s: float) -> None:
        self._deadline = self.loop.call_later(after_s, self._too_late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.abort()
