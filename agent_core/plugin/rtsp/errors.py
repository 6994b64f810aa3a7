"""Error for bytes of a peer that are not RTSP."""

__all__ = ("RtspError",)


class RtspError(ValueError):
    """Not RTSP, not SDP, or beyond our bounds; the message is one sentence without the peer's secrets."""
