"""Switches that make the server misbehave as servers do, for tests."""

from dataclasses import dataclass, field

import anyio

__all__ = ("Faults",)


@dataclass(slots=True)
class Faults:
    """Set at any time; each is looked at when it matters.

    Attributes:
        write_nothing: a recording is accepted and never reaches the disk, as on a full one.
        apply_delay_s: extra seconds between a write's answer and its effect.
    """

    write_nothing: bool = False
    apply_delay_s: float = 0.0
    _audible: anyio.Event | None = field(default=None, init=False)

    @property
    def muted(self) -> bool:
        return self._audible is not None

    def mute(self) -> None:
        """Accept connections and read requests, and answer nothing any more, in HTTP and in RTSP."""
        if self._audible is None:
            self._audible = anyio.Event()

    def unmute(self) -> None:
        """Answer again; HTTP requests that came meanwhile get their answer now, RTSP requests are lost."""
        if self._audible is not None:
            self._audible.set()
            self._audible = None

    async def audible(self) -> None:
        """Return when the server answers."""
        if self._audible is not None:
            await self._audible.wait()
