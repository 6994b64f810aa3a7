"""Scaling of a feed: one conversion per picture and size, of the newest picture only."""

from dataclasses import dataclass

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import CaptureFailed, RateLimited
from agent_core.base.models import CapturedAtSource, Picture, PictureFormat
from agent_core.base.waiting import first_of
from agent_core.snapshots.converter import PictureConverter
from agent_core.snapshots.images import Wanted
from agent_core.snapshots.live.feed import SILENT_S, LiveFeed
from agent_core.snapshots.models import LivePicture

__all__ = ("FeedScaler",)

#: Whose turn conversions are: of all feeds together, so that views of many sizes leave room for other pictures.
_USER = "live views"
#: Time for one conversion.
_CONVERT_S = 5.0


class _Newest:
    """Viewer that keeps the newest picture for a task."""

    def __init__(self) -> None:
        self._picture: LivePicture | None = None
        self._arrived = anyio.Event()

    def takes(self, captured_s: float) -> bool:
        return True

    def show(self, picture: LivePicture) -> None:
        self._picture = picture
        self._arrived.set()

    async def take(self) -> LivePicture:
        """Return the newest picture that was not returned yet; wait for it."""
        while (picture := self._picture) is None:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        self._picture = None
        return picture


@dataclass(frozen=True, slots=True)
class FeedScaler:
    """Scales the pictures of feeds."""

    converter: PictureConverter
    clock: Clock

    async def show(self, whole: LiveFeed, scaled: LiveFeed, *, width: int) -> None:
        """Show the pictures of `whole` in `scaled`, no wider than `width` pixels, until `whole` ends.

        While one is converted, those that come are skipped but for the newest; so are those that no viewer would show.

        Raises:
            AgentError: the problem of `whole`, or of the conversions.
        """
        newest = _Newest()
        problem: CaptureFailed | RateLimited | None = None

        async def convert() -> None:
            nonlocal problem
            problem = await self._convert(newest, scaled, Wanted(PictureFormat.JPG, width))

        with whole.shown_to(newest):
            await first_of(whole.wait_ended, convert)
        reason = problem or whole.problem
        if reason is not None:
            raise reason

    async def _convert(
        self, newest: _Newest, scaled: LiveFeed, wanted: Wanted
    ) -> CaptureFailed | RateLimited:
        """Convert picture by picture; return the problem if the first one fails, or all of `SILENT_S`.

        While other pictures wait to be converted, this one's turn has not come: the newest is tried again after a pause.
        """
        shown_s = self.clock.monotonic_s()
        while True:
            picture = await newest.take()
            if not scaled.is_wanted(picture.captured_s):
                shown_s = self.clock.monotonic_s()
                continue
            try:
                scaled.show(await self._scaled(picture, wanted))
                shown_s = self.clock.monotonic_s()
            except (CaptureFailed, RateLimited) as error:
                if scaled.newest is None or self.clock.monotonic_s() - shown_s >= SILENT_S:
                    return error
                if isinstance(error, RateLimited):
                    await self.clock.sleep(error.retry_after_ms / 1000)

    async def _scaled(self, picture: LivePicture, wanted: Wanted) -> LivePicture:
        whole = Picture(
            picture.data,
            PictureFormat.JPG,
            picture.width,
            picture.height,
            picture.captured_s,
            CapturedAtSource.ARRIVAL,
        )
        deadline_s = self.clock.monotonic_s() + _CONVERT_S
        made = await self.converter.convert(whole, wanted, deadline_s=deadline_s, user=_USER)
        return LivePicture(made.data, made.width, made.height, picture.captured_s, picture.captured_at)
