"""Assembly of buffers, as cameras fill them, to access units: all NAL units of one picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from agent_core.base.models import VideoCodec
from agent_core.plugin.video import nal
from agent_core.plugin.video.annex_b import AnnexBReader, begins_unit

__all__ = ("AccessUnit", "AccessUnits")

#: Units that precede a picture: parameter sets, delimiters, messages. Cameras send up to ten.
_MOST_UNITS_BEFORE = 64
#: Units of a picture. A large key frame in slices that fit into packets of a network has about 700.
_MOST_UNITS = 4096
#: Bytes of a buffer within which its first unit shows its kind.
_HEAD_BYTES = 64
#: Buffers without the beginning of a picture that a damaged transfer, rather than the camera's habit, may explain. Key
#: frames are what a camera would split first, so the count begins anew after a key frame in one buffer.
_DAMAGED_BUFFERS = 1


StampT = TypeVar("StampT")


@dataclass(frozen=True, slots=True)
class AccessUnit(Generic[StampT]):
    """NAL units of one picture, without start codes. `stamp` is that of the buffer in which its first slice began."""

    units: tuple[bytes, ...]
    stamp: StampT


class _Cut(Enum):
    """Relation of a camera's buffers to its pictures, as it has shown so far."""

    UNKNOWN = auto()
    #: A buffer ends with a picture: drivers of V4L2 do so, but the parameter sets may have a buffer of their own.
    WHOLE = auto()
    #: Pictures continue in the next buffer: one slice for each buffer, or a byte stream cut anywhere.
    ANYWHERE = auto()


class AccessUnits(Generic[StampT]):
    """Assembler of access units.

    A picture is returned with its buffer. The first one waits for the next buffer, which shows whether buffers end with
    pictures; if they do not, each picture waits until the next one begins.

    Args:
        codec: H.264 or H.265.
        limit_bytes: largest picture, which also has at most `_MOST_UNITS` units.
    """

    def __init__(self, codec: VideoCodec, *, limit_bytes: int) -> None:
        self._codec = codec
        self._limit_bytes = limit_bytes
        self._reader = AnnexBReader()
        self._cut = _Cut.UNKNOWN
        self._headless = 0
        #: The last buffer ended with a key frame, as far as is known.
        self._has_ended_key = False
        #: Units that belong to the slice after them.
        self._ahead: list[bytes] = []
        #: Stamp of the buffer in which the unit that the reader holds began; empty before the first.
        self._held: tuple[StampT, ...] = ()
        self._restart()

    def _restart(self) -> None:
        self._units: list[bytes] = []
        self._size_bytes = 0
        self._has_slice = False
        self._began: tuple[StampT, ...] = ()

    def reset(self) -> tuple[bytes, ...]:
        """Forget the unfinished picture, because the stream has a gap or begins anew. Return its whole units."""
        last = self._reader.flush()
        is_whole = bool(last) and self._cut is not _Cut.ANYWHERE
        units = (*self._units, *self._ahead, *((last,) if is_whole else ()))
        self._restart()
        self._ahead.clear()
        return units

    def feed(self, data: bytes, stamp: StampT) -> Iterator[AccessUnit[StampT] | None]:
        """Return the pictures that `data` completes; None where a part of one is missing."""
        if not data:
            return
        if self._cut is _Cut.UNKNOWN:
            yield from self._judge(data)
        elif self._cut is _Cut.WHOLE and self._is_headless(data):
            yield None
        if not self._reader.size_bytes:
            self._held = (stamp,)
        for unit in self._reader.feed(data):
            yield from self._add(unit, *self._held)
            self._held = (stamp,)
        if self._cut is _Cut.WHOLE:
            yield from self._add(self._reader.flush(), *self._held)
            if self._has_slice:
                self._has_ended_key = any(nal.is_key(self._codec, unit) for unit in self._units)
                yield self._taken()
        if self._is_too_large:
            self.reset()
            yield None

    @property
    def _is_too_large(self) -> bool:
        size_bytes = self._size_bytes + self._reader.size_bytes + sum(map(len, self._ahead))
        return size_bytes > self._limit_bytes or len(self._units) > _MOST_UNITS

    def _is_headless(self, data: bytes) -> bool:
        """Return True if `data` begins inside a picture, though buffers end with pictures; learn from it."""
        is_headless = self._is_continuation(data)
        if is_headless:
            self._headless += 1
            if self._headless > _DAMAGED_BUFFERS:
                self._cut = _Cut.ANYWHERE
        elif self._has_ended_key:
            self._headless = 0
        self._has_ended_key = False
        return is_headless

    def _judge(self, data: bytes) -> Iterator[AccessUnit[StampT]]:
        """Learn from a buffer how the one before it ended; return the picture that was complete before its end."""
        if not begins_unit(data):
            if self._has_slice or self._reader.size_bytes:
                self._cut = _Cut.ANYWHERE
            return
        if self._held:
            yield from self._add(self._reader.flush(), *self._held)
        first = self._first_unit(data)
        if self._has_slice and self._is_continuation(data):
            self._cut = _Cut.ANYWHERE
        elif self._has_slice and first and not nal.continues_picture(self._codec, first):
            self._cut = _Cut.WHOLE

    def _is_continuation(self, data: bytes) -> bool:
        """Return True if `data` begins inside a picture. Filling and the like after one are of no importance."""
        first = self._first_unit(data)
        if not begins_unit(data):
            return True
        return bool(first) and nal.is_slice(self._codec, first) and nal.continues_picture(self._codec, first)

    def _first_unit(self, data: bytes) -> bytes:
        """Return the beginning of the first unit that shows to which picture it belongs; empty if it is not near."""
        units = nal.split(self._codec, data[:_HEAD_BYTES])
        return next((each for each in units if not nal.precedes_slice(self._codec, each)), b"")

    def _add(self, unit: bytes, stamp: StampT) -> Iterator[AccessUnit[StampT]]:
        for each in nal.split(self._codec, unit):  # drops what no bitstream has
            if nal.precedes_slice(self._codec, each) and len(self._ahead) < _MOST_UNITS_BEFORE:
                self._ahead.append(each)
                continue
            continues = nal.continues_picture(self._codec, each)
            if self._has_slice and not continues:
                yield self._taken()
            if self._has_slice or not continues:
                for kept in (*self._ahead, each):
                    self._keep(kept, stamp)
            self._ahead.clear()

    def _keep(self, unit: bytes, stamp: StampT) -> None:
        if not self._has_slice and nal.is_slice(self._codec, unit):
            self._has_slice = True
            self._began = (stamp,)
        if not self._has_slice and len(self._units) >= _MOST_UNITS_BEFORE:
            self._restart()
        self._units.append(unit)
        self._size_bytes += len(unit)

    def _taken(self) -> AccessUnit[StampT]:
        picture = AccessUnit(tuple(self._units), *self._began)
        self._restart()
        return picture
