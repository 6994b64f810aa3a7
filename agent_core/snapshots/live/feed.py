"""Feed of one camera's pictures in one size, from its producer to its viewers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError
from agent_core.snapshots.models import LivePicture

__all__ = ("SILENT_S", "LiveFeed", "Viewer")

#: Time without a picture after which a feed ends, so that its client learns the reason when it comes back.
SILENT_S = 10.0
#: Largest age of a picture that is shown to a viewer that joins: two intervals of the slowest source.
_LIVE_S = 1.0


class Viewer(Protocol):
    """Receiver of a feed's pictures."""

    def takes(self, captured_s: float) -> bool:
        """Return True if the viewer would show a picture exposed then. Must be quick and must not raise."""
        ...

    def show(self, picture: LivePicture) -> None:
        """Take over the newest picture, or skip it. Must neither wait nor raise."""
        ...


class LiveFeed:
    """Pictures of one camera in one size. Its producer calls `show` and `end`; all others view it.

    Args:
        clock: tells the age of pictures.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._viewers: dict[Viewer, None] = {}
        self._joining = 0
        self._newest: LivePicture | None = None
        self._problem: AgentError | None = None
        self._shown = anyio.Event()
        self._ended = anyio.Event()

    @property
    def newest(self) -> LivePicture | None:
        """The newest picture, whatever its age; None before the first."""
        return self._newest

    @property
    def problem(self) -> AgentError | None:
        """Reason for the end; None before it."""
        return self._problem

    async def wait_begun(self) -> None:
        """Wait for a picture, unless there is one that passes for live.

        Pictures are wanted meanwhile, also if all viewers are busy.

        Raises:
            AgentError: the problem, if the feed ends before, for example CaptureFailed.
        """
        if self._live() is not None:
            return
        self._joining += 1
        try:
            if self._problem is None:
                await self._shown.wait()
        finally:
            self._joining -= 1
        if self._problem is not None:
            raise self._problem

    async def wait_ended(self) -> None:
        """Wait until there are no more pictures."""
        await self._ended.wait()

    @contextmanager
    def shown_to(self, viewer: Viewer) -> Iterator[None]:
        """Give all later pictures to `viewer` while the context is open, and the newest one if it passes for live."""
        self._viewers[viewer] = None
        try:
            if (picture := self._live()) is not None:
                viewer.show(picture)
            yield
        finally:
            del self._viewers[viewer]

    def _live(self) -> LivePicture | None:
        """Return the newest picture unless it is old: nothing was wanted for long, or the camera is slow."""
        newest = self._newest
        is_live = newest is not None and self._clock.monotonic_s() - newest.captured_s <= _LIVE_S
        return newest if is_live else None

    def is_wanted(self, captured_s: float) -> bool:
        """Return True if a viewer would show a picture exposed then, or if one waits for a picture to begin with."""
        is_awaited = self._newest is None or self._joining > 0
        return is_awaited or any(viewer.takes(captured_s) for viewer in self._viewers)

    def show(self, picture: LivePicture) -> None:
        """Give `picture` to all viewers."""
        self._newest = picture
        self._shown.set()
        self._shown = anyio.Event()
        for viewer in tuple(self._viewers):
            viewer.show(picture)

    def end(self, problem: AgentError) -> None:
        """Note that there are no more pictures, with the reason; later calls do nothing."""
        if self._problem is None:
            self._problem = problem
            self._shown.set()
            self._ended.set()
