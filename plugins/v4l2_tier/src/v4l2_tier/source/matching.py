"""Choice of the settings table of a camera, and the tables that no camera has used."""

import re
from fnmatch import fnmatchcase

from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.settings import CameraSettings, V4l2TierSettings
from v4l2_tier.source.fingerprint import fingerprint
from v4l2_tier.source.inventory import DeviceNode

__all__ = ("SettingsTables", "known_as", "matches")


def matches(match: str, text: str) -> bool:
    """Return whether `match` means `text`: literally, by `*` and `?`, or also by sets of characters in brackets.

    Names of cameras have brackets, so these are first taken as they are.
    """
    return text == match or _by_wildcards(match, text) or fnmatchcase(text, match)


def _by_wildcards(match: str, text: str) -> bool:
    wildcards = {"*": ".*", "?": "."}
    pattern = "".join(wildcards.get(each) or re.escape(each) for each in match)
    return re.fullmatch(pattern, text, re.DOTALL) is not None


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
        self._tables = settings.cameras
        self._used: set[str] = set()

    def of(self, node: DeviceNode, capabilities: Capabilities | None) -> CameraSettings | None:
        """Return the first table whose `match` fits the camera's serial number, port or name, or None."""
        names = known_as(node, capabilities)
        for table in self._tables:
            if any(matches(table.match, text) for text in names):
                self._used.add(table.match)
                return table
        return None

    @property
    def unused(self) -> tuple[str, ...]:
        """`match` of each table that has fitted no camera so far."""
        return tuple(table.match for table in self._tables if table.match not in self._used)
