"""Inventory of the video4linux nodes, with the properties that are known without opening one."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.plugin import DependencyFailed, WorkerPool
from v4l2_tier.source.node_names import NamedDevices, find_names
from v4l2_tier.source.udev_waits import NodeKey, UdevWaits
from v4l2_tier.source.usb_strings import UsbDevice, UsbPlace, UsbReader

if TYPE_CHECKING:
    import pyudev

__all__ = ("DeviceNode", "Inventory", "ListedNode", "UsbDevice", "open_inventory", "udev_runs")

_log = logging.getLogger("camera_agent.v4l2_tier")

SUBSYSTEM = "video4linux"
_UDEV_CONTROL = Path("/run/udev/control")


def udev_runs() -> bool:
    """Return whether a udev daemon seems to run; without one, devices have no udev properties.

    Its socket may have outlived it; other users than root cannot ask.
    """
    return _UDEV_CONTROL.exists()


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """One device of the kernel, such as `video0`, and its node.

    `name` is the kernel's name; `path` is the node, which has another name in some containers. `number` is that of the
    node's name, else of the kernel's. `device_number` is what `stat` calls `st_rdev`; 0 if unknown. `is_virtual`: no
    hardware is behind it, but a program, as with `v4l2loopback`. `incarnation` is new each time that the kernel creates
    a node, even under the same name. `index` counts the nodes of one driver instance. `physical` is the same for all
    nodes of one physical device. `port` is udev's ID_PATH. `udev_capabilities` are the words of ID_V4L_CAPABILITIES
    (`capture`, ...), None if udev has set none.
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
    device_number: int = 0
    is_virtual: bool = False

    @property
    def shown_name(self) -> str:
        """Product name, or the driver's label, known without opening the device."""
        return (self.usb.product if self.usb else "") or self.label or "Camera"


@dataclass(frozen=True, slots=True)
class ListedNode:
    """Node without what its USB device tells; `usb` is None for other devices. `udev_done`: udev has nothing to add."""

    node: DeviceNode
    usb: UsbPlace | None
    udev_done: bool = True

    @property
    def key(self) -> NodeKey:
        """Key of the node while it exists."""
        return self.node.name, self.node.incarnation


class Inventory:
    """Reader of sysfs and of udev's database; it opens no device.

    `look` works in a worker thread. Call it one at a time: libudev's context is not thread-safe. USB devices are asked
    beside each other, and one that does not answer holds up no other. Nodes that udev does not finish are used without it
    after a while.

    Args:
        subsystem: the kernel's name of the kind of devices.
        folder: folder of device nodes.
        usb: reader of the strings of USB devices.
        now_s: monotonic clock, for the wait for udev.

    Raises:
        ImportError: libudev is not installed.
    """

    def __init__(
        self,
        subsystem: str = SUBSYSTEM,
        folder: Path = Path("/dev"),
        usb: UsbReader | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        import pyudev

        self._context = pyudev.Context()
        self._subsystem = subsystem
        self._folder = folder
        self._usb = usb or UsbReader()
        self._now_s = now_s
        self._udev = UdevWaits()
        self._threads = WorkerPool(1)
        self._doubts: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()

    @property
    def doubts(self) -> tuple[str, ...]:
        """Sentences about the nodes and devices of the last look that could not be brought together."""
        return tuple(sorted(self._doubts))

    @property
    def due_s(self) -> float | None:
        """Monotonic time from which a look finds a node that udev has not finished, None if none waits for udev."""
        return self._udev.due_s

    async def look(self) -> tuple[tuple[DeviceNode, ...], bool]:
        """Return the nodes by number, and whether udev or the devices themselves have yet to tell about others.

        Cancelling abandons the thread; the inventory must not be used afterwards.
        """
        every, doubts = await self._threads.run_abandonable(self.list_now)
        listed, without_udev = self._ready(every)
        strings = await self._usb.strings_of({each.usb for each in listed if each.usb is not None})
        silent = [each.node.name for each in listed if each.usb is not None and each.usb not in strings]
        unnamed = {f"The USB device of {name} does not tell its name; it is asked again." for name in silent}
        self._tell(doubts | unnamed, without_udev)
        nodes = (
            replace(each.node, usb=strings[each.usb]) if each.usb is not None else each.node
            for each in listed
            if each.usb is None or each.usb in strings
        )
        return tuple(sorted(nodes, key=lambda node: node.number)), len(listed) < len(every) or bool(silent)

    def _ready(self, every: list[ListedNode]) -> tuple[list[ListedNode], frozenset[str]]:
        """Return the nodes that do not wait for udev, and sentences about those that udev has not finished."""
        done = {each.key for each in every if each.udev_done}
        without = self._udev.look(done, {each.key for each in every} - done, self._now_s())
        return [each for each in every if each.udev_done or each.key in without], frozenset(
            f"udev has not finished with {name}, which is used without what udev knows of it, such as its port. Check"
            " that udev runs; a container needs the /run/udev of a host where it runs, or none."
            for name, _ in without
        )

    def list_now(self) -> tuple[list[ListedNode], frozenset[str]]:
        """Return the nodes and the doubts about them, in the calling thread."""
        nodes: list[ListedNode] = []
        devices = dict(self._listed())
        named = find_names({number: _node_name(each) for number, each in devices.items()}, self._folder)
        for number, path in named.paths.items():
            try:
                nodes.append(_node(devices[number], path))
            except (OSError, KeyError, LookupError, ValueError) as error:  # removed while it was read
                _log.debug("skipping a device that cannot be read: %r", error)
        return nodes, frozenset(_doubts(named, devices))

    def _listed(self) -> "Iterator[tuple[int, pyudev.Device]]":
        """Yield the kernel's devices that have a node, by device number."""
        for device in self._context.list_devices(subsystem=self._subsystem):
            try:
                if device.device_node is not None:
                    yield device.device_number, device
            except (OSError, KeyError, LookupError, ValueError) as error:  # removed since it was listed
                _log.debug("skipping a device that cannot be read: %r", error)

    def _tell(self, doubts: frozenset[str], certain: frozenset[str]) -> None:
        """Log what is certain, and what two looks in a row have found.

        A device is listed a moment before it has a node, and after.
        """
        lasting = certain | (doubts & self._doubts)
        for each in sorted(lasting - self._told):
            _log.warning("%s", each)
        self._doubts, self._told = doubts | certain, lasting


def open_inventory(now_s: Callable[[], float] = time.monotonic) -> Inventory:
    """Return an `Inventory` with the clock `now_s`.

    Raises:
        DependencyFailed: libudev is not installed.
    """
    try:
        return Inventory(now_s=now_s)
    except ImportError as error:
        raise DependencyFailed(
            "V4L2 cameras cannot be found without libudev.",
            reason="libudev_missing",
            suggestion="Install libudev (Debian: libudev1), or remove v4l2_tier from plugins.enabled.",
            dependency="libudev",
        ) from error


def _node_name(device: "pyudev.Device") -> str:
    return str(Path(device.device_node).relative_to("/dev"))


def _doubts(named: NamedDevices, devices: "dict[int, pyudev.Device]") -> Iterator[str]:
    for path, number in named.unknown:
        yield (
            f"The node {path.name} is not used: sysfs does not list its device {os.major(number)}:{os.minor(number)}."
            " Give the container the device as it is now on the host, and the host's /sys."
        )
    if named.missing and not named.paths:
        names = ", ".join(sorted(devices[number].sys_name for number in named.missing))
        yield (
            f"No video device of this machine has a node here (the kernel has {names})."
            " Give the container the devices, or start udev."
        )


def _number_of(path: Path, device: "pyudev.Device") -> int:
    told = re.fullmatch(r"video([0-9]+)", path.name)
    return int(told[1] if told else device.sys_number or os.minor(device.device_number))


def _node(device: "pyudev.Device", path: Path) -> ListedNode:
    usb_device = device.find_parent("usb", "usb_device")
    parent = usb_device if usb_device is not None else device.parent
    words = device.properties.get("ID_V4L_CAPABILITIES")
    node = DeviceNode(
        name=device.sys_name,
        path=path,
        number=_number_of(path, device),
        incarnation=Path(device.sys_path).stat().st_ino,
        label=_attribute(device, "name"),
        index=int(_attribute(device, "index") or 0),
        physical=parent.sys_path if parent is not None else device.sys_path,
        port=device.properties.get("ID_PATH"),
        usb=None,
        udev_capabilities=None if words is None else frozenset(words.strip(":").split(":")),
        device_number=device.device_number,
        is_virtual="/devices/virtual/" in device.sys_path,
    )
    return ListedNode(
        node,
        None if usb_device is None else _usb_place(usb_device, device),
        udev_done=device.is_initialized or not udev_runs(),
    )


def _usb_place(usb_device: "pyudev.Device", device: "pyudev.Device") -> UsbPlace:
    interface = device.find_parent("usb", "usb_interface")
    folder = Path(usb_device.sys_path)
    return UsbPlace(
        folder,
        interface.sys_name if interface is not None else usb_device.sys_name,
        folder.stat().st_ino,
    )


def _attribute(device: "pyudev.Device", name: str) -> str:
    raw: bytes = device.attributes.get(name) or b""
    return raw.decode(errors="replace").strip()
