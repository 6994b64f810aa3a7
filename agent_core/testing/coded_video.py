"""Coded video for tests, as cameras deliver it: access units with start codes, made by FFmpeg."""

import subprocess

from agent_core.base.models import VideoCodec
from agent_core.plugin import ffmpeg
from agent_core.plugin.video import AccessUnits, annex_b

__all__ = ("coded_pictures",)

_ENCODERS = {
    VideoCodec.H264: ("libx264", "-x264-params", "h264"),
    VideoCodec.H265: ("libx265", "-x265-params", "hevc"),
}


def coded_pictures(
    codec: VideoCodec, count: int, *, size: tuple[int, int] = (128, 96), group: int = 5, parameters: str = ""
) -> tuple[bytes, ...]:
    """Return `count` access units of a moving picture, those of key frames with parameter sets.

    Args:
        codec: H.264 or H.265.
        count: number of pictures.
        size: width and height in pixels, even.
        group: number of pictures from one key frame to the next.
        parameters: further parameters of the encoder (x264, x265), such as `slices=3`.

    Raises:
        CalledProcessError: FFmpeg lacks the encoder.
    """
    encoder, option, form = _ENCODERS[codec]
    fixed = f"keyint={group}:min-keyint={group}:scenecut=0:bframes=0:repeat-headers=1:{parameters}"
    quiet = "" if codec is VideoCodec.H264 else ":log-level=none"
    source = ("-f", "lavfi", "-i", f"testsrc2=size={size[0]}x{size[1]}:rate=15", "-frames:v", str(count))
    coding = ("-pix_fmt", "yuv420p", "-c:v", encoder, "-preset", "ultrafast", "-tune", "zerolatency")
    words = (
        ffmpeg.locate(),
        *ffmpeg.QUIET,
        *source,
        *coding,
        option,
        f"{fixed.rstrip(':')}{quiet}",
        "-f",
        form,
    )
    stream = subprocess.run((*words, "-"), capture_output=True, check=True).stdout
    assembler = AccessUnits[None](codec, limit_bytes=len(stream) + 1)
    # A delimiter, which begins another picture, ends the last one.
    delimiter = b"\x09\xf0" if codec is VideoCodec.H264 else b"\x46\x01\x50"
    found = (*assembler.feed(stream, None), *assembler.feed(annex_b((delimiter,)), None))
    return tuple(annex_b(each.units) for each in found if each is not None)
