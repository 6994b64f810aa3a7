"""FFmpeg command that publishes a media input as H.264. The core runs it."""

import shlex
from pathlib import PurePath

from agent_core.plugin import MediaInput, Publisher, Url, ffmpeg
from ffmpeg_tier import inputs
from ffmpeg_tier.settings import FfmpegTierSettings

__all__ = ("publisher",)

#: Bit rate for encoders without a constant-quality mode, if none is configured.
_FALLBACK_KBPS = 2500


def publisher(media_input: MediaInput, settings: FfmpegTierSettings, program: str) -> Publisher | None:
    """Return the publisher of `media_input` with the FFmpeg `program`.

    Return None for a `Url`, which the media server pulls, and for an input with a secret, which must not appear in a
    command line. The core appends the RTSP address to `argv`.
    """
    if isinstance(media_input, Url) or not inputs.is_secret_free(media_input):
        return None
    before = (program, *ffmpeg.QUIET)
    opened = inputs.arguments(media_input, timeout_s=settings.network_timeout_s)
    after = (*_video(settings), "-f", "rtsp", "-rtsp_transport", "tcp")
    shown = (PurePath(program).name, *before[1:], "-i", "INPUT", *after, "OUTPUT")
    return Publisher((*before, *opened, *after), shlex.join(shown), reports_progress=True)


def _video(settings: FfmpegTierSettings) -> tuple[str, ...]:
    """Return the options for H.264 4:2:0 of even size, with each frame passed on as it arrives, at its own time.

    The encoder's time base is RTP's. By default FFmpeg 5.1 counts in frames of the nominal rate, so that two frames of
    an uneven rate may get the same time.
    The time of a key frame counts from the previous one, so that a gap is followed by one key frame and not by a burst.
    """
    interval_s = f"{settings.key_frame_interval_s:g}"
    return (
        *("-map", "0:v:0", "-an", "-fps_mode", "passthrough", "-enc_time_base", "1:90000"),
        *("-vf", r"crop=trunc(iw/2)*2:trunc(ih/2)*2", "-pix_fmt", "yuv420p"),
        *("-c:v", settings.encoder, *_quality(settings)),
        *("-force_key_frames", f"expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+{interval_s}))"),
    )


def _quality(settings: FfmpegTierSettings) -> tuple[str, ...]:
    kbps = settings.bitrate_kbps
    if settings.encoder != "libx264":
        return ("-b:v", f"{kbps or _FALLBACK_KBPS}k")
    x264 = ("-preset", settings.preset, "-tune", "zerolatency", "-sc_threshold", "0")
    if kbps is None:
        return (*x264, "-crf", str(settings.crf))
    return (*x264, "-b:v", f"{kbps}k", "-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k")
