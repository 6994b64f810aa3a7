"""Live Matroska with one video track of JPEGs: a header, then one cluster per frame. Without I/O.

The element IDs are those of RFC 9559 (Matroska); the encoding of sizes and numbers is that of RFC 8794 (EBML). The
segment has an unknown size because a live stream has no end. A reader may start to decode at any cluster.
"""

from agent_core.plugin.frames.timeline import Timeline

__all__ = ("START", "MatroskaWriter")

_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_EBML_VERSION, _EBML_READ_VERSION, _EBML_MAX_ID_LENGTH, _EBML_MAX_SIZE_LENGTH = 0x4286, 0x42F7, 0x42F2, 0x42F3
_DOC_TYPE, _DOC_TYPE_VERSION, _DOC_TYPE_READ_VERSION = 0x4282, 0x4287, 0x4285
_TIMESTAMP_SCALE, _MUXING_APP, _WRITING_APP = 0x2AD7B1, 0x4D80, 0x5741
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_UID, _TRACK_TYPE, _FLAG_LACING = 0xAE, 0xD7, 0x73C5, 0x83, 0x9C
_CODEC_ID, _DEFAULT_DURATION, _VIDEO, _PIXEL_WIDTH, _PIXEL_HEIGHT = 0x86, 0x23E383, 0xE0, 0xB0, 0xBA
_TIMESTAMP, _SIMPLE_BLOCK = 0xE7, 0xA3

#: Unit of the timestamps in nanoseconds: they count microseconds.
_MICROSECOND_NS = 1000
_TRACK_TYPE_VIDEO = 1
_APPLICATION = b"camera-agent"
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
#: Start of a block: track 1, no time after the cluster's, key frame without lacing.
_BLOCK_START = b"\x81\x00\x00\x80"


class MatroskaWriter:
    """Writer of one stream: `START`, then `track` once, then each frame as `before_frame` and its JPEG.

    Args:
        fps: nominal frames per second. The frames' own times may differ; an encoder plans with this rate.
    """

    def __init__(self, fps: float) -> None:
        self._frame_ns = round(1e9 / fps)
        self._timeline = Timeline(fps)

    def track(self, width: int, height: int) -> bytes:
        """Return the description of the track, whose frames all have this size in pixels."""
        entry = (
            *(_number(_TRACK_NUMBER, 1), _number(_TRACK_UID, 1), _number(_TRACK_TYPE, _TRACK_TYPE_VIDEO)),
            *(_number(_FLAG_LACING, 0), _element(_CODEC_ID, b"V_MJPEG")),
            _number(_DEFAULT_DURATION, self._frame_ns),
            _element(_VIDEO, _number(_PIXEL_WIDTH, width), _number(_PIXEL_HEIGHT, height)),
        )
        return _element(_TRACKS, _element(_TRACK_ENTRY, *entry))

    def before_frame(self, size_bytes: int, captured_s: float) -> bytes:
        """Return what precedes a JPEG of `size_bytes`, exposed at `captured_s` (monotonic)."""
        time = _number(_TIMESTAMP, self._timeline.time_us(captured_s))
        block = _start(_SIMPLE_BLOCK, len(_BLOCK_START) + size_bytes) + _BLOCK_START
        return _start(_CLUSTER, len(time) + len(block) + size_bytes) + time + block


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
