"""Settings of `[plugins.ffmpeg_tier]`."""

from pydantic import Field

from agent_core.plugin import Settings

__all__ = ("FfmpegTierSettings",)


class FfmpegTierSettings(Settings):
    """Each field's description is its row in the README's table."""

    program: str | None = Field(
        None, min_length=1, description="the FFmpeg to run; default: the agent's `ffmpeg.program`, else PATH"
    )
    encoder: str = Field(
        "libx264", pattern=r"^[a-z0-9_]+$", description="FFmpeg's name of the H.264 encoder of streams"
    )
    preset: str = Field("ultrafast", pattern=r"^[a-z]+$", description="x264's preset; for `libx264` only")
    bitrate_kbps: int | None = Field(
        None, ge=50, le=100_000, description="the streams' bit rate; default: by quality (`crf`)"
    )
    crf: int = Field(
        23, ge=0, le=51, description="x264's constant quality, lower is better; without `bitrate_kbps` only"
    )
    key_frame_interval_s: float = Field(
        0.5, ge=0.1, le=10, description="time between key frames: what a late reader or a recording waits for"
    )
    network_latency_s: float = Field(
        0.5, ge=0, le=10, description="how far behind the world a network stream's newest picture may be"
    )
    network_timeout_s: float = Field(
        4.0, ge=0.5, le=60, description="silence after which a network stream or frame socket is given up"
    )
    jpeg_qscale: int = Field(
        2, ge=1, le=31, description="quality of stills that have to be encoded, 1 is best"
    )
