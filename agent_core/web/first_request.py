"""The HTTP routes, made when the first request comes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ("MadeAtFirstRequest",)


class MadeAtFirstRequest:
    """An ASGI application that `make` makes at the first request.

    The agent listens without the HTTP framework, and one that only has WebSocket clients never loads it.
    """

    def __init__(self, make: "Callable[[], ASGIApp]") -> None:
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)
