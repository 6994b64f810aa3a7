"""Inventory of the video4linux nodes, with the properties that are known without opening one."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.plugin import DependencyFailed, WorkerPool

if TYPE_CHECKING:
    import pyudev

__all__ = ("DeviceNode", "Inventory", "UsbDevice", "open_inventory", "udev_runs")

_log = logging.getLogger("camera_agent.v4l2_tier")

SUBSYSTEM = "video4linux"
_UDEV_CONTROL = Path("/run/udev/control")


def udev_runs() -> bool:
    """Return whether a udev daemon runs; without one, devices have no udev properties."""
    return _UDEV_CONTROL.exists()


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """Strings of a USB descriptor as sysfs shows them; `vendor` and `model` are four hexadecimal digits.

    `interface` is the kernel's name of the node's interface, such as `1-4.2:1.0`.
    """

    vendor: str
    model: str
    product: str
    serial: str
    interface: str


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """One device node, such as `video0`.

    `incarnation` is new each time that the kernel creates a node, even under the same name. `index` counts the nodes
    of one driver instance. `physical` is the same for all nodes of one physical device. `port` is udev's ID_PATH.
    `udev_capabilities` are the words of ID_V4L_CAPABILITIES (`capture`, ...), None if udev has set none.
    """

    name: str
    path: Path
    number: int
    incarnation: int
    label: str
    index: int
    physical: str
    port: str | None
    usb: UsbDevice | None
    udev_capabilities: frozenset[str] | None

    @property
    def shown_name(self) -> str:
        """Product name, or the driver's label, known without opening the device."""
        return (self.usb.product if self.usb else "") or self.label or "Camera"


class Inventory:
    """Reader of sysfs and of udev's database; it opens no device.

    The kernel takes a USB device's lock to show its strings, so a device that hangs in its own probe blocks the reader:
    `look` works in a worker thread. Call it one at a time: libudev's context is not thread-safe.

    Raises:
        ImportError: libudev is not installed.
    """

    def __init__(self, subsystem: str = SUBSYSTEM) -> None:
        import pyudev

        self._context = pyudev.Context()
        self._subsystem = subsystem
        self._threads = WorkerPool(1)

    async def look(self) -> tuple[tuple[DeviceNode, ...], bool]:
        """Return the nodes by number, and whether udev has yet to process others.

        Cancelling abandons the thread; the inventory must not be used afterwards.
        """
        return await self._threads.run_abandonable(self.look_now)

    def look_now(self) -> tuple[tuple[DeviceNode, ...], bool]:
        """Do the work of `look` in the calling thread; may block on a device."""
        nodes: list[DeviceNode] = []
        waiting = False
        for device in self._context.list_devices(subsystem=self._subsystem):
            try:
                if device.device_node is None or not Path(device.device_node).exists():
                    continue  # removed since it was listed, or not passed into this container
                if udev_runs() and not device.is_initialized:
                    waiting = True
                    continue
                nodes.append(_node(device))
            except (OSError, KeyError, LookupError, ValueError) as error:  # removed while it was read
                _log.debug("skipping a device that cannot be read: %r", error)
        return tuple(sorted(nodes, key=lambda node: node.number)), waiting


def open_inventory() -> Inventory:
    """Return an `Inventory`.

    Raises:
        DependencyFailed: libudev is not installed.
    """
    try:
        return Inventory()
    except ImportError as error:
        raise DependencyFailed(
            "V4L2 cameras cannot be found without libudev.",
            reason="libudev_missing",
            suggestion="Install libudev (Debian: libudev1), or remove v4l2_tier from plugins.enabled.",
            dependency="libudev",
        ) from error


def _node(device: "pyudev.Device") -> DeviceNode:
    usb_device = device.find_parent("usb", "usb_device")
    parent = usb_device if usb_device is not None else device.parent
    words = device.properties.get("ID_V4L_CAPABILITIES")
    return DeviceNode(
        name=device.sys_name,
        path=Path(device.device_node),
        number=int(device.sys_number),
        incarnation=Path(device.sys_path).stat().st_ino,
        label=_attribute(device, "name"),
        index=int(_attribute(device, "index") or 0),
        physical=parent.sys_path if parent is not None else device.sys_path,
        port=device.properties.get("ID_PATH"),
        usb=_usb(usb_device, device) if usb_device is not None else None,
        udev_capabilities=None if words is None else frozenset(words.strip(":").split(":")),
    )


def _usb(usb_device: "pyudev.Device", device: "pyudev.Device") -> UsbDevice:
    interface = device.find_parent("usb", "usb_interface")
    return UsbDevice(
        vendor=_attribute(usb_device, "idVendor").lower(),
        model=_attribute(usb_device, "idProduct").lower(),
        product=_attribute(usb_device, "product"),
        serial=_attribute(usb_device, "serial"),
        interface=interface.sys_name if interface is not None else usb_device.sys_name,
    )


def _attribute(device: "pyudev.Device", name: str) -> str:
    raw: bytes = device.attributes.get(name) or b""
    return raw.decode(errors="replace").strip()
