"""Connection of a session to a stream that a plugin implements.

A module of its own, as `message_stream`: it knows the plugin's stream, and no session.
"""

from collections.abc import Callable

import anyio

from agent_core.base.errors import AgentError, AuthenticationFailed
from agent_core.plugin.sessions import ClientStream
from agent_core.rpc.errors import InvalidRequest

__all__ = ("LentStream",)

#: A plugin may implement its stream with anyio's, which tell by any of these that an end is closed.
_LEFT = (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError)


class LentStream:
    """`MessageStream` over a plugin's stream. Each message waits for the plugin, so that a slow one delays no other.

    Args:
        stream: the plugin's stream.
        most_bytes: returns the limit of a message from the client.

    Attributes:
        problem: error that has ended the session; None if the client has left by itself.
    """

    def __init__(self, stream: ClientStream, most_bytes: Callable[[], int]) -> None:
        self._stream = stream
        self._most_bytes = most_bytes
        self.problem: AgentError | None = None

    async def receive(self) -> str:
        """Return the next message. Raises anyio.EndOfStream, and InvalidRequest for one above the limit."""
        try:
            text = await self._stream.receive()
        except _LEFT as error:
            raise anyio.EndOfStream from error
        size_bytes, most_bytes = len(text.encode(errors="surrogatepass")), self._most_bytes()
        if size_bytes > most_bytes:
            raise InvalidRequest(
                f"The message has {size_bytes} bytes; the limit is {most_bytes} (server.max_message_bytes).",
                hint="Send several shorter messages.",
                reason="message_too_large",
            )
        return text

    @property
    def takes_more(self) -> bool:
        """False: only `send` knows when the plugin takes more."""
        return False

    def send_now(self, text: str) -> None:
        """Do nothing: the session calls this only while `takes_more`."""

    async def send(self, text: str) -> None:
        """Send a message. Raises anyio.BrokenResourceError if the client has left."""
        try:
            await self._stream.send(text)
        except _LEFT as error:
            raise anyio.BrokenResourceError from error

    def admit(self) -> None:
        """Do nothing: the user is known from the beginning."""

    def revoke(self) -> None:
        """Keep the reason for the session's end: the user's credentials were revoked or changed."""
        self.problem = AuthenticationFailed("The credentials were revoked.", reason="credentials_revoked")

    def dismiss(self) -> None:
        """Keep the reason for the session's end: the user's credentials have expired."""
        self.problem = AuthenticationFailed("The credentials have expired.", reason="token_expired")
