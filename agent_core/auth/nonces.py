"""Used nonces of signed calls, on disk before their calls run, so that no call runs twice, over restarts too."""

import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import anyio

from agent_core.auth.nonce_file import Nonce, NonceFile, NonceRecord, in_ms
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed, DependencyFailed, RateLimited
from agent_core.base.moments import rfc3339
from agent_core.base.workers import WorkerPool

__all__ = ("MOST_NONCES", "MOST_OF_KEY", "UsedNonces")

#: Most nonces of one key, and of all keys, whose calls have not ended: 66 calls per second of a key, if each may last
#: for 30 s.
MOST_OF_KEY, MOST_NONCES = 2000, 20_000


@dataclass(eq=False, slots=True)
class _Batch:
    """Nonces that are written together. Until `is_stored`, none of their calls may run; `error` tells why they could not be."""

    nonces: list[Nonce] = field(default_factory=list)
    is_over: bool = False
    is_stored: bool = False
    error: DependencyFailed | None = None


class UsedNonces:
    """Nonces whose calls have not ended, in memory and in a file; for one event loop.

    Each is written and synced before `use` returns; callers that wait at the same time share one write. If it fails,
    the nonce counts as used all the same, and the call must not run. What has ended is forgotten, and the latest such
    end is kept: a call that ends before it may have run, and is refused even if the clock was set back.

    Args:
        file: the file; it is read at the first use.
        clock: tells which calls have ended.
        most_of_key, most: limits of what is kept at a time.
    """

    def __init__(
        self, file: NonceFile, clock: Clock, *, most_of_key: int = MOST_OF_KEY, most: int = MOST_NONCES
    ) -> None:
        self._file = file
        self._clock = clock
        self._most_of_key = most_of_key
        self._most = most
        self._thread = WorkerPool(1)
        self._writing = anyio.Lock()
        self._is_loaded = False
        #: A heap: the first one ends first.
        self._by_end: list[Nonce] = []
        self._by_key: dict[str, dict[str, Nonce]] = {}
        self._floor_ms = 0
        self._batch = _Batch()

    def __len__(self) -> int:
        return len(self._by_end)

    async def use(self, key_id: str, nonce: str, expires_at: datetime) -> None:
        """Note the nonce of a call that is about to run. A cancelled caller may have used it up.

        Raises:
            AuthenticationFailed: `call_repeated`; or `call_expired`: it ends before a call that is forgotten already.
            RateLimited: too many calls of this key, or of all keys, have not ended.
            DependencyFailed: the nonce could not be stored.
        """
        if not self._is_loaded:
            await self._load()
        used = Nonce.of(key_id, nonce, expires_at)
        self._reserve(used)
        batch = self._batch
        batch.nonces.append(used)
        async with self._writing:
            if not batch.is_over:
                await self._write()
        if not batch.is_stored:
            raise batch.error or DependencyFailed(
                "The nonce was not stored.", reason="nonce_not_stored", dependency="storage"
            )

    async def _load(self) -> None:
        """Read the file once. Raises DependencyFailed if that is not possible; the next call tries again."""
        async with self._writing:
            if self._is_loaded:
                return
            record = await self._thread.run(self._file.read, self._clock.now())
            for each in record.nonces:
                self._keep(each)
            self._floor_ms, self._is_loaded = record.floor_ms, True

    def _reserve(self, used: Nonce) -> None:
        """Keep the nonce in memory, without waiting. Raises as `use`."""
        now_ms = in_ms(self._clock.now())
        self._purge(now_ms)
        of_key = self._by_key.get(used.key_id, {})
        if used.digest in of_key:
            raise AuthenticationFailed(
                "This call came before.",
                reason="call_repeated",
                suggestion="Sign each call anew, with a nonce of its own.",
            )
        if used.end_ms <= self._floor_ms:
            raise self._before_floor()
        if len(of_key) >= self._most_of_key:
            raise _full("of this key", min(of_key.values()).end_ms - now_ms)
        if len(self) >= self._most:
            raise _full("of all keys", self._by_end[0].end_ms - now_ms)
        self._keep(used)

    def _keep(self, nonce: Nonce) -> None:
        of_key = self._by_key.setdefault(nonce.key_id, {})
        if nonce.digest not in of_key:  # a file may have one twice
            of_key[nonce.digest] = nonce
            heapq.heappush(self._by_end, nonce)

    def _purge(self, now_ms: int) -> None:
        """Forget what has ended, and raise the floor."""
        while self._by_end and self._by_end[0].end_ms <= now_ms:
            over = heapq.heappop(self._by_end)
            self._floor_ms = max(self._floor_ms, over.end_ms)
            of_key = self._by_key[over.key_id]
            del of_key[over.digest]
            if not of_key:
                del self._by_key[over.key_id]

    async def _write(self) -> None:
        """Store the batch that has gathered; later callers gather the next one. Not cancelled halfway."""
        batch, self._batch = self._batch, _Batch()
        append = partial(self._file.append, batch.nonces, needed=len(self))
        with anyio.CancelScope(shield=True):
            try:
                if not await self._thread.run(append):
                    record = NonceRecord(tuple(self._by_end), self._floor_ms)
                    await self._thread.run(self._file.replace, record)
                batch.is_stored = True
            except DependencyFailed as error:
                batch.error = error
            finally:
                batch.is_over = True

    def _before_floor(self) -> AuthenticationFailed:
        floor = rfc3339(datetime.fromtimestamp(self._floor_ms / 1000, UTC))
        return AuthenticationFailed(
            f"The call ends before {floor}, and calls that ended until then may have run already.",
            reason="call_expired",
            suggestion="Sign the call anew. If the clock of the agent's host was set back from a wrong time that lies ahead, "
            "delete used-nonces in the agent's state folder and restart the agent.",
        )


def _full(whose: str, retry_after_ms: int) -> RateLimited:
    return RateLimited(
        f"Too many calls {whose} have not ended yet.", retry_after_ms=retry_after_ms, reason="too_many_calls"
    )
