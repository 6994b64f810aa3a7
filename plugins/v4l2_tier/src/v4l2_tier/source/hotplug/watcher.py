"""What a watcher of devices says."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

__all__ = ("HotplugWatcher", "Noticed")


@dataclass(frozen=True, slots=True)
class Noticed:
    """A reason to look at the devices again. The names are of nodes (`video0`), where the watcher knows them."""

    removed: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()


class HotplugWatcher(ABC):
    """Lost or merged notices cost time, never the truth: what there is is always looked up."""

    @abstractmethod
    async def wait(self) -> Noticed:
        """Return at the next change of any video4linux node; cancelling loses nothing."""

    def close(self) -> None:  # noqa: B027 - not all have something to close
        """Give back descriptors; `wait` is not called any more."""
