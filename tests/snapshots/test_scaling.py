"""Scaling of feeds when conversions fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest

from agent_core.base.errors import AgentError, CaptureFailed, RateLimited
from agent_core.base.models import Picture
from agent_core.snapshots.converter import PictureConverter
from agent_core.snapshots.images import Wanted
from agent_core.snapshots.live import LiveFeed, Viewer
from agent_core.snapshots.live.scaling import FeedScaler
from agent_core.snapshots.models import LivePicture
from agent_core.testing import SimulatedClock

FAILED = CaptureFailed("It is torn.", reason="torn")
BUSY = RateLimited("Too many pictures.", retry_after_ms=1000, reason="busy")


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
        self.clock = SimulatedClock()
        self.whole, self.scaled = LiveFeed(self.clock), LiveFeed(self.clock)
        self.problem: AgentError | None = None
        self._number = 0

    async def run(self) -> None:
        scaler = FeedScaler(self.converter, self.clock)
        try:
            await scaler.show(self.whole, self.scaled, width=32)
        except AgentError as error:
            self.problem = error

    async def offer(self, count: int = 1, *, interval_s: float = 0.0) -> None:
        for _ in range(count):
            self._number += 1
            at = datetime(2026, 1, 1, tzinfo=UTC)
            self.whole.show(LivePicture(b"%d" % self._number, 64, 48, float(self._number), at))
            await anyio.wait_all_tasks_blocked()
            await self.clock.advance(interval_s)

    @property
    def is_caught_up(self) -> bool:
        newest, made = self.whole.newest, self.scaled.newest
        return newest is not None and made is not None and newest.data == made.data

    @asynccontextmanager
    async def begun(self, viewer: Viewer) -> AsyncIterator[None]:
        """Scale, with the first picture shown to `viewer`."""
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.run)
                await anyio.wait_all_tasks_blocked()
                with self.scaled.shown_to(viewer):
                    await self.offer()
                    yield
                tasks.cancel_scope.cancel()


class Eager:
    """Viewer that takes every picture, unless it is busy."""

    busy = False

    def takes(self, captured_s: float) -> bool:
        return not self.busy

    def show(self, picture: LivePicture) -> None:
        pass


@pytest.mark.parametrize("error", [FAILED, BUSY])
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


@pytest.mark.parametrize("error", [FAILED, BUSY])
@pytest.mark.parametrize("interval_s", [0.04, 1.0, 5.0])
async def test_later_failures_end_the_feed_after_a_time_without_a_picture(
    error: CaptureFailed | RateLimited, interval_s: float
) -> None:
    it = Scaling()
    async with it.begun(Eager()):
        for _ in range(2):
            it.converter.error = error
            await it.offer(round(9 / interval_s), interval_s=interval_s)
            assert it.problem is None
            it.converter.error = None
            await it.offer(2, interval_s=1.0)
            assert it.is_caught_up
        it.converter.error = error
        await it.offer(round(12 / interval_s) + 1, interval_s=interval_s)
        assert it.problem is error


async def test_a_busy_converter_is_asked_again_after_the_pause_that_it_proposes() -> None:
    it = Scaling()
    async with it.begun(Eager()):
        it.converter.users.clear()
        it.converter.error = BUSY
        await it.offer(100, interval_s=0.04)
        assert 4 <= len(it.converter.users) <= 6, "once per second"
        it.converter.error = None
        await it.offer(2, interval_s=1.0)
        assert it.is_caught_up


async def test_time_in_which_no_viewer_takes_a_picture_is_no_silence() -> None:
    it, viewer = Scaling(), Eager()
    async with it.begun(viewer):
        viewer.busy = True
        await it.offer(20, interval_s=1.0)
        viewer.busy = False
        it.converter.error = FAILED
        await it.offer()
        assert it.problem is None
