"""Scaling of feeds when conversions fail."""

from datetime import UTC, datetime

import anyio
import pytest

from agent_core.base.errors import AgentError, CaptureFailed, RateLimited
from agent_core.base.models import Picture
from agent_core.snapshots.converter import PictureConverter
from agent_core.snapshots.images import Wanted
from agent_core.snapshots.live import LiveFeed
from agent_core.snapshots.live.scaling import FeedScaler
from agent_core.snapshots.models import LivePicture
from agent_core.testing import SimulatedClock

FAILED = CaptureFailed("It is torn.", reason="torn")
#: Conversions that may fail in a row.
LIMIT = 20


class Scripted(PictureConverter):
    """Converter that leaves pictures as they are, and fails while `error` is set."""

    def __init__(self) -> None:
        super().__init__(max_pixels=1 << 20, clock=SimulatedClock())
        self.error: CaptureFailed | RateLimited | None = None
        self.users: list[str] = []

    async def convert(
        self, picture: Picture, wanted: Wanted, *, deadline_s: float, user: str = ""
    ) -> Picture:
        self.users.append(user)
        if self.error is not None:
            raise self.error
        return picture


class Scaling:
    def __init__(self) -> None:
        self.converter = Scripted()
        self.whole, self.scaled = LiveFeed(SimulatedClock()), LiveFeed(SimulatedClock())
        self.problem: AgentError | None = None
        self._number = 0

    async def run(self) -> None:
        scaler = FeedScaler(self.converter, SimulatedClock())
        try:
            await scaler.show(self.whole, self.scaled, width=32)
        except AgentError as error:
            self.problem = error

    async def offer(self, count: int = 1) -> None:
        for _ in range(count):
            self._number += 1
            at = datetime(2026, 1, 1, tzinfo=UTC)
            self.whole.show(LivePicture(b"%d" % self._number, 64, 48, float(self._number), at))
            await anyio.wait_all_tasks_blocked()


class Eager:
    """Viewer that takes every picture."""

    def takes(self, captured_s: float) -> bool:
        return True

    def show(self, picture: LivePicture) -> None:
        pass


@pytest.mark.parametrize(
    "error", [FAILED, RateLimited("Too many pictures.", retry_after_ms=5, reason="busy")]
)
async def test_a_first_picture_that_fails_is_the_end(error: CaptureFailed | RateLimited) -> None:
    it = Scaling()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(it.run)
        await anyio.wait_all_tasks_blocked()
        it.converter.error = error
        await it.offer()
    assert it.problem is error
    assert len(it.converter.users) == 1
    assert it.converter.users != [""], "live views take turns with other users"


async def test_later_failures_end_the_feed_only_many_in_a_row() -> None:
    it = Scaling()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(it.run)
        await anyio.wait_all_tasks_blocked()
        with it.scaled.shown_to(Eager()):
            await it.offer()
            for _ in range(2):
                it.converter.error = FAILED
                await it.offer(LIMIT - 1)
                assert it.problem is None
                it.converter.error = None
                await it.offer()
            assert it.scaled.newest is not None
            assert it.scaled.newest.data == b"%d" % (1 + 2 * LIMIT)
            it.converter.error = FAILED
            await it.offer(LIMIT - 1)
            assert it.problem is None
            await it.offer()
            assert it.problem is FAILED
    assert len(it.converter.users) == 1 + 3 * LIMIT


async def test_failures_count_from_the_first_picture_on() -> None:
    it = Scaling()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(it.run)
        await anyio.wait_all_tasks_blocked()
        with it.scaled.shown_to(Eager()):
            it.scaled.show(LivePicture(b"0", 64, 48, 0.0, datetime(2026, 1, 1, tzinfo=UTC)))
            it.converter.error = FAILED
            await it.offer(LIMIT - 1)
            assert it.problem is None
            await it.offer()
    assert it.problem is FAILED
