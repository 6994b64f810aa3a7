"""Feed of one camera's pictures in one size, from its producer to its viewers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import anyio

from agent_core.base.errors import AgentError
from agent_core.snapshots.models import LivePicture

__all__ = ("LiveFeed", "Viewer")


class Viewer(Protocol):
    """Receiver of a feed's pictures."""

    def takes(self, captured_s: float) -> bool:
        """Return True if the viewer would show a picture exposed then. Must be quick and must not raise."""
        ...

    def show(self, picture: LivePicture) -> None:
        """Take over the newest picture, or skip it. Must neither wait nor raise."""
        ...


class LiveFeed:
    """Pictures of one camera in one size. Its producer calls `show` and `end`; all others view it."""

    def __init__(self) -> None:
        self._viewers: dict[Viewer, None] = {}
        self._newest: LivePicture | None = None
        self._problem: AgentError | None = None
        self._begun = anyio.Event()
        self._ended = anyio.Event()

    @property
    def newest(self) -> LivePicture | None:
        """The newest picture; None before the first."""
        return self._newest

    @property
    def problem(self) -> AgentError | None:
        """Reason for the end; None before it."""
        return self._problem

    async def wait_begun(self) -> None:
        """Wait for the first picture. Raises the problem if the feed ends before, for example CaptureFailed."""
        await self._begun.wait()
        if self._newest is None and self._problem is not None:
            raise self._problem

    async def wait_ended(self) -> None:
        """Wait until there are no more pictures."""
        await self._ended.wait()

    @contextmanager
    def shown_to(self, viewer: Viewer) -> Iterator[None]:
        """Give the newest picture and all later ones to `viewer` while the context is open."""
        self._viewers[viewer] = None
        try:
            if self._newest is not None:
                viewer.show(self._newest)
            yield
        finally:
            del self._viewers[viewer]

    def is_wanted(self, captured_s: float) -> bool:
        """Return True if a viewer would show a picture exposed then, or if none has been shown yet."""
        return self._newest is None or any(viewer.takes(captured_s) for viewer in self._viewers)

    def show(self, picture: LivePicture) -> None:
        """Give `picture` to all viewers."""
        self._newest = picture
        self._begun.set()
        for viewer in tuple(self._viewers):
            viewer.show(picture)

    def end(self, problem: AgentError) -> None:
        """Note that there are no more pictures, with the reason; later calls do nothing."""
        if self._problem is None:
            self._problem = problem
            self._begun.set()
            self._ended.set()
