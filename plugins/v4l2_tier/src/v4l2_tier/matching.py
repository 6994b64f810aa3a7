"""Which settings are a camera's."""

from fnmatch import fnmatchcase

from agent_core.plugin import Fingerprint
from v4l2_tier.inventory import DeviceNode
from v4l2_tier.settings import CameraSettings, V4l2TierSettings

__all__ = ("settings_of",)


def settings_of(
    settings: V4l2TierSettings, node: DeviceNode, seen: Fingerprint, name: str
) -> CameraSettings | None:
    """The first table whose `match` is the camera's serial number, port or name; None if there is none."""
    serial = node.usb.serial if node.usb else ""
    known_as = [text for text in (serial, seen.serial, node.port, seen.port, name) if text]
    return next(
        (table for table in settings.cameras if any(fnmatchcase(text, table.match) for text in known_as)),
        None,
    )
