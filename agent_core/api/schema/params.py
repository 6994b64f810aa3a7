"""Parameters and results shared by methods. The types that validate calls also describe them in `rpc.discover`.

No field can hold a device path: the wire identifies a camera by its id.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, WithJsonSchema

from agent_core.base.models import CAMERA_ID
from agent_core.base.moments import rfc3339
from agent_core.plugin import RpcParams, RpcResult

__all__ = (
    "Deleted",
    "DeviceParams",
    "ListParams",
    "NameParams",
    "NoParams",
    "Timestamp",
)


DeviceName = Annotated[
    str, Field(pattern=f"^{CAMERA_ID.pattern}$", description="id of a camera, such as camera0")
]


class NoParams(RpcParams):
    pass


class DeviceParams(RpcParams):
    device: DeviceName


class Deleted(RpcResult):
    filename: str
    deleted: Literal[True] = True
    message: str


class NameParams(RpcParams):
    filename: str = Field(min_length=1, max_length=300, description="name, as returned by the list method")


class ListParams(RpcParams):
    limit: int = Field(50, ge=1, le=1000)
    offset: int = Field(0, ge=0)
    device: DeviceName | None = Field(None, description="list only files of this camera, such as camera0")


#: An aware datetime in a result or an event.
Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
