"""Pictures from recorded files: one FFmpeg run for the first key frame."""

from agent_core.plugin import CaptureFailed, FfmpegFailed, RecordingStills, StillRequest, WorkerPool, ffmpeg

__all__ = ("FfmpegStills",)

#: FFmpeg's names of the formats, so that it guesses none.
_FORMATS = {".mp4": "mov", ".ts": "mpegts"}
#: A recording begins with a key frame; a file without one is not read for longer than this (seconds of media).
_SEARCH_S = 20
#: Bytes that FFmpeg reads to find the streams; a transport stream without pictures ends there.
_PROBE_BYTES = 5_000_000
#: Least limit of one allocation. A file may claim a picture of gigabytes; FFmpeg would read it into memory.
_LEAST_ALLOCATION_BYTES = 32 << 20
_JPEG_QSCALE = 3
_OUTPUT_LIMIT_BYTES = 8 << 20
#: Failures of the host, not of the file.
_OF_THE_HOST = frozenset(
    {"ffmpeg_missing", "ffmpeg_unsuitable", "ffmpeg_unusable", "ffmpeg_killed", "no_memory", "no_space"}
)


class FfmpegStills(RecordingStills):
    """Decoder that lets FFmpeg read the file through a pipe.

    FFmpeg gets no name, and may open nothing but the pipe: a hostile file cannot lead it to other files or the network.
    One thread decodes key frames only.
    """

    def __init__(self, *, program: str | None) -> None:
        self._program = program
        self._threads = WorkerPool(1)

    async def first(self, request: StillRequest) -> bytes:
        """Run FFmpeg once.

        Raises:
            CaptureFailed: the file has no usable picture.
            FfmpegFailed: FFmpeg is missing, or failed otherwise.
        """
        program = await self._threads.run_abandonable(ffmpeg.locate, self._program)
        try:
            data = await ffmpeg.run(
                program,
                _arguments(request),
                stdin=request.descriptor,
                output_limit_bytes=_OUTPUT_LIMIT_BYTES,
            )
        except FfmpegFailed as error:
            if error.reason in _OF_THE_HOST:
                raise
            raise _failure(error) from error
        if not data:
            raise _no_picture()
        return data


def _arguments(request: StillRequest) -> tuple[str, ...]:
    reading = ("-protocol_whitelist", "pipe", "-f", _FORMATS[request.suffix], "-probesize", str(_PROBE_BYTES))
    decoding = ("-threads", "1", "-skip_frame", "nokey", "-max_pixels", str(request.max_pixels))
    scaled = f"scale='min({request.width},iw)':-2,format=yuvj420p"
    # The largest allocation that a picture needs is one plane: a byte per pixel, and some rows more.
    largest_bytes = max(_LEAST_ALLOCATION_BYTES, request.max_pixels * 5 // 4)
    return (
        *("-max_alloc", str(largest_bytes)),
        *reading,
        *decoding,
        *("-t", str(_SEARCH_S), "-i", "pipe:0"),
        *("-map", "0:v:0", "-frames:v", "1", "-vf", scaled),
        *("-c:v", "mjpeg", "-q:v", str(_JPEG_QSCALE), "-threads", "1", "-f", "mjpeg", "pipe:1"),
    )


def _no_picture(detail: str = "") -> CaptureFailed:
    return CaptureFailed(
        "The recording has no picture at its beginning.",
        reason="no_picture",
        dependency="ffmpeg",
        detail=detail,
    )


def _failure(error: FfmpegFailed) -> CaptureFailed:
    if error.reason == "no_picture":
        return _no_picture(error.detail)
    if error.reason == "picture_too_large":
        return CaptureFailed(
            "The recording's pictures have too many pixels.",
            reason="picture_too_large",
            suggestion="Raise snapshots.max_pixels, or lower the camera's resolution.",
            dependency="ffmpeg",
            detail=error.detail,
        )
    return CaptureFailed(
        "The recording's first picture cannot be decoded.",
        reason="picture_damaged",
        dependency="ffmpeg",
        detail=error.detail,
    )
