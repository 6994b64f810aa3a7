"""Used nonces: on disk before a call runs, over restarts, damage, a disk that refuses and a clock that is set back."""

import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.auth.nonce_file import Nonce, NonceFile, NonceRecord
from agent_core.auth.nonces import MOST_OF_KEY, UsedNonces
from agent_core.auth.signed_calls import LATEST_END_S
from agent_core.base.errors import (
    AuthenticationFailed,
    DependencyFailed,
    LaterState,
    RateLimited,
    StorageFailed,
)
from agent_core.base.files import write_atomic
from agent_core.testing import SimulatedClock

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "used-nonces"


class Place:
    """State folder that can be gone."""

    def __init__(self) -> None:
        self.is_there = True

    def require(self) -> None:
        if not self.is_there:
            raise StorageFailed("It is gone.", reason="state_missing")


class CountingFile(NonceFile):
    """File that counts its writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes: list[int] = []

    def append(self, new: Sequence[Nonce], *, needed: int) -> bool:
        is_done = super().append(new, needed=needed)
        if is_done:
            self.writes.append(len(new))
        return is_done

    def replace(self, record: NonceRecord) -> None:
        super().replace(record)
        self.writes.append(len(record.nonces))


def nonces_in(path: Path, clock: SimulatedClock, **limits: int) -> UsedNonces:
    return UsedNonces(NonceFile(path), clock, **limits)


async def use(
    nonces: UsedNonces, clock: SimulatedClock, nonce: str, key: str = KEY, ends_s: float = 20
) -> None:
    await nonces.use(key, nonce, clock.now() + timedelta(seconds=ends_s))


async def refused(
    nonces: UsedNonces, clock: SimulatedClock, nonce: str, key: str = KEY, ends_s: float = 20
) -> str:
    with pytest.raises(AuthenticationFailed) as caught:
        await use(nonces, clock, nonce, key, ends_s)
    return caught.value.reason


async def test_a_nonce_is_good_once_for_each_key(path: Path, clock: SimulatedClock) -> None:
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "a")
    assert await refused(nonces, clock, "a") == "call_repeated"
    assert await refused(nonces, clock, "a", ends_s=25) == "call_repeated"
    await use(nonces, clock, "a", OTHER)
    await use(nonces, clock, "b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_it_counts_after_a_restart(path: Path, clock: SimulatedClock) -> None:
    for nonce in ("a", "b", "c"):
        await use(nonces_in(path, clock), clock, nonce)
    again = nonces_in(path, clock)
    assert [await refused(again, clock, nonce) for nonce in ("a", "b", "c")] == ["call_repeated"] * 3
    await use(again, clock, "d")


async def test_it_is_forgotten_after_its_end_but_the_end_is_kept(path: Path, clock: SimulatedClock) -> None:
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "a", ends_s=20)
    clock.jump(21)
    await use(nonces, clock, "b", ends_s=20)
    assert len(nonces) == 1
    clock.step_wall_clock(-10)  # `a` ends in 9 s by this clock
    assert await refused(nonces, clock, "a", ends_s=9) == "call_expired"
    assert await refused(nonces, clock, "new", ends_s=8) == "call_expired"
    await use(nonces, clock, "new", ends_s=10)


async def test_neither_restart_nor_clock_make_an_old_call_new(path: Path, clock: SimulatedClock) -> None:
    await use(nonces_in(path, clock), clock, "a")
    clock.jump(60)
    await use(nonces_in(path, clock), clock, "b")
    clock.step_wall_clock(-60)
    again = nonces_in(path, clock)
    assert await refused(again, clock, "a", ends_s=20) == "call_repeated"
    assert await refused(again, clock, "b", ends_s=80) == "call_repeated"


async def test_the_end_of_what_is_forgotten_is_on_disk(path: Path, clock: SimulatedClock) -> None:
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "a")
    clock.jump(60)
    path.unlink()  # so that it is written anew, without `a`
    await use(nonces, clock, "b")
    clock.step_wall_clock(-60)
    again = nonces_in(path, clock)
    assert await refused(again, clock, "a", ends_s=20) == "call_expired"
    await use(again, clock, "c", ends_s=21)


async def test_a_clock_set_back_keeps_what_it_knows(path: Path, clock: SimulatedClock) -> None:
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "a")
    clock.step_wall_clock(-3600)
    assert await refused(nonces, clock, "a", ends_s=3620) == "call_repeated"
    await use(nonces, clock, "b")
    clock.step_wall_clock(7200)
    await use(nonces, clock, "c")
    assert len(nonces) == 1


async def test_a_hundred_calls_at_once_share_their_writes(path: Path, clock: SimulatedClock) -> None:
    file = CountingFile(path)
    nonces = UsedNonces(file, clock)
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(use, nonces, clock, f"n{number}")
    assert len(file.writes) <= 5
    again = nonces_in(path, clock)
    reasons = {await refused(again, clock, f"n{number}") for number in range(100)}
    assert reasons == {"call_repeated"}


async def test_of_one_nonce_at_once_one_is_good(path: Path, clock: SimulatedClock) -> None:
    nonces = nonces_in(path, clock)
    good: list[int] = []

    async def attempt(number: int) -> None:
        try:
            await use(nonces, clock, "same")
        except AuthenticationFailed:
            return
        good.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(attempt, number)
    assert len(good) == 1


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_that_is_cancelled_takes_nothing_from_others(
    path: Path, clock: SimulatedClock, turns: int
) -> None:
    """At whatever moment: while it waits, and while it writes for itself and another one."""
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "first")
    done: list[str] = []

    async def attempt(nonce: str) -> None:
        await use(nonces, clock, nonce)
        done.append(nonce)

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as cancelled:
            cancelled.start_soon(attempt, "cancelled")
            tasks.start_soon(attempt, "b")
            tasks.start_soon(attempt, "c")
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            cancelled.cancel_scope.cancel()
    assert {"b", "c"} <= {*done}
    again = nonces_in(path, clock)
    assert [await refused(again, clock, each) for each in ("b", "c")] == ["call_repeated"] * 2


async def test_nonces_end_at_the_millisecond(path: Path, clock: SimulatedClock) -> None:
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "a", ends_s=20)
    clock.jump(19.999)
    await use(nonces, clock, "b", ends_s=1)
    assert len(nonces) == 2
    clock.jump(0.001)
    await use(nonces, clock, "c", ends_s=0.001)
    assert len(nonces) == 2
    clock.step_wall_clock(-1)
    with pytest.raises(AuthenticationFailed, match=r"before 2026-11-22T17:04:14\.000Z"):
        await use(nonces, clock, "d", ends_s=1)


async def test_there_is_a_limit_for_a_key_and_one_for_all(path: Path, clock: SimulatedClock) -> None:
    nonces = nonces_in(path, clock, most_of_key=2, most=3)
    await use(nonces, clock, "a", ends_s=10)
    await use(nonces, clock, "b", ends_s=20)
    with pytest.raises(RateLimited) as caught:
        await use(nonces, clock, "c")
    assert (caught.value.reason, caught.value.retry_after_ms) == ("too_many_calls", 10_000)
    await use(nonces, clock, "c", OTHER)
    with pytest.raises(RateLimited):
        await use(nonces, clock, "d", OTHER)
    clock.jump(11)
    await use(nonces, clock, "d", OTHER)
    assert MOST_OF_KEY >= 30 * 60


async def test_a_state_folder_that_is_gone_lets_nothing_run(path: Path, clock: SimulatedClock) -> None:
    place = Place()
    nonces = UsedNonces(NonceFile(path, require=place.require), clock)
    place.is_there = False
    with pytest.raises(StorageFailed):
        await use(nonces, clock, "a")
    place.is_there = True
    await use(nonces, clock, "a")
    place.is_there = False
    with pytest.raises(StorageFailed):
        await use(nonces, clock, "b")
    place.is_there = True
    assert await refused(nonces, clock, "b") == "call_repeated"
    await use(nonces, clock, "c")


async def test_a_file_that_cannot_be_read_lets_nothing_run(path: Path, clock: SimulatedClock) -> None:
    path.mkdir()
    nonces = nonces_in(path, clock)
    with pytest.raises(StorageFailed):
        await use(nonces, clock, "a")
    path.rmdir()
    await use(nonces, clock, "a")


async def test_a_full_disk_lets_nothing_run_and_loses_nothing(
    tmpfs: Callable[[str], Path], clock: SimulatedClock
) -> None:
    path = tmpfs("size=64k") / "used-nonces"
    filler = path.with_name("filler")
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "a")
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 1024)
    unstored = 0
    for number in range(200):
        try:
            await use(nonces, clock, f"n{number}")
        except StorageFailed as error:
            unstored += 1
            assert error.reason == "disk_full"
    assert unstored > 100
    kept = nonces_in(path, clock)
    assert await refused(kept, clock, "a") == "call_repeated"
    assert await refused(kept, clock, "n0") == "call_repeated"
    filler.unlink()
    assert await refused(nonces, clock, "n199") == "call_repeated"
    await use(nonces, clock, "b")
    again = nonces_in(path, clock)
    assert [await refused(again, clock, each) for each in ("a", "n0", "n199", "b")] == ["call_repeated"] * 4


class BrokenFile(NonceFile):
    """File with a bug, which shows while others wait for the write."""

    def append(self, new: Sequence[Nonce], *, needed: int) -> bool:
        raise ZeroDivisionError


async def test_a_bug_while_nonces_are_written_lets_nothing_run(path: Path, clock: SimulatedClock) -> None:
    nonces, ends = UsedNonces(BrokenFile(path), clock), list[str]()

    async def attempt(nonce: str) -> None:
        try:
            await use(nonces, clock, nonce)
        except (DependencyFailed, ZeroDivisionError) as error:
            ends.append(type(error).__name__)

    async with anyio.create_task_group() as tasks:
        for nonce in ("a", "b", "c"):
            tasks.start_soon(attempt, nonce)
    assert sorted(set(ends)) == ["DependencyFailed", "ZeroDivisionError"]
    assert len(ends) == 3


class CountedNonces(UsedNonces):
    """Nonces that note in which thread they were counted: the event loop changes them meanwhile."""

    def __init__(self, file: NonceFile, clock: SimulatedClock) -> None:
        super().__init__(file, clock)
        self.threads: set[int] = set()

    def __len__(self) -> int:
        self.threads.add(threading.get_ident())
        return super().__len__()


async def test_only_the_event_loop_looks_at_what_is_in_memory(path: Path, clock: SimulatedClock) -> None:
    nonces = CountedNonces(NonceFile(path), clock)
    for nonce in ("a", "b"):
        await use(nonces, clock, nonce)
    assert nonces.threads == {threading.get_ident()}


@pytest.mark.parametrize("change", ["deleted", "replaced", "torn", "longer"])
async def test_what_others_do_to_the_file_loses_nothing(
    path: Path, clock: SimulatedClock, change: str
) -> None:
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "a")
    content = path.read_bytes()
    changes: dict[str, Callable[[], object]] = {
        "deleted": path.unlink,
        "replaced": lambda: write_atomic(path, b"something else\n"),
        "torn": lambda: path.write_bytes(content[:-3]),
        "longer": lambda: path.write_bytes(content + b"abc"),
    }
    changes[change]()
    await use(nonces, clock, "b")
    again = nonces_in(path, clock)
    assert [await refused(again, clock, nonce) for nonce in ("a", "b")] == ["call_repeated"] * 2


async def test_a_line_that_a_power_cut_tore_did_not_run(path: Path, clock: SimulatedClock) -> None:
    nonces = nonces_in(path, clock)
    await use(nonces, clock, "a")
    whole = path.read_bytes()
    await use(nonces, clock, "b")
    for length in range(len(whole), len(path.read_bytes())):
        copy = path.with_name("copy")
        copy.write_bytes(path.read_bytes()[:length])
        copy.chmod(0o600)
        again = nonces_in(copy, clock)
        assert await refused(again, clock, "a") == "call_repeated"
        await use(again, clock, "b")
        assert await refused(nonces_in(copy, clock), clock, "b") == "call_repeated"


@pytest.mark.parametrize(
    "damage", [b"", b"\0" * 200, b"{}\n", b"camera-agent used nonces, version 1, floor 0\nx\n"]
)
async def test_a_damaged_file_is_kept_and_older_calls_are_refused(
    path: Path, clock: SimulatedClock, damage: bytes
) -> None:
    path.write_bytes(damage)
    path.chmod(0o600)
    nonces = nonces_in(path, clock)
    assert await refused(nonces, clock, "a", ends_s=LATEST_END_S) == "call_expired"
    assert path.with_name("used-nonces.corrupt").read_bytes() == damage
    again = nonces_in(path, clock)
    assert await refused(again, clock, "a", ends_s=LATEST_END_S) == "call_expired"
    clock.jump(1)
    await use(again, clock, "b", ends_s=LATEST_END_S)


async def test_a_file_of_a_later_version_is_left_alone(path: Path, clock: SimulatedClock) -> None:
    later = b"camera-agent used nonces, version 2, floor 0\n"
    path.write_bytes(later)
    path.chmod(0o600)
    with pytest.raises(LaterState):
        await use(nonces_in(path, clock), clock, "a")
    assert path.read_bytes() == later


async def test_the_file_does_not_grow_for_ever(path: Path, clock: SimulatedClock) -> None:
    file = CountingFile(path)
    nonces = UsedNonces(file, clock)
    sizes: list[int] = []
    for minute in range(30):
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(use, nonces, clock, f"{minute}-{number}")
        sizes.append(path.stat().st_size)
        clock.jump(60)
    assert max(sizes) < 100_000
    assert sizes[-1] < 100_000
    assert len(nonces) <= 100
