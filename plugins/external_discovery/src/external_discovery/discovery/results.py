"""Streams that a scan found, and what came of the scan."""

from dataclasses import dataclass
from datetime import datetime

from external_discovery.address import StreamAddress
from external_discovery.discovery.kinds import StreamKind
from external_discovery.tracks import Track

__all__ = ("FoundStream", "ScanReport", "Sighting")


@dataclass(frozen=True, slots=True)
class Sighting:
    """Stream as one search saw it.

    Attributes:
        address: address of the stream, without credentials.
        name: name for people; the stream's own one if it has one.
        kind: search that found it.
        tracks: media, as far as they are known; none while the stream needs credentials.
        needs_credentials: the server asks for a password before it describes the stream. The path may then be a guess.
        server: name that the server gives itself; empty if it gives none.
    """

    address: StreamAddress
    name: str
    kind: StreamKind
    tracks: tuple[Track, ...] = ()
    needs_credentials: bool = False
    server: str = ""


@dataclass(frozen=True, slots=True)
class FoundStream:
    """Stream that scans have found, with the times (UTC) of its first and last sighting.

    Attributes:
        address: address of the stream. Its secret parameters, if it has any, are needed to open the stream.
        online: the last scan that searched for it saw it.
    """

    address: StreamAddress
    name: str
    kind: StreamKind
    tracks: tuple[Track, ...]
    needs_credentials: bool
    server: str
    first_seen: datetime
    last_seen: datetime
    online: bool

    @property
    def url(self) -> str:
        """Public form of the address, which identifies the stream: without credentials, secret parameters hidden."""
        return self.address.url


@dataclass(frozen=True, slots=True)
class ScanReport:
    """Result of the last scan.

    Attributes:
        started_at: wall-clock time (UTC).
        duration_s: time that it took.
        ended_s: monotonic time of its end.
        kinds: searches that it made.
        errors: sentences about what could not be searched, and about answers that were refused.
    """

    started_at: datetime
    duration_s: float
    ended_s: float
    kinds: frozenset[StreamKind]
    errors: tuple[str, ...]
