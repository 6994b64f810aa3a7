"""What a peer's bytes can be: right, or this."""

__all__ = ("RtspError",)


class RtspError(ValueError):
    """Not RTSP, not SDP, or beyond our bounds; the message is one sentence without the peer's secrets."""
