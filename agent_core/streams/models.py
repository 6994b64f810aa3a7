"""Streams as values: the state of a hold, and how pictures come to a path."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

__all__ = ("MODE_REASONS", "ModeReason", "PublishMode", "StreamState")


class StreamState(StrEnum):
    INACTIVE = "INACTIVE"
    STARTING = "STARTING"
    ACTIVE = "ACTIVE"
    ERROR = "ERROR"


ModeReason = Literal["server_on_this_host", "server_elsewhere", "camera_has_address"]


class PublishMode(StrEnum):
    """How pictures come to the path."""

    SERVER = "server"
    AGENT = "agent"
    PULL = "pull"


#: Why a camera has that mode.
MODE_REASONS: Mapping[PublishMode, ModeReason] = MappingProxyType(
    {
        PublishMode.SERVER: "server_on_this_host",
        PublishMode.AGENT: "server_elsewhere",
        PublishMode.PULL: "camera_has_address",
    }
)
