"""Addresses in RTSP requests: the parsing of untrusted text, kept apart from the connection's I/O."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from agent_core.plugin.rtsp import RtspError, SessionDescription, control_url

__all__ = ("RtspTarget", "published_track")

_TRACK = re.compile(r"/trackID=([0-9]{1,3})\Z")


@dataclass(frozen=True, slots=True)
class RtspTarget:
    """Parts of an address; `path` has no leading slash, `track` is set if the address ends with `/trackID=N`."""

    host: str
    path: str
    query: str
    track: int | None

    @classmethod
    def parse(cls, uri: str) -> "RtspTarget":
        """Split `rtsp://host/path?query/trackID=N` into its parts.

        Raises:
            RtspError: `uri` is not such an address.
        """
        found = _TRACK.search(uri)
        try:
            parts = urlsplit(uri[: found.start()] if found else uri)
        except ValueError:
            raise RtspError("The address in the request is not a valid URL.") from None
        if parts.scheme not in ("rtsp", "rtsps") or not parts.path.startswith("/"):
            raise RtspError("The address in the request names no path.")
        path = unquote(parts.path[1:])
        if not path.isprintable():  # names are logged
            raise RtspError("The address in the request contains control characters.")
        return cls(parts.netloc, path, parts.query, int(found[1]) if found else None)

    def base(self, path: str) -> str:
        """Return the address to which the addresses of a reader's tracks are relative."""
        query = f"?{self.query}" if self.query else ""
        return f"rtsp://{self.host.rpartition('@')[2]}/{path}{query}/"


def published_track(description: SessionDescription, announced_at: str, uri: str) -> int | None:
    """Return the index of the announced medium that a publisher's SETUP means.

    The medium is found by its control attribute, else by its index in the address; None if there is no such medium.
    """
    for index, media in enumerate(description.media):
        if media.control and uri == control_url(announced_at, media.control):
            return index
    found = re.search(r"/(?:streamid|trackID)=([0-9]{1,3})\Z", uri)
    if found and int(found[1]) < len(description.media):
        return int(found[1])
    return 0 if len(description.media) == 1 and uri.rstrip("/") == announced_at.rstrip("/") else None
