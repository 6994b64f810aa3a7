"""Allowance of one connection, and the pause in reading after it has asked for too much."""

from typing import Final

from agent_core.auth.limits import RateLimiter
from agent_core.base.clock import Clock
from agent_core.base.errors import RateLimited

__all__ = ("Allowance",)

#: The rest after a message with refused calls; it doubles with each further one, up to the longest.
_FIRST_REST_S: Final = 0.01
_LONGEST_REST_S: Final = 1.0
_MOST_DOUBLINGS: Final = 7
_LOGIN: Final = "authenticate"


class Allowance:
    """Charges one connection's messages and calls to the bucket of its user and address.

    A connection whose calls are refused is read more slowly, so that a flood costs little even while all of it is
    refused. That delays this connection only: others of the same user or address are read as before.
    """

    def __init__(self, limiter: RateLimiter, clock: Clock, address: str) -> None:
        self._limiter = limiter
        self._clock = clock
        self._address = address
        self._refused = False
        self._refusals = 0

    async def rest(self) -> None:
        """Return when the connection may be read: at once, unless calls of the last message were refused."""
        if not self._refused:
            self._refusals = 0
            return
        self._refused = False
        rest_s = min(_LONGEST_REST_S, _FIRST_REST_S * 2.0**self._refusals)
        self._refusals = min(_MOST_DOUBLINGS, self._refusals + 1)
        await self._clock.sleep(rest_s)

    async def admit(self, user_id: str | None, size_bytes: int) -> None:
        """Charge for reading a message of `size_bytes`, before it is parsed.

        A user's long message waits until there is room for it. An anonymous one cannot be long, and is not delayed: it
        may be the `authenticate` of a user at whose address others flood the agent.
        """
        while wait_s := self._limiter.take_bytes(user_id, self._address, size_bytes):
            if user_id is None:
                self._refused = True
                return
            await self._clock.sleep(wait_s)

    def charge(self, user_id: str | None, method: str) -> None:
        """Count one call of `method`.

        `authenticate` of an anonymous connection counts and is never refused here: nothing that others do at this
        address may keep a user out. Its failures have a throttle of their own.

        Raises:
            RateLimited: it is one too many.
        """
        if user_id is None and method == _LOGIN:
            self.note(None)
            return
        try:
            self._limiter.charge(user_id, self._address)
        except RateLimited:
            self._refused = True
            raise

    def note(self, user_id: str | None) -> None:
        """Count one call that is answered however many came before it."""
        try:
            self._limiter.charge(user_id, self._address)
        except RateLimited:
            self._refused = True

    def restore(self) -> None:
        """Forget earlier refusals: the connection has just authenticated."""
        self._refused = False
        self._refusals = 0
