"""JSON values of the API, in MediaMTX's shapes."""

from collections.abc import Mapping

from embedded_server.config import defaults
from embedded_server.config.configuration import Configuration, PathOptions
from embedded_server.config.gotext import ConfigRefused, Json, time_text
from embedded_server.config.users import redacted
from embedded_server.paths.path import Path
from embedded_server.rtsp.connection import RtspConnection
from embedded_server.rtsp.session import Counters, RtspSession, State

__all__ = (
    "connection_view",
    "defaults_view",
    "page",
    "path_options_view",
    "path_view",
    "server_view",
    "session_view",
)

#: Go's zero time: the `onlineTime` of a pulled source that has never connected.
_NEVER = "0001-01-01T00:00:00Z"
_MAX_NUMBER = 2**31 - 1
#: Including leading zeros; Python refuses to parse numbers of thousands of digits.
_MAX_DIGITS = 100
_STATES = {State.PLAY: "read", State.RECORD: "publish"}


def server_view(configuration: Configuration) -> dict[str, Json]:
    """Return all global options; the users follow `authMethod`, with passwords hidden."""
    view: dict[str, Json] = {}
    for key in defaults.GLOBAL:
        view[key] = configuration.server[key]
        if key == "authMethod":
            view["authInternalUsers"] = redacted(configuration.server["authInternalUsers"])
    return view


def defaults_view(configuration: Configuration, *, legacy: bool) -> dict[str, Json]:
    return path_options_view("", {**defaults.PATH, **configuration.path_defaults}, legacy=legacy)


def path_options_view(name: str, options: PathOptions, *, legacy: bool) -> dict[str, Json]:
    """Return all options of a path, its name first."""
    hidden = defaults.NEWER_THAN_LEGACY if legacy else frozenset()
    return {"name": name, **{key: value for key, value in options.items() if key not in hidden}}


def path_view(path: Path, *, legacy: bool) -> dict[str, Json]:
    stream = path.stream
    since = time_text(path.available_at) if path.available_at else None
    pulled = path.source_type == "rtspSource"
    online = stream is not None or pulled
    received, sent = (stream.inbound_bytes, stream.outbound_bytes) if stream else (0, 0)
    view: dict[str, Json] = {"name": path.name, "confName": path.conf_name}
    source: Json = None
    if path.source_type:
        source = {"type": path.source_type, "id": path.publisher.id if path.publisher else ""}
    times: dict[str, Json] = {"ready": stream is not None, "readyTime": since}
    if not legacy:
        times |= {"available": stream is not None, "availableTime": since}
        times |= {"online": online, "onlineTime": since or (_NEVER if pulled else None)}
    tracks: dict[str, Json] = {"tracks": stream.track_names() if stream else []}
    if not legacy:
        tracks["tracks2"] = stream.track_details() if stream else []
    readers: list[Json] = [{"type": "rtspSession", "id": reader.id} for reader in path.readers]
    counters: dict[str, Json] = {"bytesReceived": received, "bytesSent": sent}
    if legacy:
        return {**view, "source": source, **times, **tracks, **counters, "readers": readers}
    errors = stream.frames_in_error if stream else 0
    newer: dict[str, Json] = {"inboundBytes": received, "outboundBytes": sent, "inboundFramesInError": errors}
    return {**view, **times, "source": source, **tracks, "readers": readers, **newer, **counters}


def session_view(session: RtspSession, connection_id: str, *, legacy: bool) -> dict[str, Json]:
    view: dict[str, Json] = {
        "id": session.id,
        "created": time_text(session.created),
        "remoteAddr": session.address,
        "state": _STATES.get(session.state, "idle"),
        "path": session.path_name,
        "query": session.query,
        "user": session.user,
        "userAgent": session.user_agent,
        "transport": "TCP" if session.channels else None,
        "profile": "AVP" if session.channels else None,
        "conns": [connection_id],
    }
    older = _older_counters(session.counters)
    if legacy:
        return {
            key: value for key, value in view.items() if key not in ("user", "userAgent", "conns")
        } | older
    return view | _newer_counters(session.counters) | older


def _newer_counters(counters: Counters) -> dict[str, Json]:
    return {
        "inboundBytes": counters.inbound_bytes,
        "inboundRTPPackets": counters.inbound_rtp,
        "inboundRTPPacketsLost": 0,
        "inboundRTPPacketsInError": 0,
        "inboundRTPPacketsJitter": 0,
        "inboundRTCPPackets": counters.inbound_rtcp,
        "inboundRTCPPacketsInError": 0,
        "outboundBytes": counters.outbound_bytes,
        "outboundRTPPackets": counters.outbound_rtp,
        "outboundRTPPacketsReportedLost": 0,
        "outboundRTPPacketsDiscarded": counters.discarded,
        "outboundRTCPPackets": counters.outbound_rtcp,
    }


def _older_counters(counters: Counters) -> dict[str, Json]:
    return {
        "bytesReceived": counters.inbound_bytes,
        "bytesSent": counters.outbound_bytes,
        "rtpPacketsReceived": counters.inbound_rtp,
        "rtpPacketsSent": counters.outbound_rtp,
        "rtpPacketsLost": 0,
        "rtpPacketsInError": 0,
        "rtpPacketsJitter": 0,
        "rtcpPacketsReceived": counters.inbound_rtcp,
        "rtcpPacketsSent": counters.outbound_rtcp,
        "rtcpPacketsInError": 0,
    }


def connection_view(connection: RtspConnection, *, legacy: bool) -> dict[str, Json]:
    received, sent = connection.received_bytes, connection.outbox.sent_bytes
    view: dict[str, Json] = {
        "id": connection.id,
        "created": time_text(connection.created),
        "remoteAddr": connection.address,
        "session": connection.session.id if connection.session else None,
    }
    older: dict[str, Json] = {"bytesReceived": received, "bytesSent": sent}
    return (
        view | older
        if legacy
        else {**view, "tunnel": "none", "inboundBytes": received, "outboundBytes": sent, **older}
    )


def page(query: Mapping[str, str], items: list[Json]) -> Json:
    """Return the page of `items` that `query` selects; a page past the end is empty.

    Raises:
        ConfigRefused: `itemsPerPage` or `page` is not a valid number.
    """
    size = _number(query.get("itemsPerPage", "100"))
    if size == 0:
        raise ConfigRefused("invalid items per page")
    start = _number(query.get("page", "0")) * size
    return {
        "itemCount": len(items),
        "pageCount": -(-len(items) // size),
        "items": items[start : start + size],
    }


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigRefused(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if len(text) > _MAX_DIGITS or int(text) > _MAX_NUMBER:
        raise ConfigRefused(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)
