"""Streams that scans have found, for as long as they are worth keeping."""

from collections.abc import Container
from dataclasses import replace
from datetime import datetime, timedelta

from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.results import FoundStream, Sighting

__all__ = ("Catalogue",)

#: Most streams that are kept; those that were not seen for the longest time go first.
_MOST_STREAMS = 1000
#: If several searches find one stream, the name of the first of these kinds stays: devices name themselves best.
_BEST_NAMES = (StreamKind.ONVIF, StreamKind.DNSSD, StreamKind.SKYDIO, StreamKind.GENERIC)


class Catalogue:
    """Found streams by their URL. Told the time; no I/O.

    Args:
        keep_offline: time after its last sighting for which a stream stays listed as offline; may be changed.
    """

    def __init__(self, keep_offline: timedelta) -> None:
        self.keep_offline = keep_offline
        self._streams: dict[str, FoundStream] = {}

    def saw(self, sighting: Sighting, now: datetime) -> None:
        """Take a stream that is there at `now`."""
        known = self._streams.get(sighting.address.url)
        self._streams[sighting.address.url] = (
            _seen(sighting, now) if known is None else _again(known, sighting, now)
        )
        while len(self._streams) > _MOST_STREAMS:
            del self._streams[min(self._streams, key=lambda url: self._streams[url].last_seen)]

    def missed(
        self, kinds: frozenset[StreamKind], seen: Container[str], hosts: Container[str] | None = None
    ) -> None:
        """Take the end of a scan: what it did not see is offline.

        Args:
            kinds: kinds of streams that it searched for.
            seen: URLs that it saw.
            hosts: the only hosts that it tried; None: it searched everywhere.
        """
        for url, stream in self._streams.items():
            was_tried = hosts is None or stream.address.host in hosts
            if was_tried and stream.kind in kinds and url not in seen:
                self._streams[url] = replace(stream, online=False)

    def expire(self, now: datetime) -> None:
        """Forget streams that have been offline for too long."""
        oldest = now - self.keep_offline
        self._streams = {
            url: each for url, each in self._streams.items() if each.online or each.last_seen >= oldest
        }

    def list(self) -> tuple[FoundStream, ...]:
        """Return all streams, in the order in which they were first seen."""
        return tuple(self._streams.values())


def _seen(sighting: Sighting, now: datetime) -> FoundStream:
    return FoundStream(
        sighting.address,
        sighting.name,
        sighting.kind,
        sighting.tracks,
        sighting.needs_credentials,
        sighting.server,
        first_seen=now,
        last_seen=now,
        online=True,
    )


def _again(known: FoundStream, sighting: Sighting, now: datetime) -> FoundStream:
    named = min((known.kind, sighting.kind), key=_BEST_NAMES.index)
    best = sighting if named is sighting.kind else known
    return replace(
        known,
        address=sighting.address,
        name=best.name,
        kind=best.kind,
        tracks=sighting.tracks or known.tracks,
        needs_credentials=sighting.needs_credentials,
        server=sighting.server or known.server,
        last_seen=now,
        online=True,
    )
