"""Simulated webcams for tests, plugged in for the duration of an `async with`."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.cameras.payloads import Fault
from tests.vm.cameras.pictures import units
from tests.vm.cameras.webcam import SentFrame

__all__ = ("DAEMON", "PlugWebcam", "Root", "Webcam", "settled")

DAEMON = Path("/run/vm-cameras.sock")
HUB = Path("/sys/devices/platform/vhci_hcd.0/usb1")
UDEV_DATABASE = Path("/run/udev/data")
#: Longest time from plugging in to the nodes, on an emulated processor on a busy host.
PLUG_LIMIT_S = 60
LONGEST_ANSWER_BYTES = 1 << 24


class Root:
    """Connection to the program that runs as root."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._received = BufferedByteReceiveStream(stream)
        self._lock = anyio.Lock()

    @classmethod
    @asynccontextmanager
    async def connected(cls) -> AsyncIterator[Self]:
        with anyio.fail_after(PLUG_LIMIT_S):
            while not DAEMON.exists():
                await anyio.sleep(0.1)
            stream = await anyio.connect_unix(DAEMON)
        async with stream:
            yield cls(stream)

    async def aclose(self) -> None:
        """Close the connection, which unplugs its camera."""
        await self._stream.aclose()

    async def ask(self, **request: object) -> dict[str, Any]:
        async with self._lock:
            await self._stream.send(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(
                await self._received.receive_until(b"\n", LONGEST_ANSWER_BYTES)
            )
        if "error" in answer:
            raise OSError(answer["error"])
        return answer

    async def run(self, *argv: str) -> str:
        """Run a command as root and return its output; fail if its exit status is not 0."""
        answer = await self.ask(do="run", argv=argv)
        assert answer["status"] == 0, answer["output"]
        return str(answer["output"])


@dataclass(slots=True)
class Webcam:
    """Simulated USB webcam; while plugged in, `node` is its capture node and `metadata_node` the other one.

    With a second video function, `nodes` has two more.
    """

    layout: Layout
    root: Root
    port: int = -1
    nodes: tuple[Path, ...] = ()

    @property
    def node(self) -> Path:
        return self.nodes[0]

    @property
    def metadata_node(self) -> Path:
        return self.nodes[1]

    async def plug(self, port: int | None = None) -> None:
        """Plug into `port`, else into the lowest free one; wait until udev has processed the camera."""
        answer = await self.root.ask(do="plug", layout=self.layout.to_json(), port=port)
        self.port = answer["port"]
        with anyio.fail_after(PLUG_LIMIT_S):
            while not settled(self._nodes(), count=2 * len(self.layout.functions)):
                await anyio.sleep(0.05)
        # The kernel makes the capture node of each function before the other one.
        by_number = sorted(self._nodes(), key=lambda each: int(each.name.removeprefix("video")))
        self.nodes = tuple(Path("/dev", each.name) for each in by_number)

    async def unplug(self) -> None:
        """Unplug the camera; wait until its nodes are gone."""
        await self.root.ask(do="unplug")
        with anyio.fail_after(PLUG_LIMIT_S):
            while self.device.exists() or any(node.exists() for node in self.nodes):
                await anyio.sleep(0.02)
        self.nodes = ()

    @property
    def device(self) -> Path:
        """Folder of the device in sysfs."""
        return HUB / f"1-{self.port + 1}"

    def _nodes(self) -> list[Path]:
        return list(self.device.glob("*/video4linux/video*"))

    async def set_fault(self, fault: Fault | None, function: int | None = None) -> None:
        """Set the fault of one video function, or of all."""
        await self.root.ask(do="fault", fault=fault, function=function)

    async def sent(self) -> list[SentFrame]:
        """Return the last 5000 sent pictures, oldest first."""
        return [SentFrame(**each) for each in (await self.root.ask(do="state"))["sent"]]

    async def controls(self) -> dict[str, int]:
        """Return the values in the camera itself."""
        return dict((await self.root.ask(do="state"))["controls"])

    async def control_history(self) -> list[tuple[str, int]]:
        """Return the controls and values set since the camera was plugged in, in order.

        Linux 6.12 itself first tries the power line frequencies.
        """
        return [(name, value) for name, value in (await self.root.ask(do="state"))["history"]]

    def pictures(self, size: FrameSize) -> list[bytes]:
        """Return the files sent in this size; frame `index` is the file at `index` modulo their count."""
        folder = Path(self.layout.frames) / f"{size.width}x{size.height}"
        return [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]

    def units(self, code: str, size: FrameSize) -> list[bytes]:
        """Return the access units of coded video in this size; `unit_number` tells which one a picture is."""
        return units(Path(self.layout.frames), code, size.width, size.height)


class PlugWebcam(Protocol):
    def __call__(
        self, layout: Layout = ..., *, port: int | None = None
    ) -> AbstractAsyncContextManager[Webcam]: ...


def settled(nodes: Iterable[Path], *, count: int) -> bool:
    """Return whether there are `count` nodes (folders of sysfs) and udev has processed them."""
    try:
        numbers = [(each / "dev").read_text().strip() for each in nodes]
    except FileNotFoundError:  # the kernel creates the folder before its files
        return False
    return len(numbers) == count and all(_initialized(number) for number in numbers)


def _initialized(number: str) -> bool:
    try:
        return "I:" in (UDEV_DATABASE / f"c{number}").read_text()
    except FileNotFoundError:
        return False
