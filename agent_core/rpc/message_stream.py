"""The connection as a session sees it: texts in both directions."""

from typing import Protocol

__all__ = ("MessageStream",)


class MessageStream(Protocol):
    """Whole texts in both directions. `send` waits while the peer reads too slowly."""

    async def receive(self) -> str:
        """Raises anyio.EndOfStream when the peer has gone."""
        ...

    async def send(self, text: str) -> None:
        """Raises anyio.BrokenResourceError when the peer has gone."""
        ...

    def admit(self) -> None:
        """Take messages of the full size, and keep the connection's place: the peer has authenticated."""
        ...

    def dismiss(self) -> None:
        """Take only short messages again, as before `admit`, and let the connection give way to others."""
        ...
