"""Decoding of groups of pictures. Damaged pictures, and those that depend on them, are not given out.

The decoder does not recognise each H.265 picture that lost a part of itself; `Stream` does, by a gap in RTP's numbers
(`Entry.is_torn`).
"""

from dataclasses import dataclass

import av

from rtsp_tier.worker.continuity import FrameNumbers
from rtsp_tier.worker.group import Entry, VideoPacket

__all__ = ("Decoded", "GroupDecoder")

#: Most pixels of a picture: room for 8K. A damaged size beyond it would cost the memory of the host.
_PIXEL_LIMIT = 40_000_000
#: Pictures after which one that is still not shown never will be, such as the second field of two.
_REORDERED_PICTURES = 16


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded picture and the compressed one that it is of."""

    entry: Entry
    frame: av.VideoFrame


class GroupDecoder:
    """Decoder of one stream, for one thread. It has a codec only between the first `feed` and `stop`.

    Args:
        codec: libav's name.
        parameter_sets: those of the stream's description, as libav gives them.
    """

    def __init__(self, codec: str, parameter_sets: bytes) -> None:
        self._name = codec
        self._parameter_sets = parameter_sets
        self._codec: av.VideoCodecContext | None = None
        self._numbers = FrameNumbers(parameter_sets) if codec == "h264" else None
        self._fed: dict[int, Entry] = {}  # not yet shown
        self._held: list[Decoded] = []
        self._last: int | None = None
        self._is_damaged = False
        self.decoded_pictures = 0

    @property
    def last(self) -> int | None:
        """Number of the picture that was fed last; None before a key frame was."""
        return self._last

    @property
    def is_damaged(self) -> bool:
        """Return True from a damaged picture to the next key frame."""
        return self._is_damaged

    def feed(self, entry: Entry) -> list[Decoded]:
        """Decode the next picture; the pictures that can be shown now are returned, the newest last.

        Feed a group's pictures in order, from its key frame on.
        """
        self._is_damaged = self._has_gap(entry) or self._is_damaged
        if entry.is_key and self._is_damaged:
            # What is left of the damaged group must neither be shown nor referred to, and libav's H.264 decoder decodes
            # less exactly after damage, even when it is flushed.
            self.stop()
            self._has_gap(entry)
        self._last = entry.number
        self._is_damaged |= entry.is_torn
        if self._is_damaged:
            return []
        self._fed[entry.number] = entry
        return self._released(self._decode(entry.packet))

    def only(self, key: Entry) -> Decoded | None:
        """Decode a key frame alone, also if the codec would wait for later pictures; None if it is damaged.

        The decoder starts anew afterwards.
        """
        self.restart()
        found = self.feed(key)
        if not found and not self._is_damaged:
            found = [*self._held, *self._decode(None)]
        self.restart()
        return found[0] if found else None

    def restart(self) -> None:
        """Forget the position. The next picture must be a key frame."""
        if self._codec is not None:
            self._codec.flush_buffers()
        if self._numbers is not None:
            self._numbers.restart()
        self._fed.clear()
        self._held.clear()
        self._last = None
        self._is_damaged = False

    def stop(self) -> None:
        """Release the codec and its memory."""
        self.restart()
        self._codec = None

    def _has_gap(self, entry: Entry) -> bool:
        return self._numbers is not None and self._numbers.is_gap(bytes(entry.packet))

    def _decode(self, packet: "VideoPacket | None") -> list[Decoded]:
        codec = self._codec = self._codec or self._new_codec()
        try:
            frames = codec.decode(packet)
        except av.FFmpegError:
            self._is_damaged = True
            return []
        self.decoded_pictures += len(frames)
        if any(frame.is_corrupt for frame in frames):
            self._is_damaged = True
            return []
        shown = ((self._fed.pop(-1 if frame.pts is None else frame.pts, None), frame) for frame in frames)
        return [Decoded(entry, frame) for entry, frame in shown if entry is not None]

    def _released(self, shown: list[Decoded]) -> list[Decoded]:
        """Return the pictures that all pictures decoded before them have proved to be whole.

        Where pictures are reordered, one may be shown before a damaged picture that it refers to.
        """
        if self._is_damaged:
            self._held.clear()
            return []
        self._held += shown
        last = self._last or 0
        is_reordered = self._codec is not None and self._codec.reorder_depth > 0
        self._fed = {
            number: each for number, each in self._fed.items() if number >= last - _REORDERED_PICTURES
        }
        oldest = min(self._fed, default=last) if is_reordered else last
        found = [each for each in self._held if each.entry.number <= oldest]
        self._held = [each for each in self._held if each.entry.number > oldest]
        return found

    def _new_codec(self) -> av.VideoCodecContext:
        codec = av.CodecContext.create(self._name, "r")
        assert isinstance(codec, av.VideoCodecContext)  # noqa: S101 - of a video codec
        # Frame threads would delay each picture, and most cameras send one slice a picture.
        codec.thread_count = 1
        codec.extradata = self._parameter_sets or None
        # The H.265 decoder flags no damage; strict, it refuses damaged pictures.
        strictness = {"err_detect": "explode"} if self._name == "hevc" else {}
        codec.options = {"max_pixels": str(_PIXEL_LIMIT), **strictness}
        return codec
