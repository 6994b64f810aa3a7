"""Wire types of the five methods: the contract's external stream, parameters and results."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, SecretStr, WithJsonSchema

from agent_core.plugin import RpcParams, RpcResult

__all__ = (
    "AddParams",
    "Added",
    "DiscoverParams",
    "Discovered",
    "DiscoveryOptions",
    "ExternalStream",
    "ExternalStreams",
    "IntervalParams",
    "IntervalSet",
    "RemoveParams",
    "Removed",
    "StreamCapabilities",
    "StreamTrack",
    "StreamType",
    "Timestamp",
)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: An aware datetime in a result.
Timestamp = Annotated[
    datetime,
    PlainSerializer(_rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]

#: Types of streams: how they were found, and how a client groups them.
StreamType = Literal["skydio", "generic_rtsp", "onvif", "dnssd"]


class StreamTrack(RpcResult):
    """Track of a stream, as its description names it."""

    kind: str = Field(description="video, audio or application")
    codec: str = Field(description="such as H264, H265, AAC, OPUS, KLV")


class StreamCapabilities(RpcResult):
    """Properties of an external stream, as far as they are known."""

    protocol: str = Field(description="scheme of the address")
    codec: str = Field(description="codec of the first video track; empty if unknown")
    source: str = Field(description="how it is known: added, configuration, or the search that found it")
    stream_type: str
    port: int
    stream_path: str = Field(description="path and query of the address; secret parameters are hidden")
    needs_credentials: bool = Field(default=False, description="the camera asks for a user and a password")
    server: str = Field(default="", description="name that the camera's server gives itself")
    tracks: list[StreamTrack] = Field(default=[])
    notes: list[str] = Field(
        default=[], description="sentences about what cannot be recorded or relayed, and why"
    )


class ExternalStream(RpcResult):
    """External stream, found or added. `device` is its camera, once it was added."""

    url: str = Field(description="address without credentials; secret parameters are hidden")
    name: str
    type: str
    status: Literal["DISCOVERED", "ADDED", "ERROR"] = Field(
        description="DISCOVERED: found, not added; ADDED: a camera; ERROR: a camera that does not work now"
    )
    discovered_at: Timestamp = Field(description="time of the first sight, or of adding")
    last_seen: Timestamp | None = Field(
        None, description="time at which the camera last answered; absent: never"
    )
    online: bool = Field(description="the camera answered when it was last looked at")
    details: str = Field(default="", description="why it does not work, one sentence; empty otherwise")
    removable: bool = Field(
        default=False, description="remove_external_stream removes it; the configuration's streams stay"
    )
    capabilities: StreamCapabilities
    device: str | None = None


class AddParams(RpcParams):
    """Parameters of add_external_stream."""

    stream_url: str = Field(
        min_length=1,
        max_length=4096,
        description="address; user and password in it are split off and never returned",
    )
    stream_name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s][^\x00-\x1f\x7f]*$",
        description="name of the camera, without control characters and not blank; unique",
    )
    stream_type: StreamType = "generic_rtsp"
    user: str | None = Field(None, max_length=256, description="instead of a user in the address")
    password: SecretStr | None = Field(
        None, max_length=256, description="instead of a password in the address"
    )
    verify: bool = Field(
        default=True,
        description="open the stream once before it is added, and refuse it with the reason if that fails; "
        "false adds one that is offline now",
    )


class Added(RpcResult):
    """Result of add_external_stream."""

    stream_url: str
    stream_name: str
    stream_type: str
    device: str
    status: Literal["ADDED"] = "ADDED"
    timestamp: Timestamp


class RemoveParams(RpcParams):
    """Parameters of remove_external_stream."""

    stream_url: str = Field(min_length=1, max_length=4096, description="as returned, or as it was added")


class Removed(RpcResult):
    """Result of remove_external_stream."""

    stream_url: str
    status: Literal["REMOVED"] = "REMOVED"
    timestamp: Timestamp


class ExternalStreams(RpcResult):
    """Result of get_external_streams. The streams of UAVs and of cameras are also listed apart."""

    external_streams: list[ExternalStream]
    skydio_streams: list[ExternalStream]
    generic_streams: list[ExternalStream]
    total_count: int
    timestamp: Timestamp


class DiscoverParams(RpcParams):
    """Parameters of discover_external_streams."""

    skydio_enabled: bool = Field(default=True, description="search for Skydio's streams")
    generic_enabled: bool = Field(
        default=False, description="search for cameras: common paths, ONVIF, DNS-SD"
    )
    force_rescan: bool = Field(default=False, description="scan now, even if the last scan is recent")
    include_offline: bool = Field(
        default=False, description="return also streams that the last scan did not see"
    )


class DiscoveryOptions(RpcResult):
    """Options of a search as they took effect."""

    skydio_enabled: bool
    generic_enabled: bool
    force_rescan: bool
    include_offline: bool


class Discovered(RpcResult):
    """Result of discover_external_streams."""

    discovered_streams: list[ExternalStream]
    skydio_streams: list[ExternalStream]
    generic_streams: list[ExternalStream]
    scan_timestamp: Timestamp
    total_found: int
    discovery_options: DiscoveryOptions
    scan_duration: str = Field(description="seconds with the unit, such as 2.5s")
    errors: list[str] = Field(description="sentences about what could not be searched")


class IntervalParams(RpcParams):
    """Parameters of set_discovery_interval."""

    scan_interval: int = Field(
        ge=0, le=604_800, description="seconds between two scans; 0: no scans by themselves"
    )


class IntervalSet(RpcResult):
    """Result of set_discovery_interval."""

    scan_interval: int
    status: Literal["UPDATED"] = "UPDATED"
    message: str
    timestamp: Timestamp
