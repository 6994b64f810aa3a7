"""Words of the contract; a later agent may add some.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import Literal, TypeAlias

__all__ = (
    "CameraStatus",
    "CapturedAtSource",
    "ControlFlag",
    "ControlStatus",
    "KeyKind",
    "PictureFormat",
    "PolicyType",
    "PublishMode",
    "RecordingFormat",
    "Role",
    "SettledBy",
)

Role: TypeAlias = Literal["viewer", "operator", "admin"] | str

KeyKind: TypeAlias = Literal["api", "mqtt"] | str

CameraStatus: TypeAlias = Literal["CONNECTED", "DISCONNECTED", "ERROR"] | str

ControlFlag: TypeAlias = (
    Literal["read_only", "write_only", "inactive", "disabled", "grabbed", "volatile", "unreadable"] | str
)

ControlStatus: TypeAlias = Literal["APPLIED", "ADJUSTED", "REFUSED"] | str

PictureFormat: TypeAlias = Literal["jpg", "png"] | str

CapturedAtSource: TypeAlias = Literal["device", "arrival", "estimated"] | str

SettledBy: TypeAlias = Literal["brightness", "time", "limit"] | str

RecordingFormat: TypeAlias = Literal["fmp4", "mpegts"] | str

PolicyType: TypeAlias = Literal["age", "size", "manual"] | str

PublishMode: TypeAlias = Literal["server", "agent", "pull"] | str
