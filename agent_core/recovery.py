"""News of whether the media server answers, from those who notice that it does not to those who wait until it does."""

import anyio

__all__ = ("Recovery",)


class Recovery:
    """Who waits for a server that is away is woken by the first sign of life, instead of at the end of a long pause.

    A sign of life counts only after a silence. A stream may end a hundred times for reasons of its own: while the
    server answers all the time, that cuts nobody's pause short.
    """

    def __init__(self) -> None:
        self._doubted = anyio.Event()
        self._recovered = anyio.Event()
        self._is_silent = False

    @property
    def is_silent(self) -> bool:
        """Whether the last probe was not answered."""
        return self._is_silent

    @property
    def doubted(self) -> anyio.Event:
        """Set by `doubt`, until the next probe."""
        return self._doubted

    def doubt(self) -> None:
        """Have the server probed now: something that goes through it has ended."""
        self._doubted.set()

    def probing(self) -> None:
        """A probe begins; what is doubted from now on needs another one."""
        self._doubted = anyio.Event()

    def unanswered(self) -> None:
        """The probe got no answer."""
        self._is_silent = True

    def answered(self) -> None:
        """The probe got one; whoever waits is woken if the one before did not."""
        if self._is_silent:
            self._is_silent = False
            self._recovered.set()
            self._recovered = anyio.Event()

    async def wait(self) -> None:
        """Return when the server answers again after a silence."""
        await self._recovered.wait()
