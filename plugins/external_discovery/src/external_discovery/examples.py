"""Examples of the plugin's methods for `rpc.discover`; the address is of a network for documentation (RFC 5737)."""

from datetime import UTC, datetime

from agent_core.plugin import MethodExample, RpcParams
from external_discovery.wire import (
    Added,
    AddParams,
    Discovered,
    DiscoverParams,
    DiscoveryOptions,
    ExternalStream,
    ExternalStreams,
    IntervalParams,
    IntervalSet,
    Removed,
    RemoveParams,
    StreamCapabilities,
)

__all__ = (
    "add_external_stream",
    "discover_external_streams",
    "get_external_streams",
    "remove_external_stream",
    "set_discovery_interval",
)

_AT = datetime(2026, 11, 22, 17, 3, 54, 120_000, tzinfo=UTC)
_URL, _NAME, _DEVICE = "rtsp://192.0.2.10/live", "Yard", "camera100"


def add_external_stream() -> MethodExample:
    """Add a stream without a look at it, as nothing answers at the address."""
    added = Added(
        stream_url=_URL, stream_name=_NAME, stream_type="generic_rtsp", device=_DEVICE, timestamp=_AT
    )
    return MethodExample(AddParams(stream_url=_URL, stream_name=_NAME, verify=False), added)


def remove_external_stream() -> MethodExample:
    removed = Removed(stream_url=_URL, timestamp=_AT)
    return MethodExample(RemoveParams(stream_url=_URL), removed, after=("add_external_stream",))


def get_external_streams() -> MethodExample:
    stream = ExternalStream(
        url=_URL,
        name=_NAME,
        type="generic_rtsp",
        status="ADDED",
        discovered_at=_AT,
        online=False,
        details="It was not seen yet.",
        removable=True,
        capabilities=StreamCapabilities(
            protocol="rtsp",
            codec="",
            source="added",
            stream_type="generic_rtsp",
            port=554,
            stream_path="/live",
        ),
        device=_DEVICE,
    )
    known = ExternalStreams(
        external_streams=[stream],
        skydio_streams=[],
        generic_streams=[stream],
        total_count=1,
        timestamp=_AT,
    )
    return MethodExample(RpcParams(), known, after=("add_external_stream",))


def discover_external_streams() -> MethodExample:
    found = Discovered(
        discovered_streams=[],
        skydio_streams=[],
        generic_streams=[],
        scan_timestamp=_AT,
        total_found=0,
        discovery_options=DiscoveryOptions(
            skydio_enabled=True, generic_enabled=True, force_rescan=True, include_offline=False
        ),
        scan_duration="2.5s",
        errors=[],
    )
    return MethodExample(DiscoverParams(generic_enabled=True, force_rescan=True), found)


def set_discovery_interval() -> MethodExample:
    stored = IntervalSet(scan_interval=3600, message="The networks are searched every 3600 s.", timestamp=_AT)
    return MethodExample(IntervalParams(scan_interval=3600), stored)
