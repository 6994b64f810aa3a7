"""Connections and responses that run on credentials, and their end when the credentials are revoked."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.secret import SecretFile
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed, StartFailed, StorageFailed
from agent_core.base.workers import WorkerPool

__all__ = ("CredentialFiles", "LiveAccess")

_LOG = logging.getLogger("camera_agent.rpc")

#: Interval of looks at the files: revocation must take effect within a second.
_LOOK_S = 0.4


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

    def recheck(self) -> None:
        """End all that runs on credentials which are no longer current."""
        for held in [each for each in self._held if not _is_current(each)]:
            self._held.discard(held)
            held.end()


def _is_current(held: _Held) -> bool:
    """Ask `held`; a fault grants nothing, and must not keep the others from being checked."""
    try:
        return held.is_current()
    except Exception:  # noqa: BLE001 - one faulty check must not spare the others
        _LOG.exception("a credential could not be checked: what runs on it ends")
        return False


class CredentialFiles:
    """Watch over the secret, the API keys and the revoked tokens, which the command line changes as well.

    Args:
        secret: generated again when it is deleted.
        keys: the API keys.
        revoked: the revoked tokens.
        live: what is ended when a change revokes its credentials.
        clock: times the looks at the files.
    """

    def __init__(
        self, secret: SecretFile, keys: ApiKeys, revoked: RevokedTokens, *, live: LiveAccess, clock: Clock
    ) -> None:
        self._secret = secret
        self._keys = keys
        self._revoked = revoked
        self._live = live
        self._clock = clock
        self._threads = WorkerPool(1)
        self._seen = -1

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look at the files until cancelled. Three calls of lstat(2) per look; a file is read when it has changed."""
        task_status.started()
        while True:
            await self.look()
            await self._clock.sleep(_LOOK_S)

    async def look(self) -> None:
        """Read changed files, replace a deleted secret, and end what runs on revoked credentials.

        A disk that stalls delays this alone; cancellation abandons the reading.
        """
        if not await self._threads.run_abandonable(self._refresh):
            await self._ensure_secret()
        version = self._secret.version + self._keys.version + self._revoked.version
        if version != self._seen:
            self._seen = version
            self._live.recheck()

    def _refresh(self) -> bool:
        """Read changed files and return True if there is a usable secret. Blocks on the disk."""
        secret = self._secret.refresh()
        self._keys.list()
        self._revoked.refresh()
        return secret is not None

    async def _ensure_secret(self) -> None:
        try:
            await self._threads.run(self._secret.ensure)
        except (StartFailed, StorageFailed):
            return  # `SecretFile` has logged an unusable file; no token is valid until it is replaced
        await self._threads.run_abandonable(self._secret.refresh)
