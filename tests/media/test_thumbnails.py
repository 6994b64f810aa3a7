"""Thumbnails: made once for all who ask, bounded in number and bytes, gone with their originals."""

import os
import shutil
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import CaptureFailed, NotFound, RateLimited, StorageFailed, Unsupported
from agent_core.base.models import CameraId
from agent_core.media.downloads import ServedFile, open_beneath
from agent_core.media.thumbnails import Original, ThumbnailCache, Thumbnails
from agent_core.media.thumbnails.failures import MOST, RETRY_S, Failures, refusal
from agent_core.media.thumbnails.service import MAKE_S, MAKERS, MAX_WAITING, ROUND_S
from agent_core.testing import SimulatedClock

CAMERA = CameraId("camera0")


class Files:
    """Files in a folder as originals; a thumbnail is the file's content in capitals."""

    can_make = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[str] = []
        self.problem: Exception | None = None
        self.may_end = anyio.Event()
        self.may_end.set()
        self.is_growing = False
        self.looks_may_end = threading.Event()
        self.looks_may_end.set()
        self.looking = threading.Event()
        self.making = 0
        self.most_at_once = 0

    async def find(self, name: str) -> Original:
        opened = open_beneath(ServedFile(self.root, name))
        if opened is None:
            raise NotFound("There is none.", resource="file", id=name)
        return Original(name, opened, ".txt", self.is_growing)

    async def make(self, original: Original) -> bytes:
        self.made.append(original.item)
        self.making += 1
        self.most_at_once = max(self.most_at_once, self.making)
        try:
            await self.may_end.wait()
        finally:
            self.making -= 1
        if self.problem is not None:
            raise self.problem
        return original.opened.read(0, original.opened.size_bytes).upper()

    def remaining(self, items: Sequence[str]) -> Collection[str]:
        self.looking.set()
        assert self.looks_may_end.wait(60)
        if isinstance(self.problem, StorageFailed):
            raise self.problem
        return {each for each in items if (self.root / each).exists()}


class Shop:
    """Thumbnails of `files`, in the cache folder `cache`."""

    def __init__(self, folder: Path, *, max_bytes: int = 1 << 20, width: int = 320) -> None:
        self.files = Files(folder / "files")
        (self.files.root / CAMERA).mkdir(parents=True, exist_ok=True)
        self.cache = folder / "cache"
        self.clock = SimulatedClock()
        self.thumbnails = self.anew(max_bytes=max_bytes, width=width)

    def anew(self, *, max_bytes: int = 1 << 20, width: int = 320) -> Thumbnails:
        cache = ThumbnailCache(self.cache, max_bytes=max_bytes)
        return Thumbnails({"files": self.files}, cache, width=width, clock=self.clock)

    def put(self, name: str, text: str = "text") -> None:
        (self.files.root / CAMERA / name).write_text(text)

    async def get(self, name: str) -> bytes:
        described, opened = await self.thumbnails.open(f"files/camera0/{name}.jpg")
        with opened:
            assert (described.media_type, described.next_name) == ("image/jpeg", None)
            assert described.download_name == f"{name}.jpg"
            return opened.read(0, opened.size_bytes)

    @property
    def stored(self) -> list[str]:
        return sorted(each.name.partition("~")[0] for each in self.cache.rglob("*~*"))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def test_a_thumbnail_is_made_once(shop: Shop) -> None:
    shop.put("a")
    assert [await shop.get("a") for _ in range(3)] == [b"TEXT"] * 3
    shop.thumbnails = shop.anew()  # as after a restart
    assert await shop.get("a") == b"TEXT"
    assert shop.files.made == ["camera0/a"]


async def test_equal_requests_share_one_attempt(shop: Shop) -> None:
    shop.put("a")
    shop.files.may_end = anyio.Event()
    answers: list[bytes] = []

    async def ask() -> None:
        answers.append(await shop.get("a"))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        shop.files.may_end.set()
    assert answers == [b"TEXT"] * 20
    assert shop.files.made == ["camera0/a"]


async def test_another_takes_over_from_a_client_that_leaves(shop: Shop) -> None:
    shop.put("a")
    shop.files.may_end = anyio.Event()
    answers: list[bytes] = []

    async def ask() -> None:
        answers.append(await shop.get("a"))

    async with anyio.create_task_group() as staying:
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert shop.files.making == 1
            staying.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            leaving.cancel_scope.cancel()
        shop.files.may_end.set()
    assert answers == [b"TEXT"]
    assert shop.files.making == 0


async def test_a_disk_of_originals_that_hangs_keeps_no_stored_thumbnail(shop: Shop) -> None:
    shop.put("a")
    await shop.get("a")
    shop.files.looks_may_end.clear()
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(shop.thumbnails.run)
            with anyio.fail_after(30):
                await anyio.wait_all_tasks_blocked()
                await shop.clock.advance(ROUND_S)
                assert await anyio.to_thread.run_sync(shop.files.looking.wait, 20)
                assert await shop.get("a") == b"TEXT"
            tasks.cancel_scope.cancel()
    finally:
        shop.files.looks_may_end.set()
    assert shop.files.made == ["camera0/a"]


async def test_a_changed_file_gets_a_new_thumbnail_in_the_place_of_the_old(shop: Shop) -> None:
    shop.put("a")
    await shop.get("a")
    shop.put("a", "other text")
    assert await shop.get("a") == b"OTHER TEXT"
    assert shop.stored == ["a"]


async def test_another_width_makes_thumbnails_anew(shop: Shop) -> None:
    shop.put("a")
    await shop.get("a")
    shop.thumbnails = shop.anew(width=640)
    await shop.get("a")
    assert len(shop.files.made) == 2
    assert shop.stored == ["a"]


async def test_a_file_that_grows_keeps_its_thumbnail_until_it_ends(shop: Shop) -> None:
    shop.put("a")
    shop.files.is_growing = True
    await shop.get("a")
    shop.put("a", "text and more")
    assert await shop.get("a") == b"TEXT"
    shop.files.is_growing = False
    assert await shop.get("a") == b"TEXT AND MORE"


async def test_the_least_recently_used_are_removed_beyond_the_limit(shop: Shop) -> None:
    shop.thumbnails = shop.anew(max_bytes=3 * 4096)
    for name in "abc":
        shop.put(name)
        await shop.get(name)
    await shop.get("a")
    shop.put("d")
    await shop.get("d")
    assert shop.stored == ["a", "c", "d"]


async def test_the_limit_holds_for_what_an_earlier_run_left(shop: Shop) -> None:
    for number, name in enumerate("abc"):
        shop.put(name)
        await shop.get(name)
        (kept,) = shop.cache.rglob(f"{name}~*")
        os.utime(kept, ns=(number, 0))
    (shop.cache / "files" / CAMERA / ".partial-x").write_bytes(b"a write that a power cut ended")
    shop.thumbnails = shop.anew(max_bytes=2 * 4096)
    shop.put("d")
    await shop.get("d")
    assert shop.stored == ["c", "d"]
    assert not (shop.cache / "files" / CAMERA / ".partial-x").exists()


async def test_a_thumbnail_larger_than_the_limit_is_made_at_each_view(shop: Shop) -> None:
    shop.thumbnails = shop.anew(max_bytes=0)
    shop.put("a")
    assert [await shop.get("a"), await shop.get("a")] == [b"TEXT"] * 2
    assert shop.stored == []


async def test_a_cache_that_vanishes_or_cannot_be_written_costs_only_time(shop: Shop) -> None:
    shop.put("a")
    await shop.get("a")
    shutil.rmtree(shop.cache)
    assert await shop.get("a") == b"TEXT"
    shutil.rmtree(shop.cache)
    shop.cache.write_text("a file in the place of the folder")
    assert [await shop.get("a"), await shop.get("a")] == [b"TEXT"] * 2
    assert len(shop.files.made) == 4


async def test_a_name_too_long_for_the_cache_is_served_all_the_same(shop: Shop) -> None:
    shop.put("n" * 250)
    assert await shop.get("n" * 250) == b"TEXT"


async def test_a_thumbnail_that_was_cut_off_is_made_anew(shop: Shop) -> None:
    shop.put("a")
    await shop.get("a")
    (kept,) = shop.cache.rglob("a~*")
    kept.write_bytes(b"TE")
    assert await shop.get("a") == b"TEXT"
    kept.write_bytes(b"")
    shop.thumbnails = shop.anew()
    assert await shop.get("a") == b"TEXT"


async def test_a_link_in_the_cache_is_not_followed(shop: Shop) -> None:
    shop.put("a")
    await shop.get("a")
    (kept,) = shop.cache.rglob("a~*")
    kept.unlink()
    kept.symlink_to(shop.files.root / CAMERA / "a")
    assert await shop.get("a") == b"TEXT"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "files",
        "files/",
        "files/camera0/a",
        "files/camera0/b.jpg",
        "other/camera0/a.jpg",
        "files/../a.jpg",
    ],
)
async def test_other_names_are_not_found(shop: Shop, name: str) -> None:
    shop.put("a")
    with pytest.raises(NotFound):
        await shop.thumbnails.open(name)


# Failures.


def damaged() -> CaptureFailed:
    return CaptureFailed("It is no picture.", reason="picture_damaged")


async def test_a_bad_file_is_tried_once_until_it_changes(shop: Shop) -> None:
    shop.put("a")
    shop.files.problem = damaged()
    for _ in range(3):
        with pytest.raises(Unsupported) as caught:
            await shop.get("a")
        assert (caught.value.reason, "It is no picture." in caught.value.details) == ("picture_damaged", True)
        shop.clock.jump(1e6)
    assert len(shop.files.made) == 1
    shop.files.problem = None
    shop.put("a", "a picture now")
    assert await shop.get("a") == b"A PICTURE NOW"


async def test_a_failure_of_the_host_is_tried_again_after_a_while(shop: Shop) -> None:
    shop.put("a")
    shop.files.problem = CaptureFailed("There is no memory.", reason="out_of_memory")
    for _ in range(2):
        with pytest.raises(Unsupported):
            await shop.get("a")
    assert len(shop.files.made) == 1
    shop.files.problem = None
    shop.clock.jump(RETRY_S)
    assert await shop.get("a") == b"TEXT"


async def test_a_growing_file_without_a_picture_is_tried_again(shop: Shop) -> None:
    shop.put("a")
    shop.files.is_growing, shop.files.problem = True, damaged()
    with pytest.raises(Unsupported):
        await shop.get("a")
    shop.files.problem = None
    shop.clock.jump(RETRY_S)
    assert await shop.get("a") == b"TEXT"


@pytest.mark.parametrize(
    "error", [StorageFailed("The disk is not there."), RateLimited("Busy.", retry_after_ms=1)]
)
async def test_a_failure_that_has_nothing_to_do_with_the_file_passes(
    shop: Shop, error: StorageFailed | RateLimited
) -> None:
    shop.put("a")
    shop.files.problem = error
    with pytest.raises(type(error)):
        await shop.get("a")
    shop.files.problem = None
    assert await shop.get("a") == b"TEXT"


def test_the_failures_that_are_remembered_are_bounded() -> None:
    failures = Failures(SystemClock())
    for number in range(MOST + 1):
        failures.keep(str(number), "1", refusal(damaged()), is_growing=False)
    failures.check("0", "1")
    with pytest.raises(Unsupported):
        failures.check("1", "1")


async def test_few_are_made_at_once_and_few_may_wait(shop: Shop) -> None:
    shop.files.may_end = anyio.Event()
    wanted = MAKERS + MAX_WAITING + 5
    refused = 0

    async def ask(name: str) -> None:
        nonlocal refused
        try:
            await shop.get(name)
        except RateLimited as error:
            assert error.reason == "busy"
            refused += 1

    async with anyio.create_task_group() as tasks:
        for number in range(wanted):
            shop.put(str(number))
            tasks.start_soon(ask, str(number))
        with anyio.fail_after(30):
            while refused < 5:
                await anyio.sleep(0.01)
        shop.files.may_end.set()
    assert (refused, shop.files.most_at_once, len(shop.files.made)) == (5, MAKERS, wanted - 5)


class Stuck(Files):
    async def make(self, original: Original) -> bytes:
        raise TimeoutError


async def test_one_that_takes_too_long_is_refused(shop: Shop) -> None:
    shop.put("a")
    thumbnails = Thumbnails(
        {"files": Stuck(shop.files.root)},
        ThumbnailCache(shop.cache, max_bytes=100),
        width=320,
        clock=shop.clock,
    )
    with pytest.raises(Unsupported) as caught:
        await thumbnails.open("files/camera0/a.jpg")
    assert (caught.value.reason, f"{MAKE_S:.0f} s" in caught.value.details) == ("timed_out", True)


# Originals that are gone.


async def test_the_thumbnail_goes_with_its_original(shop: Shop) -> None:
    for name in "ab":
        shop.put(name)
        await shop.get(name)
    async with anyio.create_task_group() as tasks:
        await tasks.start(shop.thumbnails.run)
        shop.thumbnails.gone("files", CAMERA, ["a", "never seen"])
        with anyio.fail_after(30):
            while shop.stored != ["b"]:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_originals_that_vanish_untold_are_noticed_within_a_minute(shop: Shop) -> None:
    assert ROUND_S < 60
    for name in "abc":
        shop.put(name)
        await shop.get(name)
    shop.thumbnails = shop.anew()
    async with anyio.create_task_group() as tasks:
        await tasks.start(shop.thumbnails.run)
        shop.files.problem = StorageFailed("The disk is not there.")
        (shop.files.root / CAMERA / "b").unlink()
        await shop.clock.advance(ROUND_S)
        await anyio.wait_all_tasks_blocked()
        assert shop.stored == ["a", "b", "c"]
        shop.files.problem = None
        await shop.clock.advance(ROUND_S)
        with anyio.fail_after(30):
            while shop.stored != ["a", "c"]:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
