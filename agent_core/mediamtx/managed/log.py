"""Output of the managed MediaMTX in the agent's log."""

import logging
import re
from collections.abc import Iterable, Iterator

import anyio
from anyio.abc import ByteReceiveStream

from agent_core.base.clock import Clock
from agent_core.base.line_limit import WINDOW_S, LineLimit
from agent_core.mediamtx.redaction import without_credentials

__all__ = ("ServerLog",)

_log = logging.getLogger("camera_agent.mediamtx")

#: The time, which the first errors lack, the level and the text.
_LINE = re.compile(rb"(?:[0-9][0-9/:.,+TZ-]{0,40} ){0,3}(DEB|INF|WAR|ERR):? (.*)", re.DOTALL)
_LEVELS = {b"DEB": logging.DEBUG, b"INF": logging.INFO, b"WAR": logging.WARNING, b"ERR": logging.ERROR}
#: A longer line is cut into pieces.
_LONGEST_LINE_BYTES = 8192
#: Pause between two reads while lines are left out: a program that prints without end would otherwise take a
#: processor. With the pipe's 64 KiB it still gets rid of 640 KiB per second.
_PAUSE_S = 0.1


class ServerLog:
    """Logs each line at its own level, and the output of the commands that the server runs as warnings.

    Lines beyond the limit are left out; the log says so, and how many they were.

    Args:
        limit: may be shared with the logs of earlier runs of the program.

    Attributes:
        last_error: the text of the last line of level ERR, without credentials; also of one that was left out.
        complete: set at the end of the output.
    """

    def __init__(self, limit: LineLimit, *, clock: Clock) -> None:
        self.last_error = ""
        self.complete = anyio.Event()
        self._limit = limit
        self._clock = clock

    async def follow(self, stream: ByteReceiveStream) -> None:
        """Log lines until the stream ends or is closed."""
        try:
            await self._follow(stream)
        finally:
            self._report()
            self.complete.set()

    async def _follow(self, stream: ByteReceiveStream) -> None:
        rest = b""
        while True:
            try:
                *lines, rest = (rest + await stream.receive()).split(b"\n")
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                self._take([rest])
                return
            if len(rest) >= _LONGEST_LINE_BYTES:
                lines, rest = [*lines, rest], b""
            self._take(lines)
            if self._limit.is_exceeded:
                await self._clock.sleep(_PAUSE_S)

    def _take(self, lines: Iterable[bytes]) -> None:
        self._limit.turn(self._clock.monotonic_s())
        if not self._limit.is_exceeded:
            self._report()
        missed_error = b""
        for line in _pieces(lines):
            found = _LINE.fullmatch(line)
            level, said = (_LEVELS[found[1]], found[2]) if found else (logging.WARNING, line)
            if self._admits(level, len(said)):
                self._say(level, said)
            elif level == logging.ERROR:
                missed_error = said
        if missed_error:
            self.last_error = _text(missed_error)

    def _admits(self, level: int, size_bytes: int) -> bool:
        was_exceeded = self._limit.is_exceeded
        admitted = self._limit.admits(level, size_bytes)
        if self._limit.is_exceeded and not was_exceeded:
            _log.warning(
                "the media server prints too much; some lines of the next %d s are left out", WINDOW_S
            )
        return admitted

    def _say(self, level: int, said: bytes) -> None:
        text = _text(said)
        if level == logging.ERROR:
            self.last_error = text
        _log.log(level, "%s", text)

    def _report(self) -> None:
        left_out = self._limit.take_left_out()
        if left_out:
            _log.warning("%d lines of the media server were left out", left_out)


def _text(said: bytes) -> str:
    return without_credentials(said.decode(errors="replace"))


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that are not empty, long ones in pieces."""
    for line in lines:
        stripped = line.strip()
        for start in range(0, len(stripped), _LONGEST_LINE_BYTES):
            yield stripped[start : start + _LONGEST_LINE_BYTES]
