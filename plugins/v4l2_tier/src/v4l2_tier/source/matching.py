"""Choice of the settings table of a camera, and the tables that no camera has used."""

from agent_core.plugin.matching import MatchedTables
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.settings import CameraSettings, V4l2TierSettings
from v4l2_tier.source.fingerprint import fingerprint
from v4l2_tier.source.inventory import DeviceNode

__all__ = ("SettingsTables", "known_as")


def known_as(node: DeviceNode, capabilities: Capabilities | None) -> tuple[str, ...]:
    """Return the texts that `match` is compared with: serial numbers, ports and names; fewer before a probe."""
    seen = fingerprint(node, capabilities)
    usb = node.usb
    names = (usb.product if usb else "", node.label, capabilities.card if capabilities else "")
    texts = (usb.serial if usb else "", seen.serial, node.port, seen.port, *names)
    return tuple(dict.fromkeys(text for text in texts if text))


class SettingsTables:
    """Tables `[[plugins.v4l2_tier.cameras]]`; it remembers which have been used."""

    def __init__(self, settings: V4l2TierSettings) -> None:
        self._tables = MatchedTables(settings.cameras)

    def of(self, node: DeviceNode, capabilities: Capabilities | None) -> CameraSettings | None:
        """Return the first table whose `match` fits the camera's serial number, port or name, or None."""
        return self._tables.of(known_as(node, capabilities))

    @property
    def unused(self) -> tuple[str, ...]:
        """`match` of each table that has fitted no camera so far."""
        return self._tables.unused
