"""Connections and responses that run on credentials, and their end when the credentials are revoked."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio.lowlevel

from agent_core.base.errors import AuthenticationFailed

__all__ = ("LiveAccess",)

#: Connections and responses checked in a row before others get a turn.
_TURN = 16

_LOG = logging.getLogger("camera_agent.rpc")


@dataclass(frozen=True, eq=False, slots=True)
class _Held:
    is_current: Callable[[], bool]
    end: Callable[[], object]


class LiveAccess:
    """Registry of what runs on credentials: connections, downloads, live pictures."""

    def __init__(self) -> None:
        self._held: set[_Held] = set()

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def hold(self, is_current: Callable[[], bool], end: Callable[[], object]) -> Iterator[None]:
        """Have `end` called once `is_current` is False at a `recheck`, while the context is open.

        Raises:
            AuthenticationFailed: it is False already.
        """
        if not is_current():
            raise AuthenticationFailed("The credentials were revoked.", reason="credentials_revoked")
        held = _Held(is_current, end)
        self._held.add(held)
        try:
            yield
        finally:
            self._held.discard(held)

    async def recheck(self) -> None:
        """End all that runs on credentials which are no longer current. Cancellation leaves the rest.

        Others get turns in between: ending a thousand connections takes most of a second.
        """
        for number, held in enumerate(tuple(self._held), 1):
            if held in self._held and not _is_current(held):
                self._held.discard(held)
                _end(held)
            if number % _TURN == 0:
                await anyio.lowlevel.checkpoint()


def _is_current(held: _Held) -> bool:
    """Ask `held`; a fault grants nothing, and must not keep the others from being checked."""
    try:
        return held.is_current()
    except Exception:  # noqa: BLE001 - one faulty check must not spare the others
        _LOG.exception("a credential could not be checked: what runs on it ends")
        return False


def _end(held: _Held) -> None:
    """End `held`; a fault must not spare the others."""
    try:
        held.end()
    except Exception:  # noqa: BLE001 - see above
        _LOG.exception("what runs on revoked credentials could not be ended")
