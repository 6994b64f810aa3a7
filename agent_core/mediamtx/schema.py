"""Types of MediaMTX's API v3 that the core reads and writes, for v1.9 to v1.20.

Names and units are ours, the aliases are the server's. Unknown fields of an answer are ignored; null counts as absent.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agent_core.mediamtx.units import Duration, Size

__all__ = (
    "HOT_KEYS",
    "Endpoint",
    "Features",
    "GlobalConf",
    "Page",
    "PathConf",
    "RecordedPath",
    "RecordedSegment",
    "RuntimePath",
    "ServerInfo",
)

T = TypeVar("T")
_VERSION = re.compile(r"v?([0-9]{1,5})\.([0-9]{1,5})\.([0-9]{1,5})")
_Time = Annotated[datetime | None, BeforeValidator(lambda value: value or None)]

#: Keys that a server changes on a live path without interrupting it, since v1.15.1; before, only `record`.
HOT_KEYS = frozenset(
    (
        "record",
        "recordPath",
        "recordFormat",
        "recordPartDuration",
        "recordMaxPartSize",
        "recordSegmentDuration",
        "recordDeleteAfter",
    )
)


class _Wire(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
        hide_input_in_errors=True,  # a path's source has the camera's password
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        """Remove null values: Go writes null for an empty list or an unset time."""
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


class PathConf(_Wire):
    """Configuration of one path, as asked for or as in effect. None means "not asked for".

    Has only the keys that the core uses: an older server refuses a configuration with an unknown key.
    """

    name: str = Field("", exclude=True)
    source: str | None = None
    source_on_demand: bool | None = Field(None, alias="sourceOnDemand")
    source_on_demand_start_timeout_s: Duration | None = Field(None, alias="sourceOnDemandStartTimeout")
    source_on_demand_close_after_s: Duration | None = Field(None, alias="sourceOnDemandCloseAfter")
    max_readers: int | None = Field(None, alias="maxReaders")
    record: bool | None = None
    record_path: str | None = Field(None, alias="recordPath")
    record_format: str | None = Field(None, alias="recordFormat")
    record_part_duration_s: Duration | None = Field(None, alias="recordPartDuration")
    record_max_part_size_bytes: Size | None = Field(None, alias="recordMaxPartSize")
    record_segment_duration_s: Duration | None = Field(None, alias="recordSegmentDuration")
    record_delete_after_s: Duration | None = Field(None, alias="recordDeleteAfter")
    override_publisher: bool | None = Field(None, alias="overridePublisher")
    rtsp_transport: str | None = Field(None, alias="rtspTransport")
    run_on_init: str | None = Field(None, alias="runOnInit")
    run_on_init_restart: bool | None = Field(None, alias="runOnInitRestart")
    run_on_demand: str | None = Field(None, alias="runOnDemand")
    run_on_demand_restart: bool | None = Field(None, alias="runOnDemandRestart")
    run_on_demand_start_timeout_s: Duration | None = Field(None, alias="runOnDemandStartTimeout")
    run_on_demand_close_after_s: Duration | None = Field(None, alias="runOnDemandCloseAfter")

    def wire(self) -> dict[str, object]:
        """Return the JSON object to send: only the fields that are set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def missing_from(self, actual: "PathConf") -> "PathConf":
        """Return the fields that differ in `actual`; `PathConf()` if none do."""
        fields = type(self).model_fields.keys() - {"name"}
        wanted = {field: getattr(self, field) for field in fields}
        return PathConf.model_validate(
            {k: value for k, value in wanted.items() if value is not None and value != getattr(actual, k)}
        )


class Endpoint(_Wire):
    """Source or reader of a path, e.g. `rtspSession` and its id; a pulled source has an empty id."""

    type: str
    id: str = ""


class RuntimePath(_Wire):
    """State of a path. `live`: it has a stream that can be read."""

    name: str
    conf_name: str = Field("", alias="confName")
    live: bool = Field(default=False, validation_alias=AliasChoices("available", "ready"))
    live_since: _Time = Field(None, validation_alias=AliasChoices("availableTime", "readyTime"))
    source: Endpoint | None = None
    tracks: tuple[str, ...] = ()
    readers: tuple[Endpoint, ...] = ()
    inbound_bytes: int = Field(0, validation_alias=AliasChoices("inboundBytes", "bytesReceived"))
    outbound_bytes: int = Field(0, validation_alias=AliasChoices("outboundBytes", "bytesSent"))


class ServerInfo(_Wire):
    """Version and start time, both unset for a server before v1.15.2. A changed `started` means a restart."""

    version: str = ""
    started: _Time = None

    @property
    def version_numbers(self) -> tuple[int, int, int] | None:
        """The version as numbers; None if it is unknown or has another form."""
        found = _VERSION.match(self.version)
        return (int(found[1]), int(found[2]), int(found[3])) if found else None


class GlobalConf(_Wire):
    """Protocols that the server has switched on; a server that does not know one does not serve it."""

    rtsp: bool = False
    hls: bool = False
    webrtc: bool = False

    @property
    def protocols(self) -> tuple[str, ...]:
        """The names of the protocols that are on."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))


class RecordedSegment(_Wire):
    start: datetime


class RecordedPath(_Wire):
    """Files on the server's disk below the path's current `recordPath`, the open segment included."""

    name: str
    segments: tuple[RecordedSegment, ...] = ()


class Page(_Wire, Generic[T]):
    page_count: int = Field(0, alias="pageCount")
    items: tuple[T, ...] = ()


class Features(BaseModel):
    """Features that differ between versions of the server and matter to the agent."""

    model_config = ConfigDict(frozen=True)

    #: The server changes `recordPath` and other recording keys while the path is live (v1.15.1).
    hot_record_path: bool = False

    @classmethod
    def of_version(cls, numbers: tuple[int, int, int]) -> "Features":
        return cls(hot_record_path=numbers >= (1, 15, 1))

    @classmethod
    def of_keys(cls, keys: frozenset[str]) -> "Features":
        """Derive the features from the names of the path options; `alwaysAvailable` came with v1.16.0."""
        return cls(hot_record_path="alwaysAvailable" in keys)

    @property
    def hot_keys(self) -> frozenset[str]:
        return HOT_KEYS if self.hot_record_path else frozenset(("record",))
