"""Found streams as clients see them."""

from typing import TYPE_CHECKING

from external_discovery.wire import ExternalStream, StreamCapabilities, StreamTrack

if TYPE_CHECKING:
    from external_discovery.discovery.results import FoundStream

__all__ = ("shown",)


def shown(stream: "FoundStream") -> ExternalStream:
    """Return a stream that was found and not added."""
    address = stream.address
    videos = (track.codec for track in stream.tracks if track.kind == "video")
    _, _, public_path = stream.url.partition("://")[2].partition("/")
    return ExternalStream(
        url=stream.url,
        name=stream.name,
        type=stream.kind,
        status="DISCOVERED",
        discovered_at=stream.first_seen,
        last_seen=stream.last_seen,
        online=stream.online,
        capabilities=StreamCapabilities(
            protocol=address.scheme,
            codec=next(videos, ""),
            source=stream.kind,
            stream_type=stream.kind,
            port=address.port,
            stream_path=f"/{public_path}",
            needs_credentials=stream.needs_credentials,
            server=stream.server,
            tracks=[StreamTrack(kind=track.kind, codec=track.codec) for track in stream.tracks],
        ),
    )
