"""Decoding of groups of pictures. Damaged pictures, and those that depend on them, are not given out."""

from dataclasses import dataclass

import av

from rtsp_tier.worker.continuity import FrameNumbers
from rtsp_tier.worker.group import Entry, VideoPacket

__all__ = ("Decoded", "GroupDecoder")

#: Most pixels of a picture: room for 8K. A damaged size beyond it would cost the memory of the host.
_PIXEL_LIMIT = 40_000_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded picture and the compressed one that it is of."""

    entry: Entry
    frame: av.VideoFrame


class GroupDecoder:
    """Decoder of one stream, for one thread. It has a codec only between the first `feed` and `stop`.

    Args:
        codec: libav's name.
        parameter_sets: those of the stream's description.
    """

    def __init__(self, codec: str, parameter_sets: bytes) -> None:
        self._name = codec
        self._parameter_sets = parameter_sets
        self._codec: av.VideoCodecContext | None = None
        self._numbers = FrameNumbers(parameter_sets) if codec == "h264" else None
        self._fed: dict[int, Entry] = {}
        self._last: int | None = None
        self._is_damaged = False
        self.decoded_pictures = 0

    @property
    def last(self) -> int | None:
        """Number of the picture that was fed last; None before a key frame was."""
        return self._last

    @property
    def is_damaged(self) -> bool:
        """True from a damaged picture to the next key frame."""
        return self._is_damaged

    def feed(self, entry: Entry) -> list[Decoded]:
        """Decode the next picture; the pictures that can be shown now are returned, the newest last.

        Feed a group's pictures in order, from its key frame on.
        """
        if entry.is_key:
            self._is_damaged = False
        if self._numbers is not None and (self._numbers.is_gap(bytes(entry.packet)) and not entry.is_key):
            self._is_damaged = True
        self._last = entry.number
        self._is_damaged |= entry.is_torn
        if self._is_damaged:
            return []
        self._fed[entry.number] = entry
        found = self._decode(entry.packet)
        if found:
            self._forget_until(found[-1].entry.number)
        return found

    def only(self, key: Entry) -> Decoded | None:
        """Decode a key frame alone, also if the codec would wait for later pictures; None if it is damaged.

        The decoder starts anew afterwards.
        """
        self.restart()
        found = self.feed(key)
        if not found and not self._is_damaged:
            found = self._decode(None)
        self.restart()
        return found[0] if found else None

    def restart(self) -> None:
        """Forget the position. The next picture must be a key frame."""
        if self._codec is not None:
            self._codec.flush_buffers()
        if self._numbers is not None:
            self._numbers.restart()
        self._fed.clear()
        self._last = None
        self._is_damaged = False

    def stop(self) -> None:
        """Release the codec and its memory."""
        self.restart()
        self._codec = None

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
        shown = ((self._fed.get(-1 if frame.pts is None else frame.pts), frame) for frame in frames)
        return [Decoded(entry, frame) for entry, frame in shown if entry is not None]

    def _forget_until(self, number: int) -> None:
        """Drop what no later frame is of: in practice everything older than the newest shown, less the reordering."""
        for each in [fed for fed in self._fed if fed < number - 32]:
            del self._fed[each]

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
