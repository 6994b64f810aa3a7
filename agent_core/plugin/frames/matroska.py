"""Live Matroska with one video track: a header, then one cluster per frame. Without I/O.

The element IDs are those of RFC 9559 (Matroska); the encoding of sizes and numbers is that of RFC 8794 (EBML). The
segment has an unknown size because a live stream has no end. A reader may start to decode at any cluster of a JPEG or a
key frame.
"""

from collections.abc import Mapping

from agent_core.base.models import Frame, VideoCodec
from agent_core.plugin.frames.capture_note import capture_note
from agent_core.plugin.frames.groups import CodedFrame
from agent_core.plugin.frames.timeline import Timeline

__all__ = ("START", "MatroskaWriter")

_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_EBML_VERSION, _EBML_READ_VERSION, _EBML_MAX_ID_LENGTH, _EBML_MAX_SIZE_LENGTH = 0x4286, 0x42F7, 0x42F2, 0x42F3
_DOC_TYPE, _DOC_TYPE_VERSION, _DOC_TYPE_READ_VERSION = 0x4282, 0x4287, 0x4285
_TIMESTAMP_SCALE, _MUXING_APP, _WRITING_APP = 0x2AD7B1, 0x4D80, 0x5741
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_UID, _TRACK_TYPE, _FLAG_LACING = 0xAE, 0xD7, 0x73C5, 0x83, 0x9C
_CODEC_ID, _DEFAULT_DURATION, _VIDEO, _PIXEL_WIDTH, _PIXEL_HEIGHT = 0x86, 0x23E383, 0xE0, 0xB0, 0xBA
_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _REFERENCE_BLOCK = 0xE7, 0xA3, 0xA0, 0xA1, 0xFB
_CODEC_PRIVATE, _MAX_BLOCK_ADDITION_ID = 0x63A2, 0x55EE
_ADDITION_MAPPING, _ADDITION_VALUE, _ADDITION_TYPE = 0x41E4, 0x41F0, 0x41E7
_ADDITIONS, _BLOCK_MORE, _ADD_ID, _ADDITIONAL = 0x75A1, 0xA6, 0xEE, 0xA5

#: Unit of the timestamps in nanoseconds: they count microseconds.
_MICROSECOND_NS = 1000
_TRACK_TYPE_VIDEO = 1
_APPLICATION = b"camera-agent"
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
#: Start of a block: track 1, no time after the cluster's, key frame without lacing.
_BLOCK_START = b"\x81\x00\x00\x80"
#: The same in a group, which tells of key frames by what it refers to.
_GROUPED_START = b"\x81\x00\x00\x00"
_CODEC_IDS: Mapping[VideoCodec, bytes] = {
    VideoCodec.MJPEG: b"V_MJPEG",
    VideoCodec.H264: b"V_MPEG4/ISO/AVC",
    VideoCodec.H265: b"V_MPEGH/ISO/HEVC",
}
#: ID of the additional with the capture note, and its type: opaque data of the application.
_NOTE_ID, _OPAQUE = 2, 1
#: A block that refers to the one before it; readers need no more than that it refers to something.
_REFERS_BACK = -1


class MatroskaWriter:
    """Writer of one stream: `START`, then `track` once, then each frame as `before_frame` and its data.

    Args:
        codec: coding of the frames, which are `CodedFrame`s unless they are JPEGs.
        fps: nominal frames per second. The frames' own times may differ; an encoder plans with this rate.
    """

    def __init__(self, fps: float, codec: VideoCodec = VideoCodec.MJPEG) -> None:
        self._codec = codec
        self._frame_ns = round(1e9 / fps)
        self._timeline = Timeline(fps)

    def track(self, first: Frame) -> bytes:
        """Return the description of the track, whose frames all have the size of the `first`, and its configuration."""
        entry = (
            *(_number(_TRACK_NUMBER, 1), _number(_TRACK_UID, 1), _number(_TRACK_TYPE, _TRACK_TYPE_VIDEO)),
            *(_number(_FLAG_LACING, 0), _element(_CODEC_ID, _CODEC_IDS[self._codec])),
            _number(_DEFAULT_DURATION, self._frame_ns),
            _element(_VIDEO, _number(_PIXEL_WIDTH, first.width), _number(_PIXEL_HEIGHT, first.height)),
            *(_of_coded_track(first) if isinstance(first, CodedFrame) else ()),
        )
        return _element(_TRACKS, _element(_TRACK_ENTRY, *entry))

    def before_frame(self, frame: Frame, shown_s: float | None = None) -> bytes:
        """Return what precedes the data of `frame`, which is shown at `shown_s` (monotonic), or else at its capture time."""
        time = _number(_TIMESTAMP, self._timeline.time_us(frame.captured_s if shown_s is None else shown_s))
        size_bytes = len(frame.data)
        block = _before_coded(frame) if isinstance(frame, CodedFrame) else _before_simple(size_bytes)
        return _start(_CLUSTER, len(time) + len(block) + size_bytes) + time + block


def _of_coded_track(first: CodedFrame) -> tuple[bytes, ...]:
    mapping = _element(
        _ADDITION_MAPPING, _number(_ADDITION_VALUE, _NOTE_ID), _number(_ADDITION_TYPE, _OPAQUE)
    )
    return (
        _element(_CODEC_PRIVATE, first.configuration.record),
        _number(_MAX_BLOCK_ADDITION_ID, _NOTE_ID),
        mapping,
    )


def _before_simple(size_bytes: int) -> bytes:
    return _start(_SIMPLE_BLOCK, len(_BLOCK_START) + size_bytes) + _BLOCK_START


def _before_coded(frame: CodedFrame) -> bytes:
    """Return the beginning of a group with one block, whose data come last so that they need no copy."""
    note = capture_note(
        frame.captured_s, frame.captured_at_source, settled=frame.settled, settlement=frame.settlement
    )
    more = _element(_BLOCK_MORE, _number(_ADD_ID, _NOTE_ID), _element(_ADDITIONAL, note))
    about = _element(_ADDITIONS, more)
    if not frame.is_key:
        about += _element(_REFERENCE_BLOCK, _REFERS_BACK.to_bytes(1, "big", signed=True))
    block = _start(_BLOCK, len(_GROUPED_START) + len(frame.data)) + _GROUPED_START
    return _start(_BLOCK_GROUP, len(about) + len(block) + len(frame.data)) + about + block


def _start(element_id: int, size_bytes: int) -> bytes:
    """Return the ID and the size, in eight bytes, of an element."""
    return _bytes(element_id) + (1 << 56 | size_bytes).to_bytes(8, "big")


def _element(element_id: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return _start(element_id, len(content)) + content


def _number(element_id: int, value: int) -> bytes:
    return _element(element_id, _bytes(value))


def _bytes(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def _beginning() -> bytes:
    versions = (
        *(_number(_EBML_VERSION, 1), _number(_EBML_READ_VERSION, 1)),
        *(_number(_EBML_MAX_ID_LENGTH, 4), _number(_EBML_MAX_SIZE_LENGTH, 8)),
        _element(_DOC_TYPE, b"matroska"),
        *(_number(_DOC_TYPE_VERSION, 4), _number(_DOC_TYPE_READ_VERSION, 2)),
    )
    info = (
        _number(_TIMESTAMP_SCALE, _MICROSECOND_NS),
        *(_element(_MUXING_APP, _APPLICATION), _element(_WRITING_APP, _APPLICATION)),
    )
    return _element(_EBML, *versions) + _bytes(_SEGMENT) + _UNKNOWN_SIZE + _element(_INFO, *info)


#: Beginning of every stream. A reader that has it waits longer for the rest: without it, FFmpeg 9 gives up at its first
#: time-out, which a camera that has just been started may need.
START = _beginning()
