"""Parts that the shelves of one index share.

A module of its own: the index has the parts, and its shelves must not import it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from agent_core.base.inotify import FolderWatches
from agent_core.base.models import CameraId
from agent_core.base.workers import WorkerPool
from agent_core.media.index.database import IndexDatabase

__all__ = ("IndexParts",)


class IndexParts(Protocol):
    """Index, as its shelves use it."""

    @property
    def database(self) -> IndexDatabase | None:
        """The open index; None while there is none."""
        ...

    @property
    def watches(self) -> FolderWatches | None:
        """None where inotify is unavailable."""
        ...

    @property
    def thread(self) -> WorkerPool:
        """The one thread that uses the database."""
        ...

    @property
    def is_working(self) -> bool:
        """False after a failure, until the index is open again, and after the end."""
        ...

    @property
    def tell_gone(self) -> Callable[[str, CameraId, Sequence[str]], None]:
        """Receiver of the kind, the camera and the names of files that turned out to be gone."""
        ...

    async def collect(self) -> None:
        """Hand what inotify has noticed to all shelves."""
        ...
