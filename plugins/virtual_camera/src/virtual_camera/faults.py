"""Faults of a virtual camera, for tests of the code that uses it."""

import anyio

__all__ = ("Faults",)


class Faults:
    """Fault switches of one camera. Each call takes effect at once.

    `stalled`: FFmpeg runs, but no frame arrives. `corrupting`: each frame is cut in half. `vanished`: the camera is
    unplugged.
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
        """Return as soon as the camera has vanished, even if it has come back at the same moment."""
        before = self._vanishings
        while not self._vanished and self._vanishings == before:
            await self._changed.wait()

    async def wait_present(self) -> None:
        """Return as soon as the camera is present."""
        while self._vanished:
            await self._changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
