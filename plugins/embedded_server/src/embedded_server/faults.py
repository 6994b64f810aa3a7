"""Fault injection for tests: switches that make the server misbehave as real servers do."""

from dataclasses import dataclass, field

import anyio

__all__ = ("Faults",)


@dataclass(slots=True)
class Faults:
    """Switches that take effect at once and may change at any time.

    Attributes:
        write_nothing: recordings are accepted but never written, as on a full disk.
        apply_delay_s: additional seconds between the answer to a change and its effect.
    """

    write_nothing: bool = False
    apply_delay_s: float = 0.0
    _audible: anyio.Event | None = field(default=None, init=False)

    @property
    def muted(self) -> bool:
        return self._audible is not None

    def mute(self) -> None:
        """Stop answering HTTP and RTSP requests; connections are still accepted and requests read."""
        if self._audible is None:
            self._audible = anyio.Event()

    def unmute(self) -> None:
        """Answer again; HTTP requests received meanwhile are answered now, RTSP requests are lost."""
        if self._audible is not None:
            self._audible.set()
            self._audible = None

    async def audible(self) -> None:
        """Wait until the server answers."""
        if self._audible is not None:
            await self._audible.wait()
