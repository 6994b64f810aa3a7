"""Credentials of a client: a token, or a function that supplies one for each login.

A module of its own: downloads and the connection use the same token, which may change.
"""

from collections.abc import Awaitable, Callable

from agent_core.client.errors import TokenUnavailable

__all__ = ("Login", "TokenSource")

#: Supplies a valid token; called for each login, so at the start, after a break and when the last token has expired.
TokenSource = Callable[[], Awaitable[str]]


class Login:
    """Credentials of one client. `token` is the newest known; None if there is none, or none yet."""

    def __init__(self, token: str | TokenSource | None) -> None:
        self._source = token if callable(token) else None
        self.token = None if callable(token) else token

    @property
    def is_renewable(self) -> bool:
        """True if a new token can be had after the last one has expired."""
        return self._source is not None

    def replace(self, token: str) -> None:
        """Use `token` from now on, also instead of a source."""
        self._source, self.token = None, token

    async def fetch(self) -> str | None:
        """Return the token for a login; None if the client has no credentials.

        Raises:
            TokenUnavailable: the program's function failed; its error is the cause.
        """
        if self._source is not None:
            try:
                self.token = await self._source()
            except Exception as error:
                raise TokenUnavailable(
                    f"The program's function for tokens failed: {error!r}.", reason="no_token"
                ) from error
        return self.token
