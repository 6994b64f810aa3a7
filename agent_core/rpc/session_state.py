"""State of one connection that methods may read and change: its identity, credentials and subscriptions."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import anyio

from agent_core.auth.roles import Principal
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed
from agent_core.rpc.feed import Feed, Place
from agent_core.rpc.subscriptions import Subscriptions

__all__ = ("Judge", "SessionState")


class Judge(Protocol):
    """Judge of credentials."""

    async def authenticate(self, credentials: str, address: str) -> Principal:
        """Return the user of `credentials`; see `Authenticator.authenticate`."""
        ...

    def is_current(self, credential: str) -> bool:
        """Return True unless the credentials of a `Principal` have been revoked or changed."""
        ...


class SessionState:
    """Credentials and subscriptions of one connection.

    Args:
        authenticator: judges the credentials.
        feed: the events for the connection.
        clock: tells when credentials have expired.
        address: the peer's address, without its port.
        when_authenticated: called after each successful `authenticate`.
        user: the user for as long as the connection lasts; None if the peer authenticates.
    """

    def __init__(
        self,
        authenticator: Judge,
        feed: Feed,
        clock: Clock,
        address: str,
        *,
        when_authenticated: Callable[[Principal], object],
        user: Principal | None = None,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.address = address
        self.principal = user
        self.is_fixed = user is not None
        self._feed = feed
        self._authenticator = authenticator
        self._clock = clock
        self._when_authenticated = when_authenticated
        self._authenticating = anyio.Lock()
        self._closing: dict[str, Callable[[], object]] = {}

    @property
    def subscriptions(self) -> Subscriptions:
        return self._feed.subscriptions

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics subscribed to."""
        return self.subscriptions.topics

    @property
    def has_expired(self) -> bool:
        """True if the connection was authenticated with credentials that have expired since."""
        expires_at = self.expires_at
        return expires_at is not None and expires_at <= self._clock.now()

    @property
    def expires_at(self) -> datetime | None:
        """The end of the credentials; None without credentials, or if they have no end."""
        return None if self.principal is None else self.principal.expires_at

    @property
    def is_current(self) -> bool:
        """False if the connection was authenticated with credentials that have been revoked or changed since."""
        return self.principal is None or self._authenticator.is_current(self.principal.credential)

    @property
    def user_id(self) -> str | None:
        """The user; None before `authenticate` and again after the credentials have expired."""
        return None if self.principal is None or self.has_expired else self.principal.user_id

    async def authenticate(self, token: str) -> Principal:
        """Replace the connection's credentials and resume its events; `settled` waits for this.

        Raises:
            AuthenticationFailed, RateLimited: as `Authenticator.authenticate`, and `user_is_fixed`; the previous
                credentials stay.
        """
        if self.is_fixed:
            raise AuthenticationFailed(
                "The user of this session is fixed: its calls come through a plugin.",
                reason="user_is_fixed",
                suggestion="Authenticate over the agent's WebSocket, or as the plugin's documentation says.",
            )
        async with self._authenticating:
            principal = await self._authenticator.authenticate(token, self.address)
            self.principal = principal
            self.subscriptions.suspended = False
            self._when_authenticated(principal)
        return principal

    async def settled(self) -> None:
        """Wait for a call of `authenticate` that has begun, which a later call of a batch may rely on."""
        if self._authenticating.locked():
            async with self._authenticating:
                pass

    def subscribe(self, topics: Sequence[str], device: str | None, replay_since: Place | None) -> Place:
        """Deliver `topics`; see `Feed.subscribe`. Raises InvalidParams."""
        return self._feed.subscribe(topics, device, replay_since)

    def unsubscribe(self, topics: Sequence[str] | None) -> tuple[str, ...]:
        """Stop delivering `topics`, or all for None; return those that were subscribed to.

        Raises:
            InvalidParams: a topic does not exist.
        """
        return self.subscriptions.remove(topics)

    def on_close(self, key: str, callback: Callable[[], object]) -> None:
        """Call `callback` when the connection has ended; it replaces one with the same `key`."""
        self._closing[key] = callback

    def close(self) -> None:
        """Call what `on_close` registered: the connection has ended."""
        for callback in self._closing.values():
            callback()
