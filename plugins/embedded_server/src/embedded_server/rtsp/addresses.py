"""What the address in an RTSP request names."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from agent_core.plugin.rtsp import RtspError, SessionDescription, control_url

__all__ = ("RtspTarget", "published_track")

_TRACK = re.compile(r"/trackID=([0-9]{1,3})\Z")


@dataclass(frozen=True, slots=True)
class RtspTarget:
    """`path` is without the leading slash; `track` is set where the address ends with `/trackID=N`."""

    host: str
    path: str
    query: str
    track: int | None

    @classmethod
    def parse(cls, uri: str) -> "RtspTarget":
        """The parts of `rtsp://host/path?query/trackID=N`.

        Raises:
            RtspError: it is no such address.
        """
        found = _TRACK.search(uri)
        try:
            parts = urlsplit(uri[: found.start()] if found else uri)
        except ValueError:
            raise RtspError("A request's address cannot be read.") from None
        if parts.scheme not in ("rtsp", "rtsps") or not parts.path.startswith("/"):
            raise RtspError("A request's address names no path.")
        path = unquote(parts.path[1:])
        if not path.isprintable():  # names get into the log
            raise RtspError("A request's address has control characters in it.")
        return cls(parts.netloc, path, parts.query, int(found[1]) if found else None)

    def base(self, path: str) -> str:
        """The address that a reader's track addresses are relative to."""
        query = f"?{self.query}" if self.query else ""
        return f"rtsp://{self.host.rpartition('@')[2]}/{path}{query}/"


def published_track(description: SessionDescription, announced_at: str, uri: str) -> int | None:
    """Which announced medium a publisher's SETUP means: by its control attribute, else by its place."""
    for index, media in enumerate(description.media):
        if media.control and uri == control_url(announced_at, media.control):
            return index
    found = re.search(r"/(?:streamid|trackID)=([0-9]{1,3})\Z", uri)
    if found and int(found[1]) < len(description.media):
        return int(found[1])
    return 0 if len(description.media) == 1 and uri.rstrip("/") == announced_at.rstrip("/") else None
