"""Faults of a virtual camera, for tests of everything behind it."""

import anyio

__all__ = ("Faults",)


class Faults:
    """The fault switches of one camera; each call takes effect at once.

    `stalled`: FFmpeg runs and no frame arrives. `corrupting`: each frame is cut off in its middle. `vanished`: the
    camera has been unplugged.
    """

    def __init__(self) -> None:
        self._stalled = self._corrupting = self._vanished = False
        self._vanishings = 0
        self._changed = anyio.Event()

    @property
    def stalled(self) -> bool:
        return self._stalled

    @property
    def corrupting(self) -> bool:
        return self._corrupting

    @property
    def vanished(self) -> bool:
        return self._vanished

    def stall(self, *, enabled: bool = True) -> None:
        self._stalled = enabled

    def corrupt(self, *, enabled: bool = True) -> None:
        self._corrupting = enabled

    def vanish(self) -> None:
        self._vanished = True
        self._vanishings += 1
        self._announce()

    def come_back(self) -> None:
        self._vanished = False
        self._announce()

    async def wait_vanished(self) -> None:
        """Return as soon as the camera has vanished, also if it has come back in the same moment."""
        before = self._vanishings
        while not self._vanished and self._vanishings == before:
            await self._changed.wait()

    async def wait_present(self) -> None:
        """Return as soon as the camera is there again."""
        while self._vanished:
            await self._changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
