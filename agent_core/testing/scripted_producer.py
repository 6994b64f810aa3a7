"""Frame producer that a test drives."""

import io

import anyio
from PIL import Image

from agent_core.plugin.frames import FrameProducer, FrameSink

__all__ = ("ScriptedProducer", "a_jpeg")


def a_jpeg(width: int = 64, height: int = 48, *, shade: int = 128) -> bytes:
    """Return a grey JPEG."""
    output = io.BytesIO()
    Image.new("RGB", (width, height), (shade, shade, shade)).save(output, "JPEG")
    return output.getvalue()


class ScriptedProducer(FrameProducer):
    """Producer that streams until it is cancelled or `end` is called; the test offers frames through `sink`."""

    def __init__(self) -> None:
        #: Names of the methods called, in order: `park`, `stream`, `close`.
        self.calls: list[str] = []
        #: Raised once, by the next `park`.
        self.park_error: Exception | None = None
        self.park_forever = False
        self._sink: FrameSink | None = None
        self._changed = anyio.Event()
        self._ending = anyio.Event()
        self._error: Exception | None = None

    @property
    def sink(self) -> FrameSink:
        assert self._sink is not None, "it does not stream"
        return self._sink

    @property
    def streaming(self) -> bool:
        return self._sink is not None

    def end(self, error: Exception | None = None) -> None:
        """Make `stream` raise `error`, or return."""
        self._error = error
        self._ending.set()

    async def until_streaming(self) -> FrameSink:
        """Wait until `stream` has been called."""
        while self._sink is None:
            await self._changed.wait()
        return self._sink

    async def until_idle(self) -> None:
        """Wait until `stream` has ended."""
        while self._sink is not None:
            await self._changed.wait()

    async def park(self) -> None:
        self.calls.append("park")
        error, self.park_error = self.park_error, None
        if error is not None:
            raise error
        if self.park_forever:
            await anyio.sleep_forever()

    async def stream(self, sink: FrameSink) -> None:
        self.calls.append("stream")
        self._ending = anyio.Event()
        self._become(sink)
        try:
            await self._ending.wait()
        finally:
            self._become(None)
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        self.calls.append("close")

    def _become(self, sink: FrameSink | None) -> None:
        self._sink = sink
        self._changed.set()
        self._changed = anyio.Event()
