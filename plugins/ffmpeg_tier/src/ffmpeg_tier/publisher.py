"""FFmpeg command that publishes a media input as H.264, or coded video as it comes. The core runs it."""

import shlex
from pathlib import PurePath

from agent_core.plugin import MediaInput, Publisher, Url, ffmpeg
from ffmpeg_tier import inputs
from ffmpeg_tier.encoders import SOFTWARE, Encoder, encoder_named
from ffmpeg_tier.settings import FfmpegTierSettings

__all__ = ("device_options", "publisher", "video_options")

#: The bitstream as it comes, at its own times: FFmpeg does not know yet at which time it begins (`inputs`).
_UNTOUCHED = ("-map", "0:v:0", "-an", "-c:v", "copy", "-copyts")
#: Bit rate for encoders without a constant-quality mode, if none is configured.
_FALLBACK_KBPS = 2500


def publisher(
    media_input: MediaInput, settings: FfmpegTierSettings, program: str, encoder: Encoder | None = None
) -> Publisher | None:
    """Return the publisher of `media_input` with the FFmpeg `program`; `encoder` replaces the configured one.

    Return None for a `Url`, which the media server pulls, and for an input with a secret, which must not appear in a
    command line. The core appends the RTSP address to `argv`.
    """
    if isinstance(media_input, Url) or not inputs.is_secret_free(media_input):
        return None
    opened = inputs.arguments(media_input, timeout_s=settings.network_timeout_s)
    device: tuple[str, ...] = ()
    video: tuple[str, ...] = _UNTOUCHED
    if not inputs.is_coded(media_input):
        encoder = encoder or encoder_named(settings.encoder)
        device, video = device_options(encoder, settings), video_options(encoder, settings)
    before = (program, *ffmpeg.QUIET, *device)
    after = (*video, "-f", "rtsp", "-rtsp_transport", "tcp")
    shown = (PurePath(program).name, *ffmpeg.QUIET, "-i", "INPUT", *after, "OUTPUT")
    return Publisher((*before, *opened, *after), shlex.join(shown), reports_progress=True)


def device_options(encoder: Encoder, settings: FfmpegTierSettings) -> tuple[str, ...]:
    """Return the options that open the encoder's device, which come before the input."""
    if encoder.device is None:
        return ()
    return (encoder.device_option, settings.encoder_device or encoder.device)


def video_options(encoder: Encoder, settings: FfmpegTierSettings) -> tuple[str, ...]:
    """Return the options for H.264 4:2:0 of even size, with each frame passed on as it arrives, at its own time.

    The encoder's time base is RTP's. By default FFmpeg 5.1 counts in frames of the nominal rate, so that two frames of
    an uneven rate may get the same time.
    The time of a key frame counts from the previous one, so that a gap is followed by one key frame and not by a burst.
    """
    interval_s = f"{settings.key_frame_interval_s:g}"
    filters = ",".join(filter(None, (r"crop=trunc(iw/2)*2:trunc(ih/2)*2", encoder.filters)))
    pixels = ("-pix_fmt", encoder.pixel_format) if encoder.pixel_format else ()
    return (
        *("-map", "0:v:0", "-an", "-fps_mode", "passthrough", "-enc_time_base", "1:90000"),
        *("-vf", filters, *pixels),
        *("-c:v", encoder.name, *encoder.options, *_quality(encoder, settings)),
        *("-force_key_frames", f"expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+{interval_s}))"),
    )


def _quality(encoder: Encoder, settings: FfmpegTierSettings) -> tuple[str, ...]:
    kbps = settings.bitrate_kbps
    if encoder.name != SOFTWARE.name:
        return ("-b:v", f"{kbps or _FALLBACK_KBPS}k")
    x264 = ("-preset", settings.preset, "-tune", "zerolatency", "-sc_threshold", "0")
    if kbps is None:
        return (*x264, "-crf", str(settings.crf))
    return (*x264, "-b:v", f"{kbps}k", "-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k")
