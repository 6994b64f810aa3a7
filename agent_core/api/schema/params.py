"""The wire's parameters and results: what validates a call also describes it in `rpc.discover`.

Not one field here can hold a device path: a camera on the wire is its id.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from agent_core.base.models import CAMERA_ID
from agent_core.plugin import RpcParams

__all__ = ("AnyParams", "DeviceParams", "ListParams", "NameParams", "NoParams", "Timestamp", "rfc3339")


DeviceName = Annotated[
    str, Field(pattern=f"^{CAMERA_ID.pattern}$", description="a camera's id, like camera0")
]


class NoParams(RpcParams):
    pass


class AnyParams(BaseModel):
    """For methods that this build does not offer: whatever is sent, the answer says so."""

    model_config = ConfigDict(frozen=True, extra="allow")


class DeviceParams(RpcParams):
    device: DeviceName


class NameParams(RpcParams):
    filename: str = Field(min_length=1, max_length=300, description="a name as the list method returns it")


class ListParams(RpcParams):
    limit: int = Field(50, ge=1, le=1000)
    offset: int = Field(0, ge=0)
    device: DeviceName | None = Field(None, description="only this camera's")


def rfc3339(when: datetime) -> str:
    """`2026-11-22T17:03:54.120Z`: UTC with at most milliseconds; `when` is aware."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: An aware datetime in a result or an event.
Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
