"""Output of the managed MediaMTX in the agent's log."""

import logging
import re

import anyio
from anyio.abc import ByteReceiveStream
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_core.mediamtx.redaction import without_credentials

__all__ = ("ServerLog",)

_log = logging.getLogger("camera_agent.mediamtx")

_LINE = re.compile(r"(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )?(DEB|INF|WAR|ERR):? (.*)", re.DOTALL)
_LEVELS = {"DEB": logging.DEBUG, "INF": logging.INFO, "WAR": logging.WARNING, "ERR": logging.ERROR}
#: A longer line is cut into pieces.
_LONGEST_LINE_BYTES = 8192


class ServerLog:
    """Logs each line at its own level, and the output of the commands that the server runs as warnings.

    Attributes:
        last_error: the text of the last line of level ERR, without credentials.
        complete: set at the end of the output.
    """

    def __init__(self) -> None:
        self.last_error = ""
        self.complete = anyio.Event()

    async def follow(self, stream: ByteReceiveStream) -> None:
        """Log lines until the stream ends or is closed."""
        try:
            await self._follow(BufferedByteReceiveStream(stream))
        finally:
            self.complete.set()

    async def _follow(self, lines: BufferedByteReceiveStream) -> None:
        while True:
            try:
                line = await lines.receive_until(b"\n", _LONGEST_LINE_BYTES)
            except anyio.DelimiterNotFound:
                line = await lines.receive(_LONGEST_LINE_BYTES)
            except (anyio.IncompleteRead, anyio.EndOfStream, anyio.ClosedResourceError):
                self._take(lines.buffer)
                return
            self._take(line)

    def _take(self, line: bytes) -> None:
        said = without_credentials(line.decode(errors="replace").strip())
        if not said:
            return
        found = _LINE.fullmatch(said)
        level, text = (_LEVELS[found[1]], found[2]) if found else (logging.WARNING, said)
        if level == logging.ERROR:
            self.last_error = text
        _log.log(level, "%s", text)
