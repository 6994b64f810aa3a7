"""The kernel's test driver: cameras with only raw formats, and errors on demand."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import anyio

from tests.vm.guest.cameras import Root, settled

__all__ = ("Injected", "LoadVivid", "Vivid", "loaded_vivid")

DEVICE = Path("/sys/devices/platform/vivid.0")
#: Create only capture nodes, and none for output, teletext or radio; and with a node for metadata, like webcams.
CAPTURE_ONLY, WITH_METADATA = "0x1", "0x20001"
LOAD_LIMIT_S = 60
Injected = Literal[
    "disconnect",
    "inject_v4l2_buf_flag_error",
    "inject_vidioc_reqbufs_error",
    "inject_vidioc_qbuf_error",
    "inject_vidioc_streamon_error",
    "inject_fatal_streaming_error",
    "percentage_of_dropped_buffers",
    "dv_timings",
    "dv_timings_signal_mode",
]


@dataclass(frozen=True, slots=True)
class Vivid:
    """Camera of vivid; all are one device in sysfs, with one by-path link and no serial number."""

    node: Path
    bus_info: str
    root: Root

    async def inject(self, what: Injected, value: int = 1) -> None:
        """Set one of the driver's controls that inject errors or stand for a source.

        After "disconnect", all calls fail, without an event, until the last program has closed the node.
        """
        await self.root.run("v4l2-ctl", "--device", str(self.node), "--set-ctrl", f"{what}={value}")

    async def hide(self) -> None:
        """Remove the node, with udev's event; an open stream is not disturbed."""
        await self.root.run("mv", str(self.node), f"/dev/.{self.node.name}")
        await self._say("remove")

    async def show(self) -> None:
        await self.root.run("mv", f"/dev/.{self.node.name}", str(self.node))
        await self._say("add")

    async def _say(self, event: str) -> None:
        (uevent,) = DEVICE.glob(f"video4linux/{self.node.name}/uevent")
        await self.root.run("sh", "-c", f"echo {event} > {uevent}; udevadm settle")


class LoadVivid(Protocol):
    def __call__(
        self,
        cameras: int = 1,
        *,
        num_inputs: int = 1,
        input_types: int = 0,
        multiplanar: int = 1,
        metadata: bool = False,
    ) -> AbstractAsyncContextManager[list[Vivid]]: ...


def loaded_vivid(root: Root) -> LoadVivid:
    """Return the loader; by default each camera has one input of type 0, like a webcam, instead of the driver's four.

    `multiplanar` is 1 for the single-planar interface, 2 for the multi-planar one. With `metadata`, each camera has a
    second node.
    """

    @asynccontextmanager
    async def load(
        cameras: int = 1,
        *,
        num_inputs: int = 1,
        input_types: int = 0,
        multiplanar: int = 1,
        metadata: bool = False,
    ) -> AsyncIterator[list[Vivid]]:
        node_types = WITH_METADATA if metadata else CAPTURE_ONLY
        each = {"node_types": node_types, "num_inputs": str(num_inputs), "input_types": str(input_types)}
        each["multiplanar"] = str(multiplanar)
        lists = [f"{name}={','.join([value] * cameras)}" for name, value in each.items()]
        await root.run("modprobe", "vivid", f"n_devs={cameras}", *lists)
        try:
            with anyio.fail_after(LOAD_LIMIT_S + 5 * cameras):
                while not settled(_folders(), count=2 * cameras if metadata else cameras):
                    await anyio.sleep(0.05)
            names = [each.name for each in _folders() if (each / "name").read_text().endswith("vid-cap\n")]
            bus = [f"platform:vivid-{number:03d}" for number in range(cameras)]
            yield [Vivid(Path("/dev", name), info, root) for name, info in zip(names, bus, strict=True)]
        finally:
            with anyio.CancelScope(shield=True):
                await root.run("rmmod", "vivid")

    return load


def _folders() -> list[Path]:
    """Return the folders in sysfs, in the order in which the driver created the nodes."""
    return sorted(DEVICE.glob("video4linux/video*"), key=lambda each: int(each.name[5:]))
