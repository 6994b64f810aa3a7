"""Ids of four cameras, two of them twins without serial numbers, plugged in any order and across a reboot."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from agent_core.base.models import CameraStatus
from agent_core.testing.contracts import children
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import Root, Webcam
from tests.vm.guest.sources import Watching, watching

VGA = (FrameSize(640, 480, (10, 5)),)
LAYOUTS = {
    "a": Layout(serial="CAM-A", mjpeg=VGA, yuyv=()),
    "b": Layout(serial="CAM-B", mjpeg=VGA, yuyv=()),
    "twin1": Layout(serial=None, product="Twin", product_id=0x0103, mjpeg=VGA, yuyv=()),
    "twin2": Layout(serial=None, product="Twin", product_id=0x0103, mjpeg=VGA, yuyv=()),
}
PORTS = range(6)


@pytest.fixture
async def four() -> AsyncIterator[dict[str, Webcam]]:
    async with AsyncExitStack() as stack:
        cameras = {
            who: Webcam(layout, await stack.enter_async_context(Root.connected()))
            for who, layout in LAYOUTS.items()
        }
        yield cameras
        for camera in cameras.values():
            if camera.nodes:
                await camera.unplug()


def who_is_at(cameras: dict[str, Webcam], port: str) -> str:
    """Return the physical camera on a USB port in udev's notation, `...-usb-0:3:1.0`."""
    number = int(port.split("usb-0:")[1].split(":", maxsplit=1)[0])
    plugged = {camera.port + 1: who for who, camera in cameras.items() if camera.nodes}
    return plugged[number]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Truth:
    """Record of the physical camera that each id was first given to, by the port."""

    def __init__(self, cameras: dict[str, Webcam], seen: Watching) -> None:
        self._cameras = cameras
        self._seen = seen
        self._checked = 0
        self._done: list[tuple[float, str]] = []
        self.owners: dict[str, str] = {}
        self.certain = self.ambiguous = 0

    def check(self) -> None:
        """Check the events since the last call; call before anything else is plugged in."""
        for said in self._seen.said[self._checked :]:
            if said.topic != "camera.connected":
                continue
            port = said.camera.detected.fingerprint.port or ""
            assert "usb-0:" in port, f"{said.camera.id} is on no port:\n{self._story()}"
            who = who_is_at(self._cameras, port)
            self.owners.setdefault(said.camera.id, who)
            first = next(id_ for id_, owner in self.owners.items() if owner == who)
            self.certain += not said.camera.ambiguous
            self.ambiguous += said.camera.ambiguous
            assert said.camera.ambiguous or said.camera.id == first, (
                f"{said.camera.id} was said to be certain, and {who} is {first}:\n{self._story()}"
            )
        self._checked = len(self._seen.said)

    def done(self, what: str) -> None:
        """Record the next action on a camera, to explain a failure."""
        self._done.append((self._seen.clock.monotonic_s(), what))

    def _story(self) -> str:
        told = [
            (
                each.at_s,
                f"  {each.topic} {each.camera.id} {each.camera.detected.fingerprint} {each.camera.problem}",
            )
            for each in self._seen.said
        ]
        return "\n".join(f"{at_s:.3f} {line}" for at_s, line in sorted([*self._done, *told])[-40:])


async def cycles(count: int, four: dict[str, Webcam]) -> None:
    chance = Random(os.environ.get("VM_SEED", "1"))
    async with watching() as seen:
        truth = Truth(four, seen)
        before = descriptors()
        highest = 0
        for _ in range(count):
            who = chance.choice(sorted(four))
            camera = four[who]
            if camera.nodes:
                truth.done(f"unplug {who}")
                await camera.unplug()
            else:
                taken = {each.port for each in four.values() if each.nodes}
                port = chance.choice([port for port in PORTS if port not in taken])
                truth.done(f"plug {who} into port {port}")
                await camera.plug(port)
            plugged = sum(bool(each.nodes) for each in four.values())
            await seen.until_connected(plugged)
            truth.check()
            highest = max(highest, descriptors() - before - 2 * plugged)
        for camera in four.values():
            if camera.nodes:
                await camera.unplug()
        await seen.until_connected(0)
        print(f"{count} cycles: {truth.certain} certain, {truth.ambiguous} not")  # noqa: T201 - what happened
        for who in ("a", "b"):
            assert list(truth.owners.values()).count(who) == 1
        assert truth.certain > count // 5
    assert descriptors() <= before
    assert highest <= 2
    assert not children()


async def test_no_wrong_id_is_certain_in_30_cycles(four: dict[str, Webcam]) -> None:
    await cycles(30, four)


@pytest.mark.release
@pytest.mark.timeout(1700)
async def test_no_wrong_id_is_certain_in_300_cycles(four: dict[str, Webcam]) -> None:
    await cycles(300, four)


async def test_before_the_reboot(four: dict[str, Webcam], kept: Path) -> None:
    async with watching(kept / "cameras.json") as seen:
        for port, who in enumerate(("a", "b", "twin1", "twin2")):
            await four[who].plug(port)
            await seen.until_connected(port + 1)
        ids = {
            who_is_at(four, camera.detected.fingerprint.port or ""): camera.id
            for camera in seen.registry.list()
        }
        assert not any(camera.ambiguous for camera in seen.registry.list())
    (kept / "ids.json").write_text(json.dumps(ids))


@pytest.mark.after_reboot
async def test_after_a_reboot_in_another_order_the_ids_are_the_same(
    four: dict[str, Webcam], kept: Path
) -> None:
    """The cameras with serials are swapped, the twins keep their ports, and the nodes have new numbers."""
    ids = json.loads((kept / "ids.json").read_text())
    for port, who in ((3, "twin2"), (0, "b"), (2, "twin1"), (1, "a")):
        await four[who].plug(port)
    async with watching(kept / "cameras.json") as seen:
        found = {
            who_is_at(four, camera.detected.fingerprint.port or ""): camera
            for camera in await seen.until_connected(4)
        }
    assert {who: camera.id for who, camera in found.items()} == ids
    assert {who: (camera.moved, camera.ambiguous) for who, camera in found.items()} == {
        "a": (True, False),
        "b": (True, False),
        "twin1": (False, True),
        "twin2": (False, True),
    }
    assert [camera.detected.number_hint for camera in found.values()] != [0, 2, 4, 6]
    assert all(camera.status is CameraStatus.CONNECTED for camera in found.values())
