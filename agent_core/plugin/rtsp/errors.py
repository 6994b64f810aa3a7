"""Error of the RTSP package."""

__all__ = ("RtspError",)


class RtspError(ValueError):
    """Error for data that is not RTSP or SDP, or exceeds a limit. The message is one sentence without secrets."""
