"""Parser of what `cam` prints while it captures: the format of its stream, and a line after each frame that it has written."""

import re
from dataclasses import dataclass

import anyio

__all__ = ("FormatLog", "FrameLine", "StreamFormat", "frame_line", "stream_format")

#: `51.070 (30.00 fps) cam0-stream0 seq: 000012 bytesused: 307200/153600` (libcamera 0.0 to 0.7, src/apps/cam/camera_session.cpp).
_FRAME = re.compile(r"([0-9]{1,12})\.([0-9]{6}) \([0-9.]+ fps\) \S+ seq: *[0-9]+ bytesused: ([0-9/]{1,60})")
#: `configuring streams: (0) 640x480-NV12/sYCC` (src/libcamera/camera.cpp).
_STREAM = re.compile(r"configuring streams: \(0\) ([0-9]{1,5})x([0-9]{1,5})-([A-Za-z0-9_]{3,20})")
#: Largest plausible frame.
_LARGEST_BYTES = 1 << 28
#: Longest part of a line that is kept until the rest comes.
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class FrameLine:
    """Frame that was written: the size of each of its planes, and the time (s) of its capture on a clock of the kernel."""

    planes_bytes: tuple[int, ...]
    stamp_s: float

    @property
    def size_bytes(self) -> int:
        return sum(self.planes_bytes)


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """Format of a stream: pixels, and libcamera's name of the pixel format, such as NV12."""

    width: int
    height: int
    code: str


def frame_line(line: str) -> FrameLine | None:
    """Return the frame that a line of standard output tells of, None if it tells of none."""
    found = _FRAME.match(line.strip())
    if found is None:
        return None
    planes = tuple(int(each) for each in found[3].split("/") if each)
    if sum(planes) > _LARGEST_BYTES:
        return None
    return FrameLine(planes, int(found[1]) + int(found[2]) / 1e6)


def stream_format(said: str) -> StreamFormat | None:
    """Return the last format that libcamera's log tells of, None if it tells of none."""
    found = _STREAM.findall(said)
    return StreamFormat(int(found[-1][0]), int(found[-1][1]), found[-1][2]) if found else None


class FormatLog:
    """Format that the log of one run tells of, however much the log says later; `told` is set with the first."""

    def __init__(self) -> None:
        self.stream: StreamFormat | None = None
        self.told = anyio.Event()
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the log."""
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        for line in lines:
            found = stream_format(line.decode(errors="replace"))
            if found is not None:
                self.stream = found
                self.told.set()
