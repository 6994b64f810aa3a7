"""The files of credentials: what others change in them is noticed at once, and a disk that stalls stalls nothing else."""

import errno
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.authenticator import Authenticator
from agent_core.auth.files import CredentialFiles
from agent_core.auth.limits import FailureThrottle
from agent_core.auth.live import LiveAccess
from agent_core.auth.own import OwnPrincipals
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret, SecretFile
from agent_core.auth.stored_keys import ApiKey
from agent_core.auth.stored_view import no_check
from agent_core.auth.tokens import TokenAuthority
from agent_core.auth.view_links import ViewLinks
from agent_core.base.errors import AuthenticationFailed, StorageFailed
from agent_core.base.inotify import FolderWatches, Noticed
from agent_core.testing import SimulatedClock

#: A watched folder is looked at this often all the same, an unwatched one at the second interval.
WATCHED_S, UNWATCHED_S = 30.0, 3.0


class CountedKeys(ApiKeys):
    """Keys on a disk that can stall. Every look at the credentials refreshes them."""

    def __init__(self, path: Path, clock: SimulatedClock, require: Callable[[], None]) -> None:
        super().__init__(path, clock, require=require)
        self.looks = 0
        self.stalls = False
        self.is_stalled, self.goes_on = threading.Event(), threading.Event()

    def refresh(self) -> tuple[ApiKey, ...]:
        self.looks += 1
        if self.stalls:
            self.is_stalled.set()
            assert self.goes_on.wait(60), "nothing else went on meanwhile"
        return super().refresh()


class Files:
    """Credentials in a folder, the key of `robot` among them, and what runs on it."""

    def __init__(
        self,
        folder: Path,
        clock: SimulatedClock,
        *,
        is_local: bool = True,
        require: Callable[[], None] = no_check,
        open_watches: Callable[[Callable[[Path], bool]], FolderWatches] = FolderWatches,
    ) -> None:
        self.folder = folder
        self.clock = clock
        #: The view of another process.
        self.other = ApiKeys(folder / "api-keys.json", clock)
        self.key = self.other.create("robot", Role.VIEWER)
        secret = SecretFile(folder / "secret", require=require)
        secret.ensure()
        revoked = RevokedTokens(folder / "revoked-tokens.json", clock, require=require)
        self.keys = CountedKeys(folder / "api-keys.json", clock, require)
        self.live = LiveAccess()
        self.tokens = TokenAuthority(secret, clock, revoked)
        self.watched = CredentialFiles(
            secret,
            self.keys,
            revoked,
            ViewLinks(folder / "view-links.json", clock, require=require),
            live=self.live,
            clock=clock,
            is_local=lambda _folder: is_local,
            open_watches=open_watches,
        )
        self.watched.read()
        throttle = FailureThrottle(10, clock)
        self.auth = Authenticator(
            self.tokens, self.keys, throttle, own=OwnPrincipals(), catch_up=self.watched.catch_up
        )
        self.ended = anyio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the watch, and something on the key, from the first look on."""
        async with anyio.create_task_group() as tasks:
            looks = self.keys.looks
            await tasks.start(self.watched.run)
            await self.until(lambda: self.keys.looks > looks and bool(self.clock.sleeps))
            with self.holding():
                yield
            tasks.cancel_scope.cancel()

    @contextmanager
    def holding(self) -> Iterator[None]:
        credential = self.keys.verify(self.key).credential
        with self.live.hold(lambda: self.auth.is_current(credential), self.ended.set):
            yield

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(30):
            while not condition():
                await anyio.sleep(0.005)

    async def until_ended(self) -> None:
        with anyio.fail_after(30):
            await self.ended.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def in_place(files: Files) -> None:
    (files.folder / "api-keys.json").write_text('{"keys": []}')


def by_rename(files: Files) -> None:
    files.other.revoke("robot")


def by_moving_in(files: Files) -> None:
    new = files.folder.parent / "new.json"
    new.write_text('{"keys": []}')
    new.chmod(0o600)
    new.rename(files.folder / "api-keys.json")


def by_moving_out(files: Files) -> None:
    (files.folder / "api-keys.json").rename(files.folder.parent / "old.json")


def by_mode(files: Files) -> None:
    (files.folder / "api-keys.json").chmod(0o666)


def with_the_folder(files: Files) -> None:
    shutil.rmtree(files.folder)


def by_moving_the_folder(files: Files) -> None:
    files.folder.rename(files.folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    "change",
    [in_place, by_rename, by_moving_in, by_moving_out, by_mode, with_the_folder, by_moving_the_folder],
)
async def test_a_change_is_noticed_although_no_time_passes(
    folder: Path, clock: SimulatedClock, change: Callable[[Files], None]
) -> None:
    files = Files(folder, clock)
    async with files.running():
        change(files)
        await files.until_ended()


async def test_a_change_that_a_leaving_client_was_told_of_first_is_noticed(
    folder: Path, clock: SimulatedClock
) -> None:
    """It takes what inotify tells, and is cancelled before it has looked."""
    files = Files(folder, clock)
    async with files.running():
        files.other.revoke("robot")
        with anyio.CancelScope() as leaving:
            leaving.cancel()
            await files.watched.catch_up()
        assert not files.ended.is_set()
        await files.until_ended()


async def test_a_folder_that_was_replaced_is_watched_again(folder: Path, clock: SimulatedClock) -> None:
    elsewhere = folder.with_name("elsewhere")

    def require() -> None:
        if elsewhere.exists():
            raise StorageFailed("The state folder is not there.")

    files = Files(folder, clock, require=require)
    async with files.running():
        folder.rename(elsewhere)
        await files.until(lambda: clock.sleeps[-1] == UNWATCHED_S)
        assert not files.ended.is_set(), "a disk that is not mounted revokes nothing"
        shutil.copytree(elsewhere, folder)
        shutil.rmtree(elsewhere)
        await clock.advance(UNWATCHED_S)
        await files.until(lambda: clock.sleeps[-1] == WATCHED_S)
        files.other.revoke("robot")
        await files.until_ended()


async def test_another_folder_at_the_path_is_found_in_time(folder: Path, clock: SimulatedClock) -> None:
    """The watch sees nothing of a folder above that is renamed."""
    above = folder / "above"
    files = Files(above / "state", clock)
    async with files.running():
        above.rename(folder / "old")
        (above / "state").mkdir(parents=True)
        await clock.advance(WATCHED_S)
        await files.until_ended()
        await files.until(lambda: clock.sleeps[-1] == WATCHED_S)
        assert (await files.auth.authenticate(files.other.create("new", Role.VIEWER), "a")).user_id == "new"


async def test_an_idle_agent_is_not_woken(folder: Path, clock: SimulatedClock) -> None:
    files = Files(folder, clock)
    async with files.running():
        looks = files.keys.looks
        for name in ("cameras.json", "index.sqlite-journal", ".api-keys.json.lock"):
            (folder / name).write_text("x")
        await clock.advance(WATCHED_S - 1)
        assert files.keys.looks == looks
        assert set(clock.sleeps) == {WATCHED_S}
        for _ in range(3):
            await files.auth.authenticate(files.key, "a")
        assert files.keys.looks == looks, "inotify says that nothing has changed"
        assert not files.ended.is_set()


@pytest.mark.parametrize("why", ["a network disk", "no instances left"])
async def test_without_inotify_the_files_are_looked_at_every_few_seconds(
    folder: Path, clock: SimulatedClock, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_is_local: Callable[[Path], bool]) -> FolderWatches:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    if why == "a network disk":
        files = Files(folder, clock, is_local=False)
    else:
        files = Files(folder, clock, open_watches=refuse)
    async with files.running():
        for _ in range(3):
            looks, pauses = files.keys.looks, len(clock.sleeps)
            await clock.advance(UNWATCHED_S)
            await files.until(lambda: files.keys.looks > looks and len(clock.sleeps) > pauses)  # noqa: B023
        assert set(clock.sleeps) == {UNWATCHED_S}
        files.other.revoke("robot")
        with pytest.raises(AuthenticationFailed):
            await files.auth.authenticate(files.key, "a")
        assert files.ended.is_set(), "who authenticates has the files looked at, for all"
    assert [each.levelname for each in caplog.records] == ["WARNING"]


async def test_inotify_is_used_once_the_account_has_an_instance_left(
    folder: Path, clock: SimulatedClock
) -> None:
    refusals = [OSError(errno.EMFILE, "Too many open files")]

    def open_watches(is_local: Callable[[Path], bool]) -> FolderWatches:
        if refusals:
            raise refusals.pop()
        return FolderWatches(is_local)

    files = Files(folder, clock, open_watches=open_watches)
    async with files.running():
        await files.until(lambda: clock.sleeps == [UNWATCHED_S])
        await clock.advance(UNWATCHED_S)
        await files.until(lambda: clock.sleeps[-1] == WATCHED_S)
        files.other.revoke("robot")
        await files.until_ended()


class Overflowing(FolderWatches):
    """Watches whose queue overflows at once."""

    def read(self) -> Noticed:
        return Noticed({}, set(), overflowed=bool(super().read().names))


async def test_a_queue_that_overflows_has_the_files_read(folder: Path, clock: SimulatedClock) -> None:
    files = Files(folder, clock, open_watches=Overflowing)
    async with files.running():
        files.other.revoke("robot")
        await files.until_ended()


async def test_a_client_waits_for_a_stalled_disk_a_second_and_others_do_not(
    folder: Path, clock: SimulatedClock
) -> None:
    files = Files(folder, clock)
    users: list[str] = []

    async def authenticate() -> None:
        users.append((await files.auth.authenticate(files.key, "a")).user_id)

    async with files.running():
        files.keys.stalls = True
        (folder / "api-keys.json").touch()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(authenticate)
            assert await anyio.to_thread.run_sync(files.keys.is_stalled.wait, 30)
            await files.until(lambda: 1.0 in clock.sleeps)
            assert users == []
            await clock.advance(1)
            await files.until(lambda: users == ["robot"])
        files.other.revoke("robot")
        files.keys.stalls = False
        files.keys.goes_on.set()
        await files.until_ended()


async def test_the_agent_ends_while_the_disk_stalls(folder: Path, clock: SimulatedClock) -> None:
    files = Files(folder, clock)
    async with files.running():
        files.keys.stalls = True
        (folder / "api-keys.json").touch()
        assert await anyio.to_thread.run_sync(files.keys.is_stalled.wait, 30)
    files.keys.goes_on.set()


async def test_a_deleted_secret_is_made_again_although_no_time_passes(
    folder: Path, clock: SimulatedClock
) -> None:
    files = Files(folder, clock)
    old = Secret.load(folder / "secret").value
    async with files.running():
        token = files.tokens.create("someone", Role.ADMIN, 600)
        (folder / "secret").unlink()
        await files.until((folder / "secret").exists)
        assert Secret.load(folder / "secret").value != old
        with pytest.raises(AuthenticationFailed):
            await files.auth.authenticate(token, "a")
        assert not files.ended.is_set()
