"""Readings shared by those who ask for the same at once."""

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent_core.base.locks import KeyedLock

__all__ = ("SharedReading",)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    began: int
    value: T


class SharedReading(Generic[T]):
    """Gives each caller a reading that began after it asked, so that it sees what it has just written itself.

    Callers with equal keys take turns, and who waited takes over what was read meanwhile: any number that ask at once
    need at most two readings. A value is kept only while somebody waits. A caller that is cancelled leaves the reading
    to the next one; an error is its caller's alone.
    """

    def __init__(self) -> None:
        self._locks = KeyedLock()
        self._callers: Counter[Hashable] = Counter()
        self._last: dict[Hashable, _Read[T]] = {}
        self._events = 0

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` gives, or gave another caller with this key after this call began. Raises what it raises."""
        asked = self._next()
        self._callers[key] += 1
        try:
            async with self._locks.hold(key):
                last = self._last.get(key)
                if last is None or last.began < asked:
                    last = self._last[key] = _Read(self._next(), await read())
                return last.value
        finally:
            self._callers[key] -= 1
            if not self._callers[key]:
                del self._callers[key]
                self._last.pop(key, None)

    def _next(self) -> int:
        self._events += 1
        return self._events
