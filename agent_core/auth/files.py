"""Watch over the files of credentials, which the command line and administrators change as well."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.auth.live import LiveAccess
from agent_core.auth.secret import SecretFile
from agent_core.auth.stored_view import CredentialFile
from agent_core.base.clock import Clock
from agent_core.base.errors import StartFailed, StorageFailed
from agent_core.base.inotify import FolderWatches
from agent_core.base.mounts import is_local
from agent_core.base.waiting import first_of, sleep_unless
from agent_core.base.workers import WorkerPool

__all__ = ("CredentialFiles",)

_LOG = logging.getLogger("camera_agent.rpc")

#: Interval of looks at the files while inotify tells of changes; they find what it cannot, such as another folder at
#: the path of the state folder because a folder above was renamed.
_WATCHED_LOOK_S = 30.0
#: Interval without inotify: on a network disk, or when the account has too many watches.
_UNWATCHED_LOOK_S = 3.0
#: Longest wait of a client for a disk that stalls; its credentials are then judged by what was read before.
_PATIENCE_S = 1.0


class CredentialFiles:
    """Watch over the files of credentials: reads what has changed, and ends what was revoked.

    The disk is used only in a thread, so that one that stalls delays this alone.

    Args:
        secret: generated again when it is deleted.
        others: the API keys, the revoked tokens and the view links, in the same folder.
        live: what is ended when a change revokes its credentials.
        clock: times the looks at the files.
        is_local: returns True for a folder that no other machine changes; inotify misses changes by others.
        open_watches: returns new watches; raises OSError where there can be none.
    """

    def __init__(
        self,
        secret: SecretFile,
        *others: CredentialFile[Any],
        live: LiveAccess,
        clock: Clock,
        is_local: Callable[[Path], bool] = is_local,
        open_watches: Callable[[Callable[[Path], bool]], FolderWatches] = FolderWatches,
    ) -> None:
        self._secret = secret
        self._others = others
        self._live = live
        self._clock = clock
        self._open_watches = partial(open_watches, is_local)
        self._folder = secret.path.parent
        self._names = {each.path.name for each in (secret, *others)}
        self._threads = WorkerPool(1)
        self._looking = anyio.Lock()
        self._watches: FolderWatches | None = None
        self._watch: int | None = None
        #: True if inotify told of a change since the last look began, or that look was cut off.
        self._is_behind = True
        self._wake = anyio.Event()
        self._told = ""
        self._seen = -1

    def read(self) -> None:
        """Read the files, before `run`. Blocks on the disk."""
        self._refresh(None)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep up with the files until cancelled. Starts at once, whatever the disk does."""
        task_status.started()
        try:
            while True:
                self._open()
                await self.look()
                await self._wait()
        finally:
            watches, self._watches, self._watch = self._watches, None, None
            if watches is not None:
                watches.close()

    async def catch_up(self) -> None:
        """Have all changes before this call read, and what they revoke ended, unless the disk stalls for a second.

        Where inotify watches the folder, this costs no more than a system call as long as nothing changes.
        """
        self._collect()
        if self._watch is None or self._is_behind or self._looking.locked():
            try:
                await first_of(self.look, partial(self._clock.sleep, _PATIENCE_S))
            finally:
                # A caller that was cancelled may have taken what inotify told `run` of, and not have looked.
                if self._is_behind:
                    self._wake.set()

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Take over what is changed in this context right after it, whatever inotify says.

        Nothing ends before: a caller that revokes its own credentials is answered.
        """
        async with self._looking:
            try:
                yield
            finally:
                self._is_behind = True
                self._wake.set()

    async def look(self) -> None:
        """Read changed files, replace a deleted secret, and end what runs on revoked credentials.

        Cancellation abandons a disk that stalls; `run` then looks again.
        """
        async with self._looking:
            self._is_behind = False
            old = self._watch
            try:
                self._watch = await self._threads.run_abandonable(self._refresh, self._watches)
                if self._watches is not None and old is not None and old != self._watch:
                    self._watches.remove(old)
                version = sum(each.version for each in (self._secret, *self._others))
                if version != self._seen:
                    await self._live.recheck()
                    self._seen = version
            except BaseException:
                self._is_behind = True
                self._wake.set()
                raise

    def _refresh(self, watches: FolderWatches | None) -> int | None:
        """Watch the folder, then read changed files; return the watch. Blocks on the disk."""
        watch = None if watches is None else self._watched(watches)
        for each in self._others:
            each.refresh()
        if self._secret.refresh() is None:
            # `SecretFile` has logged an unusable file; no token is valid until it is replaced.
            with suppress(StartFailed, StorageFailed):
                self._secret.ensure()
                self._secret.refresh()
        return watch

    def _open(self) -> None:
        if self._watches is None:
            try:
                self._watches = self._open_watches()
            except OSError as error:  # the account's limit of inotify instances
                self._tell(error)

    def _watched(self, watches: FolderWatches) -> int | None:
        """Watch the folder that is at the path now; it has the same watch as before if it is the same folder."""
        try:
            watch = watches.add(self._folder, follow=True)
        except OSError as error:
            self._tell(error)
            return None
        self._told = ""
        return watch

    def _tell(self, error: OSError) -> None:
        why = error.strerror or type(error).__name__
        if why != self._told and not isinstance(error, FileNotFoundError):
            _LOG.warning(
                "changes to the secret, keys, revoked tokens and view links are looked for every %g s: the state folder cannot be"
                " watched (%s)",
                _UNWATCHED_LOOK_S,
                why,
            )
        self._told = why

    async def _wait(self) -> None:
        """Wait until it is time to look again."""
        if self._is_behind:
            return
        self._wake = anyio.Event()
        watches = self._watches
        if watches is None or self._watch is None:
            await sleep_unless(self._clock, _UNWATCHED_LOOK_S, self._wake)
        else:
            pause = partial(sleep_unless, self._clock, _WATCHED_LOOK_S, self._wake)
            await first_of(partial(self._notice, watches), pause)

    async def _notice(self, watches: FolderWatches) -> None:
        while not self._is_behind:
            await anyio.wait_readable(watches.fd)
            self._collect()

    def _collect(self) -> None:
        """Take over what inotify noticed; does not wait."""
        if self._watches is None:
            return
        noticed = self._watches.read()
        is_lost = self._watch is not None and self._watch in noticed.lost
        if is_lost:
            self._watch = None
        if is_lost or noticed.overflowed or any(self._names & names for names in noticed.names.values()):
            self._is_behind = True
