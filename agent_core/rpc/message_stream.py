"""Interface of a session to its connection.

A module of its own: the session uses it and `web` implements it, so neither imports the other.
"""

from typing import Protocol

__all__ = ("MessageStream",)


class MessageStream(Protocol):
    """Stream of whole messages in both directions. `send` waits while the peer reads too slowly."""

    async def receive(self) -> str:
        """Return the next message. Raises anyio.EndOfStream if the peer has left."""
        ...

    @property
    def takes_more(self) -> bool:
        """True if `send_now` may be called: the peer is there, and has read nearly all that was sent."""
        ...

    def send_now(self, text: str) -> None:
        """Send a message without waiting; several at once are possible."""
        ...

    async def send(self, text: str) -> None:
        """Send a message. Raises anyio.BrokenResourceError if the peer has left."""
        ...

    def admit(self) -> None:
        """Accept messages of the full size and keep the connection's slot: the peer has authenticated."""
        ...

    def revoke(self) -> None:
        """Close the connection at once: the peer's credentials were revoked."""
        ...

    def dismiss(self) -> None:
        """Accept only short messages, as before `admit`; the connection may lose its slot to another."""
        ...
