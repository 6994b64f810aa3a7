"""Parts of `multipart/x-mixed-replace`, made once per picture for all that it is sent to, and their pace."""

from weakref import WeakKeyDictionary

from agent_core.snapshots.models import LivePicture

__all__ = ("MEDIA_TYPE", "Pace", "PartCache", "first_delimiter")

_BOUNDARY = "camera-agent-picture"
MEDIA_TYPE = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
#: Share of the interval by which a picture may come early: cameras are not exact.
_EARLY = 0.2


def _part(picture: LivePicture) -> bytes:
    """Return the part with the delimiter after it, for which browsers wait before they show the picture."""
    head = (
        "Content-Type: image/jpeg\r\n"
        f"Content-Length: {len(picture.data)}\r\n"
        f"X-Timestamp: {picture.captured_at.timestamp():.6f}\r\n\r\n"
    )
    return b"%b%b\r\n--%b\r\n" % (head.encode(), picture.data, _BOUNDARY.encode())


def first_delimiter() -> bytes:
    """Return what comes before the first part."""
    return f"--{_BOUNDARY}\r\n".encode()


class PartCache:
    """Bytes of the newest pictures. They are kept as long as the pictures themselves.

    Args:
        is_chunked: frame each part as a chunk of HTTP/1.1; HTTP/1.0 has none.
    """

    def __init__(self, *, is_chunked: bool) -> None:
        self._is_chunked = is_chunked
        self._parts: WeakKeyDictionary[LivePicture, bytes] = WeakKeyDictionary()

    def of(self, picture: LivePicture) -> bytes:
        """Return the bytes to send for `picture`."""
        made = self._parts.get(picture)
        if made is None:
            made = _part(picture)
            if self._is_chunked:
                made = b"%x\r\n%b\r\n" % (len(made), made)
            self._parts[picture] = made
        return made


class Pace:
    """Decision which pictures are due at a largest rate; told their times of exposure.

    Args:
        fps: most pictures per second; None for all of them.
    """

    def __init__(self, fps: float | None) -> None:
        self._interval_s = 0.0 if fps is None else 1 / fps
        self._due_s = float("-inf")

    def is_due(self, captured_s: float) -> bool:
        """Return True if a picture exposed then is due."""
        return captured_s >= self._due_s - _EARLY * self._interval_s

    def note(self, captured_s: float) -> None:
        """Note that a picture exposed then was sent. One that is a little late delays no other, so the rate is kept."""
        next_s = self._due_s + self._interval_s
        self._due_s = next_s if captured_s < next_s else captured_s + self._interval_s
