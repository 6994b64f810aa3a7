"""Groups of pictures of coded video: the newest from its key frame on, and the one before it for a moment."""

from collections import Counter, deque
from dataclasses import dataclass
from itertools import islice, zip_longest

from agent_core.base.models import Frame, VideoCodec
from agent_core.plugin.frames.store import Added, Stamp
from agent_core.plugin.jpeg import WholeJpeg
from agent_core.plugin.video import (
    AccessUnit,
    AccessUnits,
    Configuration,
    ParameterSets,
    is_entry,
    length_prefixed,
)

__all__ = ("CodedFrame", "Groups")

#: Time (s) for which pictures are kept beside the newest group: a reader that is further behind skips to the newest key
#: frame, as players do that are late.
_KEPT_BEFORE_S = 1.0
#: Length (s) of a group that a reader which comes should not have to decode, if the camera sends key frames on demand.
_LONG_S = 2.0
#: Share of the limit that pictures without their key frame may fill, for readers that are a little behind.
_HEADLESS_SHARE = 8
#: Pictures that are kept, some minutes of video: each takes memory beside its data, and a hostile one has few bytes.
_MOST_PICTURES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedFrame(Frame):
    """Picture of coded video: its NAL units, each after its length in four bytes, and what a decoder needs for it.

    `is_key`: a decoder may begin with it. The pictures of one stream have the same `configuration`.
    """

    is_key: bool
    configuration: Configuration


class Groups:
    """Store of coded pictures, at most `limit_bytes` and `_MOST_PICTURES` of them; see `FrameStore`.

    Pictures count from the first key frame on whose parameter sets are known. A group that is longer than the limit is
    forgotten: readers that are up to date get its pictures, others wait for the next key frame.

    Args:
        codec: H.264 or H.265.
        limit_bytes: size of all pictures that are kept, with their configuration records.
    """

    def __init__(self, codec: VideoCodec, *, limit_bytes: int) -> None:
        self._codec = codec
        self._limit_bytes = limit_bytes
        self._assembler = self._new_assembler()
        self._sets = ParameterSets(codec)
        #: Pictures with successive numbers, and the numbers of the key frames among them.
        self._frames: deque[CodedFrame] = deque()
        self._keys: deque[int] = deque()
        self._size_bytes = 0
        self._configuration: Configuration | None = None
        self.sequence = 0

    def _new_assembler(self) -> AccessUnits[Stamp]:
        return AccessUnits(self._codec, limit_bytes=self._limit_bytes)

    @property
    def newest(self) -> CodedFrame | None:
        return self._frames[-1] if self._frames else None

    @property
    def can_begin(self) -> bool:
        return bool(self._keys)

    @property
    def wants_key_frame(self) -> bool:
        if not self._keys:
            return True
        return self._frames[-1].captured_s - self._numbered(self._keys[-1]).captured_s > _LONG_S

    def add(self, data: bytes | WholeJpeg, stamp: Stamp) -> Added:
        if not isinstance(data, bytes):
            return Added(damaged="not_coded")
        unused: Counter[str] = Counter()
        before, is_damaged = self.sequence, False
        found = list(self._assembler.feed(data, stamp))
        for unit, after in zip_longest(found, found[1:]):
            if unit is None:
                is_damaged = True
                self._close()
            elif not self._take(unit, self._exposed_s(unit, after)):
                unused["before_key"] += 1
        if self._shrink():
            unused["group_too_long"] += 1
        return Added(self.sequence - before, unused, "damaged" if is_damaged else "")

    def gap(self) -> None:
        # Sets that come only once may have been the last thing to come.
        self._sets.learn(self._assembler.reset())
        self._close()

    def restart(self) -> None:
        self.gap()
        self._assembler = self._new_assembler()

    def beginning(self, not_before_s: float) -> tuple[CodedFrame, ...]:
        """Return the newest group, however old its first pictures are: they are needed to decode the newest."""
        return self._from(self._keys[-1]) if self._keys else ()

    def following(self, sequence: int) -> CodedFrame | None:
        if self._frames and sequence + 1 >= self._frames[0].sequence:
            return self._numbered(sequence + 1) if sequence < self.sequence else None
        return self._numbered(self._keys[-1]) if self._keys else None

    def _numbered(self, sequence: int) -> CodedFrame:
        return self._frames[sequence - self._frames[0].sequence]

    def _from(self, sequence: int) -> tuple[CodedFrame, ...]:
        return tuple(islice(self._frames, sequence - self._frames[0].sequence, None))

    def _exposed_s(self, unit: AccessUnit[Stamp], after: AccessUnit[Stamp] | None) -> float:
        """Return the time of `unit`. Of several pictures in a buffer, which has one time, only the last may have it."""
        captured_s = unit.stamp.captured_s
        if after is None or after.stamp is not unit.stamp or not self._frames:
            return captured_s
        return min(self._frames[-1].captured_s, captured_s)

    def _take(self, unit: AccessUnit[Stamp], exposed_s: float) -> bool:
        """Keep a picture. Return False if it precedes the first key frame."""
        self._sets.learn(unit.units)
        is_key = is_entry(self._codec, unit.units)
        if is_key:
            self._sets.use(unit.units)
            if self._sets.configuration != self._configuration:
                self._configuration = self._sets.configuration
        configuration = self._configuration
        if configuration is None or not (is_key or self._frames):
            return False
        stamp, data = unit.stamp, length_prefixed(unit.units)
        self.sequence += 1
        self._append(
            CodedFrame(
                data,
                self.sequence,
                exposed_s,
                stamp.source,
                configuration.width,
                configuration.height,
                stamp.settled,
                stamp.settlement,
                is_key=is_key,
                configuration=configuration,
            )
        )
        return True

    def _append(self, frame: CodedFrame) -> None:
        if not self._frames or self._frames[-1].configuration is not frame.configuration:
            self._size_bytes += len(frame.configuration.record)
        self._size_bytes += len(frame.data)
        self._frames.append(frame)
        if frame.is_key:
            self._keys.append(frame.sequence)

    def _forget_oldest(self) -> None:
        oldest = self._frames.popleft()
        self._size_bytes -= len(oldest.data)
        if not self._frames or self._frames[0].configuration is not oldest.configuration:
            self._size_bytes -= len(oldest.configuration.record)

    def _shrink(self) -> bool:
        """Forget pictures that nothing needs any more. Return True if that ended the newest group."""
        while len(self._keys) > 1 and (self._exceeds() or self._has_lasted(self._keys[1])):
            self._forget_before(self._keys[1])
        if self._keys and self._keys[0] > self._frames[0].sequence and self._has_lasted(self._keys[0]):
            self._forget_before(self._keys[0])
        if not self._exceeds():
            return False
        had_key = bool(self._keys)
        self._keys.clear()
        while self._exceeds(_HEADLESS_SHARE) and len(self._frames) > 1:
            self._forget_oldest()
        return had_key

    def _exceeds(self, share: int = 1) -> bool:
        """Return True if the pictures, with their records, fill more than one `share`-th of the limits."""
        return self._size_bytes * share > self._limit_bytes or len(self._frames) * share > _MOST_PICTURES

    def _has_lasted(self, sequence: int) -> bool:
        return self._frames[-1].captured_s - self._numbered(sequence).captured_s > _KEPT_BEFORE_S

    def _forget_before(self, sequence: int) -> None:
        while self._frames[0].sequence < sequence:
            self._forget_oldest()
        while self._keys[0] < sequence:
            self._keys.popleft()

    def _close(self) -> None:
        """Forget all pictures: the next ones do not continue them."""
        self._frames.clear()
        self._keys.clear()
        self._size_bytes = 0
