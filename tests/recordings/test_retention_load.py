"""Ten thousand files that go at once: everything else goes on meanwhile, and no more than a page is in memory."""

import gc
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel

from agent_core.media.index import OldEntry
from agent_core.media.retention import Limits
from agent_core.media.retention.cleaner import BATCH
from tests.media.indexed import Library
from tests.media.kept import Kept

COUNT = 10_000


async def test_ten_thousand_snapshots_go_while_others_are_served(tmp_path: Path) -> None:
    library = Library.at(tmp_path)
    kept = Kept(library, snapshots=Limits(max_count=100))
    folder = kept.snapshots.root / "camera0"
    folder.mkdir(parents=True)
    for number in range(COUNT + 100):
        (folder / f"{number:06d}.jpg").write_bytes(b"12345")
    turns, held = 0, 0

    async def ping() -> None:
        """Count the turns in which the event loop serves others, and what the cleaner holds."""
        nonlocal turns, held
        while True:
            await anyio.sleep(0.001)
            turns += 1
            if turns % 100 == 0:
                # Not isinstance: it asks a proxy of another test for its class, and the object behind may be gone.
                held = max(held, sum(type(each) is OldEntry for each in gc.get_objects()))

    async with library.running():
        with anyio.fail_after(120):
            await library.settled()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ping)
                assert await kept.clean() == COUNT
                tasks.cancel_scope.cancel()
        assert turns > COUNT / BATCH
        assert held <= 4 * BATCH
        totals = await kept.snapshots.totals()
        assert totals is not None
        assert totals.count == 100


async def test_a_cleanup_that_is_cancelled_leaves_whole_recordings_and_goes_on_later(tmp_path: Path) -> None:
    library = Library.at(tmp_path)
    kept = Kept(library, recordings=Limits(max_count=1))
    for number in range(200):
        kept.record("camera0", timedelta(minutes=number + 1))
    async with library.running():
        await library.settled()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.clean)
            with anyio.fail_after(60):
                while len(await kept.recorded()) == 200:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        left = await kept.recordings.all()
        assert all(each.segments for each in left)
        assert await kept.clean() == len(left) - 1
