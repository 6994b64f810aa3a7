"""Reader of the strings of USB devices from sysfs, beside each other and within a bound.

The kernel takes a USB device's lock to show them, so a device that hangs in its own probe blocks its reader: it must
not hold up the other cameras.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from agent_core.plugin import WorkerPool

__all__ = ("UsbDevice", "UsbPlace", "UsbReader")

#: Time for the answer of all devices at one look. sysfs answers within milliseconds, if at all.
_ANSWER_S = 1.0


@dataclass(frozen=True, slots=True)
class UsbPlace:
    """One connection of a USB device.

    `folder` is the device's in sysfs, `interface` the kernel's name of the video node's interface, such as `1-4.2:1.0`.
    `incarnation` is new each time that the kernel creates the device, even at the same port.
    """

    folder: Path
    interface: str
    incarnation: int


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


class UsbReader:
    """Reader that remembers what connected devices have answered.

    Args:
        read: reads one place; called in a thread.
        answer_s: time for all answers of one `strings_of`.
    """

    def __init__(
        self, read: "Callable[[UsbPlace], UsbDevice] | None" = None, answer_s: float = _ANSWER_S
    ) -> None:
        self._read = read or _read
        self._answer_s = answer_s
        self._known: dict[UsbPlace, UsbDevice] = {}
        #: A pool for each device that has not answered: its thread may hang for as long as it is connected.
        self._asked: dict[UsbPlace, WorkerPool] = {}

    async def strings_of(self, places: Collection[UsbPlace]) -> Mapping[UsbPlace, UsbDevice]:
        """Return the strings of the devices that have answered in time, now or before.

        A device that has gone before it answered is missing, too. Places that are not asked for are forgotten.
        """
        self._known = {place: device for place, device in self._known.items() if place in places}
        self._asked = {
            place: self._asked.get(place) or WorkerPool(1) for place in places if place not in self._known
        }
        with anyio.move_on_after(self._answer_s):
            async with anyio.create_task_group() as tg:
                for place, threads in self._asked.items():
                    if not threads.running:
                        tg.start_soon(self._ask, place, threads)
        return dict(self._known)

    async def _ask(self, place: UsbPlace, threads: WorkerPool) -> None:
        try:
            self._known[place] = await threads.run_abandonable(self._read, place)
        except OSError:  # removed since it was listed
            return


def _read(place: UsbPlace) -> UsbDevice:
    return UsbDevice(
        vendor=_string(place, "idVendor").lower(),
        model=_string(place, "idProduct").lower(),
        product=_string(place, "product"),
        serial=_string(place, "serial"),
        interface=place.interface,
    )


def _string(place: UsbPlace, name: str) -> str:
    """Return a string of the device, empty if it has none."""
    try:
        return (place.folder / name).read_bytes().decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
