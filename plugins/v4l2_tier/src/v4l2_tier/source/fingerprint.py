"""Fingerprint of a camera: strings that survive a reboot, a replug and a change of kernel.

The descriptor is coarse on purpose: vendor, model, product. A hash of the formats would not distinguish two cameras of
one model, and would change with the kernel, the firmware or a slower port, so that a known camera would appear as new.
"""

import re

from agent_core.plugin import Fingerprint
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.settings import SOURCE
from v4l2_tier.source.inventory import DeviceNode, UsbDevice

__all__ = ("SOURCE", "fingerprint", "own_serial")

_SHORTEST_SERIAL = 4
#: Values that vendors leave in the field: words, digits in sequence, a first unit's number, a version, a date.
_PLACEHOLDERS = re.compile(
    r"serial(no|num(ber)?)?|none|null|default|unknown|notavailable|test|sn|n/?a|(usb|web|hd)*cam(era)?"
    r"|(sn)?0*[0-9]{1,2}|0x0*[0-9a-f]{1,2}|0?1234(5(6(7(8(9(0|abcdef)?)?)?)?)?)?|abcdef[0-9]*|abcdefg[a-z]*"
    r"|[0-9]{8}0{1,3}1|(v|rev)?[0-9]{1,2}(\.[0-9]{1,2}){1,3}|0[1-9]00"
    r"|20[0-3][0-9](0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])",
    re.IGNORECASE,
)


def own_serial(text: str) -> str | None:
    """Return `text` stripped if it can be the serial number of a single unit, else None.

    Rejects texts shorter than four characters, one repeated character, unprintable characters and obvious placeholders
    (`0001`, `SN0001`, `123456789`, `200901010001`, a version such as `01.00.00`, a date). An accepted number may still
    be the same on every unit of a vendor; the core notices when two of them are connected.
    """
    text = text.strip()
    bare = re.sub(r"[\s_-]", "", text)
    if len(bare) < _SHORTEST_SERIAL or len(set(bare.lower())) == 1:
        return None
    if not text.isprintable() or "\N{REPLACEMENT CHARACTER}" in text:
        return None
    return None if _PLACEHOLDERS.fullmatch(bare) else text


def fingerprint(node: DeviceNode, capabilities: Capabilities | None) -> Fingerprint:
    """Return the fingerprint of one capture node.

    It is complete before a probe for USB devices, and only with `capabilities` for others. Several capture nodes of one
    device (colour and infrared) differ by USB interface and index, which are part of the serial number too. Devices
    that share one ID_PATH (the kernel's vivid) differ by `bus_info`.
    """
    if node.usb is None:
        return _of_other(node, capabilities)
    usb = node.usb
    serial = own_serial(usb.serial)
    return Fingerprint(
        source=SOURCE,
        serial=f"{usb.vendor}:{usb.model}:{serial}{_part(node, usb)}" if serial else None,
        port=(node.port or f"usb-{usb.interface}") + _index(node),
        descriptor=f"{usb.vendor}:{usb.model}:{usb.product}",
    )


def _of_other(node: DeviceNode, capabilities: Capabilities | None) -> Fingerprint:
    bus_info = capabilities.bus_info if capabilities else ""
    places = [place for place in (node.port, bus_info) if place]
    return Fingerprint(
        source=SOURCE,
        port="/".join(places) + _index(node) if places else None,
        descriptor=f"{capabilities.driver}:{capabilities.card}" if capabilities else node.label,
    )


def _part(node: DeviceNode, usb: UsbDevice) -> str:
    """Return a suffix for the part of the device, empty for the first node of the first interface."""
    part = usb.interface.partition(":")[2].partition(".")[2]
    number = f"#{part}" if part not in ("", "0") else ""
    return number + _index(node)


def _index(node: DeviceNode) -> str:
    return f"#{node.index}" if node.index else ""
