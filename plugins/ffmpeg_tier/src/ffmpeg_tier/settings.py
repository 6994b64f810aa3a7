"""Settings of `[plugins.ffmpeg_tier]`."""

from pydantic import Field

from agent_core.plugin import Settings

__all__ = ("FfmpegTierSettings",)


class FfmpegTierSettings(Settings):
    """Settings of the plugin. The README's table repeats the descriptions."""

    program: str | None = Field(
        None,
        min_length=1,
        description="FFmpeg to run; default: the agent's `ffmpeg.program`, else the one on PATH",
    )
    encoder: str = Field(
        "libx264",
        pattern=r"^[a-z0-9_]+$",
        description="FFmpeg's name of the H.264 encoder for streams; any other than libx264 is tried at the start, see below",
    )
    encoder_device: str | None = Field(
        None,
        pattern=r"^/dev/[A-Za-z0-9_./-]+$",
        description="device of the encoder; only for `h264_vaapi`; default: `/dev/dri/renderD128`",
    )
    preset: str = Field("ultrafast", pattern=r"^[a-z]+$", description="x264's preset; only for `libx264`")
    bitrate_kbps: int | None = Field(
        None, ge=50, le=100_000, description="bit rate of streams; default: constant quality (`crf`)"
    )
    crf: int = Field(
        23, ge=0, le=51, description="x264's constant quality, lower is better; only without `bitrate_kbps`"
    )
    key_frame_interval_s: float = Field(
        0.5,
        ge=0.1,
        le=10,
        description="time between key frames, the longest that a new reader or a recording waits",
    )
    network_latency_s: float = Field(
        0.5, ge=0, le=10, description="assumed delay of a network stream's newest picture"
    )
    network_timeout_s: float = Field(
        4.0, ge=0.5, le=60, description="silence after which FFmpeg gives up a network stream or frame socket"
    )
    jpeg_qscale: int = Field(
        2, ge=1, le=31, description="quality of stills that have to be encoded, from 1 (best) to 31"
    )
