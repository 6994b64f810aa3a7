"""Settings of `[plugins.rtsp_tier]`."""

from pydantic import Field, model_validator

from agent_core.plugin import Settings

__all__ = ("RtspTierSettings",)

#: Memory of the decoding process without resident readers: 45 MB on x86-64 without a stream, the rest to decode one.
_PROCESS_MB = 64


class RtspTierSettings(Settings):
    """Settings of the plugin. The README's table repeats the descriptions."""

    latency_s: float = Field(
        0.5,
        ge=0,
        le=10,
        description="assumed longest delay between the exposure of a picture and its arrival here",
    )
    connect_timeout_s: float = Field(
        4.0, ge=0.1, le=60, description="limit for opening a stream, to its first packet"
    )
    silence_timeout_s: float = Field(
        4.0, ge=0.1, le=60, description="silence after which a stream that was open is given up"
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="quality of the pictures, 100 is best")
    resident_readers: int = Field(
        4, ge=0, le=64, description="number of streams that are kept open between pictures; 0: none"
    )
    resident_within_s: float = Field(
        10.0,
        ge=0,
        le=3600,
        description="a stream is kept open when its camera is photographed again within this time",
    )
    resident_ttl_s: float = Field(
        30.0,
        ge=0.1,
        le=3600,
        description="time after its last picture at which an open stream is closed; `keep_warm_s` if nothing else uses it",
    )
    resident_mb: int = Field(
        8, ge=1, le=256, description="memory for one open stream's newest group of pictures"
    )
    keep_warm_s: float = Field(
        5.0, ge=0, le=600, description="time for which a stream that was started for a picture stays live"
    )
    worker_idle_s: float = Field(
        30.0, ge=0.1, le=3600, description="time without work after which the decoding process ends"
    )
    worker_mb: int = Field(
        400, ge=128, le=16_384, description="resident memory beyond which the decoding process is replaced"
    )
    worker_silence_s: float = Field(
        5.0, ge=0.2, le=60, description="silence after which the decoding process is replaced"
    )

    @model_validator(mode="after")
    def _readers_fit_into_the_process(self) -> "RtspTierSettings":
        """Refuse limits that the readers exceed as intended: the process would be replaced again and again."""
        needed_mb = self.resident_readers * self.resident_mb + _PROCESS_MB
        if self.resident_readers and needed_mb > self.worker_mb:
            msg = (
                f"resident_readers * resident_mb and {_PROCESS_MB} MB for the process are {needed_mb} MB, more than worker_mb "
                f"({self.worker_mb}); raise worker_mb, or lower one of the others"
            )
            raise ValueError(msg)
        return self
