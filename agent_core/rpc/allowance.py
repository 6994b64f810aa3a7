"""Rate limit of one connection, and the pause in reading after it was exceeded."""

from typing import Final

from agent_core.auth.limits import RateLimiter
from agent_core.base.clock import Clock
from agent_core.base.errors import RateLimited

__all__ = ("Allowance",)

#: Pause after a message with refused calls; it doubles with each further one, up to the longest.
_FIRST_REST_S: Final = 0.01
_LONGEST_REST_S: Final = 1.0
_MOST_DOUBLINGS: Final = 7
_LOGIN: Final = "authenticate"


class Allowance:
    """Charges one connection's messages and calls to the bucket of its user and address.

    A connection whose calls are refused is read more slowly, so that even a refused flood costs little. Other
    connections of the same user or address are not slowed down.
    """

    def __init__(self, limiter: RateLimiter, clock: Clock, address: str) -> None:
        self._limiter = limiter
        self._clock = clock
        self._address = address
        self._refused = False
        self._refusals = 0

    async def rest(self) -> None:
        """Pause before the next read if calls of the last message were refused."""
        if not self._refused:
            self._refusals = 0
            return
        self._refused = False
        rest_s = min(_LONGEST_REST_S, _FIRST_REST_S * 2.0**self._refusals)
        self._refusals = min(_MOST_DOUBLINGS, self._refusals + 1)
        await self._clock.sleep(rest_s)

    async def admit(self, user_id: str | None, size_bytes: int) -> None:
        """Charge a message of `size_bytes` before it is parsed; wait while the user's allowance is used up.

        Anonymous messages are short and never delayed: one may be the `authenticate` of a user while others flood the
        agent from the same address.
        """
        while wait_s := self._limiter.take_bytes(user_id, self._address, size_bytes):
            if user_id is None:
                self._refused = True
                return
            await self._clock.sleep(wait_s)

    def charge(self, user_id: str | None, method: str) -> None:
        """Count one call of `method`.

        `authenticate` of an anonymous connection counts but is never refused here: others at the same address must
        not be able to lock a user out. Failed attempts have their own throttle.

        Raises:
            RateLimited: the allowance is used up.
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
        """Count one call that is answered even if the allowance is used up."""
        try:
            self._limiter.charge(user_id, self._address)
        except RateLimited:
            self._refused = True

    def restore(self) -> None:
        """Forget earlier refusals: the connection has just authenticated."""
        self._refused = False
        self._refusals = 0
