"""Interface of the hotplug watchers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

__all__ = ("HotplugWatcher", "NodeChanges")


@dataclass(frozen=True, slots=True)
class NodeChanges:
    """Names of nodes (`video0`) that changed, as far as the watcher knows them; even empty, a reason to look again."""

    removed: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()


class HotplugWatcher(ABC):
    """Watcher for changes of device nodes.

    Its events only trigger a look at all nodes: a lost event delays a change, and never falsifies the roster.
    """

    @abstractmethod
    async def wait(self) -> NodeChanges:
        """Return at the next change of any video4linux node; cancelling loses no event."""

    def close(self) -> None:  # noqa: B027 - optional
        """Close descriptors; `wait` must not be called afterwards."""
