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

    def lift_size_limit(self) -> None:
        """Take messages of the full size: the peer has authenticated. Only short ones are taken before."""
        ...

    def restore_size_limit(self) -> None:
        """Take only short messages again."""
        ...
