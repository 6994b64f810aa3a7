"""Failures of streams and requests, and the reasons behind libav's errors."""

import errno

import av

from rtsp_tier.messages import Reason

__all__ = ("StreamFailure", "failure_at_open", "failure_at_read", "failure_at_socket", "not_open_in_time")

_SUGGESTIONS = {
    Reason.CREDENTIALS: "Check the user and password for reading, and whether this address may read.",
    Reason.NOT_LIVE: "Start the stream first.",
    Reason.MEDIA_SERVER_DOWN: "Check that the media server runs and that its RTSP address is right.",
    Reason.TIMED_OUT: "Allow more time, or check what the camera sends.",
    Reason.STREAM_ENDED: "Take the picture again when the stream is live.",
    Reason.STREAM_DAMAGED: "Check the network between the camera and the media server.",
    Reason.UNSUPPORTED_STREAM: "Use an RTSP stream with H.264, H.265 or Motion JPEG.",
    Reason.CAMERA_GONE: "Check that the camera is plugged in.",
    Reason.NO_READER: "Open the reader again.",
    Reason.BUSY: "Try again when other pictures are done.",
    Reason.WORKER_FAILED: "See the agent's log for more.",
}
#: Next steps that differ for a camera's frame socket, which has no network and no media server.
_SOCKET_SUGGESTIONS = {
    Reason.TIMED_OUT: "Allow more time, or set a shorter interval of key frames in the camera.",
    Reason.STREAM_ENDED: "Take the picture again; if that fails, see the camera's status.",
    Reason.STREAM_DAMAGED: "Check the camera's cable and hub; a smaller picture or lower rate may help.",
    Reason.UNSUPPORTED_STREAM: "Choose another pixel format for the camera, such as H264 or MJPG.",
}
_UNREACHABLE = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EADDRNOTAVAIL,
        errno.EPIPE,
        errno.EIO,  # also of a name that cannot be resolved
    }
)


class StreamFailure(Exception):
    """Failure for the plugin. It quotes no message of libav, because those name URLs with their passwords."""

    def __init__(self, reason: Reason, details: str, *, is_socket: bool = False) -> None:
        super().__init__(details)
        self.reason = reason
        self.details = details
        self._is_socket = is_socket

    @property
    def suggestion(self) -> str:
        """Next step for the operator, which depends on where the video came from."""
        own = _SOCKET_SUGGESTIONS.get(self.reason) if self._is_socket else None
        return own or _SUGGESTIONS[self.reason]


def not_open_in_time(*, is_socket: bool) -> StreamFailure:
    """Return the failure of a request whose stream was still being opened at its deadline."""
    if is_socket:
        return StreamFailure(Reason.TIMED_OUT, "The camera sent no key frame in time.", is_socket=True)
    return StreamFailure(Reason.TIMED_OUT, "The stream was not open in time.")


def failure_at_open(error: Exception, *, is_late: bool) -> StreamFailure:
    """Return the failure behind an error of opening a stream.

    Args:
        error: libav's error. It has the same one for a connection that was closed and for one that was silent.
        is_late: True if the time for opening had passed.
    """
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return StreamFailure(Reason.CREDENTIALS, "The media server refused the credentials.")
    if isinstance(error, av.error.HTTPClientError | av.error.HTTPError):
        return StreamFailure(Reason.NOT_LIVE, "The media server has no such stream now.")
    if is_late or _is_timeout(error):
        return StreamFailure(Reason.TIMED_OUT, "The stream could not be opened in time.")
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return StreamFailure(Reason.MEDIA_SERVER_DOWN, "The media server cannot be reached.")
    if isinstance(error, OSError) and error.errno == errno.EPROTONOSUPPORT:
        return StreamFailure(Reason.UNSUPPORTED_STREAM, "The stream is not offered over TCP.")
    return StreamFailure(
        Reason.STREAM_DAMAGED, "The media server closed the connection, or its answer was not understood."
    )


def failure_at_socket(error: Exception, *, is_late: bool) -> StreamFailure:
    """Return the failure behind an error of opening a camera's frame socket. Arguments: those of `failure_at_open`."""
    if is_late or _is_timeout(error):
        return not_open_in_time(is_socket=True)
    if isinstance(error, OSError) and error.errno in {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR}:
        return StreamFailure(Reason.CAMERA_GONE, "The camera's frame socket is gone.")
    return StreamFailure(
        Reason.STREAM_ENDED, "The camera stopped before its first key frame.", is_socket=True
    )


def failure_at_read(error: Exception, *, is_socket: bool = False) -> StreamFailure:
    """Return the failure behind an error of reading an open stream, or a camera's frame socket."""
    subject = "The camera's video" if is_socket else "The stream"
    if _is_timeout(error):
        return StreamFailure(Reason.TIMED_OUT, f"{subject} was silent for too long.", is_socket=is_socket)
    if isinstance(error, EOFError) or (isinstance(error, OSError) and error.errno in _UNREACHABLE):
        return StreamFailure(Reason.STREAM_ENDED, f"{subject} ended.", is_socket=is_socket)
    return StreamFailure(
        Reason.STREAM_DAMAGED, f"{subject} could not be read further ({_kind(error)}).", is_socket=is_socket
    )


def _is_timeout(error: Exception) -> bool:
    """Return True if PyAV interrupted the call, or the socket's own limit passed."""
    is_late = isinstance(error, OSError) and error.errno in {errno.ETIMEDOUT, errno.EAGAIN}
    return isinstance(error, av.error.ExitError) or is_late


def _kind(error: Exception) -> str:
    return type(error).__name__
