"""Nodes become cameras and disappear; the devices are simulated, the core's parts are real."""

import errno
import os
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.plugin import CaptureFailed, FrameSocket
from agent_core.testing.scripted_producer import a_jpeg
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.source.hotplug.watcher import NodeChanges
from v4l2_tier.source.inventory import DeviceNode

Make = Callable[..., DeviceNode]
#: The fixture `watch` of conftest.py.
Watch = Callable[..., AbstractAsyncContextManager[Any]]
JPEG = a_jpeg(640, 480)
GONE, HERE, BROKEN = "disconnected", "connected", "failed"


async def test_the_inventory_is_reported_in_the_order_of_the_numbers(watch: Watch, node: Make) -> None:
    async with watch(node(10, serial="CAM-B", port=2), node(2)) as bench:
        assert bench.report.history == [(HERE, "video2"), (HERE, "video10")]
        camera = bench.report.cameras["video2"]
    assert (camera.name, camera.number_hint, camera.configured_id) == ("Sim Cam", 2, None)
    assert (camera.resolution, camera.fps) == ((640, 480), 30.0)
    assert camera.fingerprint.serial == "1d6b:0102:CAM-A"
    assert isinstance(camera.media_input, FrameSocket)
    assert "/dev/" not in repr(camera)


async def test_the_end_of_the_agent_is_no_unplugging(watch: Watch, node: Make) -> None:
    async with watch(node()) as bench:
        socket = bench.report.cameras["video0"].media_input.path
        assert socket.is_socket()
    assert bench.report.history == [(HERE, "video0")]
    assert not socket.exists()


async def test_without_devices_nothing_runs_but_the_slow_look(watch: Watch) -> None:
    async with watch(reconcile_s=30) as bench:
        looks = bench.devices.looks
        await bench.clock.advance(91)
        assert bench.devices.looks == looks + 3
        assert set(bench.clock.sleeps) == {30.0}


async def test_a_plugged_camera_is_reported_when_it_has_settled(watch: Watch, node: Make) -> None:
    async with watch(settle_s=0.5) as bench:
        bench.devices.plug(node())
        await bench.clock.advance(0.4)
        assert bench.devices.probes == []
        await bench.clock.advance(0.1)
        await bench.report.until((HERE, "video0"))


async def test_an_unplugged_one_is_gone_at_once(watch: Watch, node: Make) -> None:
    async with watch(node()) as bench:
        socket = bench.report.cameras["video0"].media_input.path
        bench.devices.unplug("video0")
        await bench.report.until((HERE, "video0"), (GONE, "video0"))
        assert bench.report.reasons[-1] == "The camera was unplugged."
        while socket.exists():
            await anyio.sleep(0.01)


async def test_a_lost_event_costs_time_only(watch: Watch, node: Make) -> None:
    async with watch(node(0), reconcile_s=30) as bench:
        bench.devices.unplug("video0", told=False)
        bench.devices.plug(node(1, serial="CAM-B", port=2), told=False)
        await bench.clock.advance(31)
        await bench.report.until((HERE, "video0"), (GONE, "video0"), (HERE, "video1"))


async def test_another_device_under_the_same_name_is_noticed(watch: Watch, node: Make) -> None:
    """Even without an event: twins must not be mistaken for each other."""
    async with watch(node()) as bench:
        bench.devices.plug(node(incarnation=2, serial="CAM-B"), told=False)
        bench.devices.tell(NodeChanges())
        await bench.report.until((HERE, "video0"), (GONE, "video0"))
        await bench.clock.advance(0.3)
        await bench.report.until((HERE, "video0"), (GONE, "video0"), (HERE, "video0"))
        assert bench.report.cameras["video0"].fingerprint.serial == "1d6b:0102:CAM-B"


async def test_a_camera_that_comes_back_has_its_socket_again(watch: Watch, node: Make) -> None:
    async with watch(node()) as bench:
        socket = bench.report.cameras["video0"].media_input.path
        bench.devices.plug(node(incarnation=2))  # a flap: gone and back between two looks
        await bench.clock.advance(1)
        await bench.report.until((HERE, "video0"), (GONE, "video0"), (HERE, "video0"))
        assert bench.report.cameras["video0"].media_input.path == socket
        assert socket.is_socket()


async def test_a_camera_whose_format_was_changed_is_reported_with_its_new_size(
    watch: Watch, node: Make
) -> None:
    async with watch(node()) as bench:
        before = bench.report.cameras["video0"]
        bench.devices.on_mode["video0"](ChosenMode("YUYV", 320, 240, Fraction(1, 5)))
        await bench.report.until((HERE, "video0"), (HERE, "video0"))
        camera = bench.report.cameras["video0"]
    assert (before.resolution, before.fps) == ((640, 480), 30)
    assert (camera.resolution, camera.fps) == ((320, 240), 5)
    assert camera.media_input == FrameSocket(before.media_input.path, 320, 240, 5)
    assert camera.frames is before.frames


async def test_cameras_that_are_equal_but_for_the_port_have_their_own_sockets(
    watch: Watch, node: Make
) -> None:
    async with watch(node(0, port=1), node(1, port=2)) as bench:
        paths = {camera.media_input.path for camera in bench.report.cameras.values()}
    assert len(paths) == 2


@pytest.mark.parametrize("remarkable", [False, True])
async def test_what_is_no_camera_is_not_reported(
    watch: Watch, node: Make, caplog: pytest.LogCaptureFixture, remarkable: bool
) -> None:
    def prepare(devices: Any) -> None:
        devices.answers["video1"] = NoCamera("several planes", remarkable)

    async with watch(node(0), node(1, port=2), prepare=prepare) as bench:
        assert bench.report.history == [(HERE, "video0")]
        bench.devices.unplug("video1")
        await bench.clock.advance(1)
        assert bench.report.history == [(HERE, "video0")]
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warned == (["video1 is not a camera: several planes"] if remarkable else [])


async def test_a_probe_that_fails_is_shown_and_repeated_with_growing_pauses(watch: Watch, node: Make) -> None:
    def prepare(devices: Any) -> None:
        devices.answers["video0"] = OSError(errno.EACCES, os.strerror(errno.EACCES))

    async with watch(node(), prepare=prepare) as bench:
        assert bench.report.history == [(BROKEN, "video0")]
        assert "group `video`" in bench.report.reasons[0]
        known = bench.report.cameras["video0"]
        assert (known.fingerprint.serial, known.number_hint) == ("1d6b:0102:CAM-A", 0)
        for pause_s, count in ((1, 2), (2, 3), (4, 4)):
            await bench.clock.advance(pause_s)
            await bench.report.until(*[(BROKEN, "video0")] * count)
            assert len(bench.devices.probes) == count
        del bench.devices.answers["video0"]
        await bench.clock.advance(8)
        await bench.report.until(*[(BROKEN, "video0")] * 4, (HERE, "video0"))


@pytest.mark.parametrize(
    "change", [{"usb": None}, {"udev_capabilities": None}, {"udev_capabilities": frozenset()}]
)
async def test_what_may_be_no_camera_is_not_shown_before_it_has_answered(
    watch: Watch, node: Make, change: dict[str, object]
) -> None:
    def prepare(devices: Any) -> None:
        devices.answers["video0"] = OSError(errno.EACCES, os.strerror(errno.EACCES))

    async with watch(replace(node(), **change), prepare=prepare) as bench:  # type: ignore[arg-type]
        assert bench.report.history == []


async def test_a_slow_answer_is_waited_for_and_shown_as_missing_meanwhile(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    answer = threading.Event()

    async with watch() as bench:

        def slowly(path: Path) -> Capabilities:
            bench.devices.probes.append(path.name)
            answer.wait(20)
            return capabilities

        bench.devices.slow = slowly
        bench.devices.plug(node())
        await bench.clock.advance(7)
        await bench.report.until((BROKEN, "video0"))
        assert "did not answer for 6 s" in bench.report.reasons[0]
        answer.set()
        await bench.report.until((BROKEN, "video0"), (HERE, "video0"))
        assert bench.devices.probes == ["video0"]


async def test_one_that_went_while_it_was_asked_is_not_shown(watch: Watch, node: Make) -> None:
    def prepare(devices: Any) -> None:
        devices.answers["video0"] = OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    async with watch(node(), prepare=prepare) as bench:
        assert bench.report.history == []


async def test_a_node_that_opens_another_device_than_the_listed_one_is_not_used(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    def prepare(devices: Any) -> None:
        devices.answers["video0"] = replace(capabilities, device_number=0x5100)

    listed = replace(node(), device_number=0x5102)
    async with watch(listed, prepare=prepare) as bench:
        assert bench.report.history == [(BROKEN, "video0")]
        assert "Another device" in bench.report.reasons[0]
        bench.devices.answers["video0"] = replace(capabilities, device_number=0x5102)
        await bench.clock.advance(1)
        await bench.report.until((BROKEN, "video0"), (HERE, "video0"))


async def test_one_that_offers_nothing_usable_is_shown_with_what_it_offers(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    def prepare(devices: Any) -> None:
        formats = tuple(replace(each, code="Z16") for each in capabilities.formats)
        devices.answers["video0"] = replace(capabilities, formats=formats)

    async with watch(node(), prepare=prepare) as bench:
        assert bench.report.history == [(BROKEN, "video0")]
        assert "Z16" in bench.report.reasons[0]
        bench.devices.unplug("video0")
        await bench.report.until((BROKEN, "video0"), (GONE, "video0"))


async def test_a_mistake_of_ours_costs_one_camera_and_is_tried_again(watch: Watch, node: Make) -> None:
    def prepare(devices: Any) -> None:
        devices.answers["video0"] = replace(node(), usb=None)

    async with watch(node(0), node(1, serial="CAM-B", port=2), prepare=prepare) as bench:
        assert bench.report.history == [(BROKEN, "video0"), (HERE, "video1")]
        del bench.devices.answers["video0"]
        await bench.clock.advance(1)
        await bench.report.until((BROKEN, "video0"), (HERE, "video1"), (HERE, "video0"))


async def test_a_mistake_of_ours_at_a_metadata_node_makes_it_no_camera(watch: Watch, node: Make) -> None:
    def prepare(devices: Any) -> None:
        devices.answers["video1"] = "nothing that a probe returns"

    metadata = replace(node(1), udev_capabilities=frozenset({""}))
    async with watch(node(0), metadata, prepare=prepare) as bench:
        assert bench.report.history == [(HERE, "video0")]


async def test_disabled_cameras_are_not_even_opened(watch: Watch, node: Make) -> None:
    tables = [{"match": "CAM-A", "enabled": False}]
    async with watch(node(0), node(1, serial="CAM-B", port=2), cameras=tables) as bench:
        assert bench.report.history == [(HERE, "video1")]
        assert bench.devices.probes == ["video1"]


async def test_settings_of_a_camera_are_its_own(watch: Watch, node: Make) -> None:
    tables = [{"match": "CAM-A", "id": "camera7"}]
    async with watch(node(0), node(1, serial="CAM-B", port=2), cameras=tables) as bench:
        assert [bench.report.cameras[f"video{n}"].configured_id for n in (0, 1)] == ["camera7", None]


async def test_a_cold_camera_is_opened_for_the_probe_only(watch: Watch, node: Make) -> None:
    async with watch(node()) as bench:
        await bench.clock.advance(600)
        assert bench.devices.probes == ["video0"]
        assert bench.devices.producers["video0"].calls == []


async def test_it_is_failed_while_it_does_not_deliver_and_connected_again_after(
    watch: Watch, node: Make
) -> None:
    async with watch(node()) as bench, anyio.create_task_group() as tg:
        camera, producer = bench.report.cameras["video0"], bench.devices.producers["video0"]

        async def ask() -> None:
            with pytest.raises(CaptureFailed):
                await camera.frames.fresh(bench.clock.monotonic_s())

        tg.start_soon(ask)
        await producer.until_streaming()
        producer.end(CaptureFailed("No picture for 4 s.", reason="camera_stalled", suggestion="Wait."))
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"))
        assert bench.report.reasons[-1] == "No picture for 4 s. Wait."
        await bench.clock.advance(5)
        tg.start_soon(camera.frames.after, 0)
        (await producer.until_streaming()).offer(JPEG)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"), (HERE, "video0"))


async def test_it_is_tried_again_without_anybody_asking_ever_less_often(watch: Watch, node: Make) -> None:
    async with watch(node()) as bench, anyio.create_task_group() as tg:
        camera, producer = bench.report.cameras["video0"], bench.devices.producers["video0"]

        async def ask() -> None:
            with pytest.raises(CaptureFailed):
                await camera.frames.fresh(bench.clock.monotonic_s())

        producer.park_error = CaptureFailed("Held.", reason="device_busy", suggestion="Wait.")
        tg.start_soon(ask)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"))
        for pause_s in (10, 20, 40):
            producer.park_error = CaptureFailed("Held.", reason="device_busy", suggestion="Wait.")
            parks = producer.calls.count("park")
            await bench.clock.advance(pause_s - 1)
            assert producer.calls.count("park") == parks
            await bench.clock.advance(1)
            assert producer.calls.count("park") == parks + 1
        await bench.clock.advance(80)
        producer.sink.offer(JPEG)
        await bench.report.until((HERE, "video0"), (BROKEN, "video0"), (HERE, "video0"))


async def test_while_udev_is_not_done_it_is_asked_again_ever_less_often(watch: Watch, node: Make) -> None:
    async with watch(reconcile_s=30) as bench:
        bench.devices.waiting = True
        bench.devices.tell(NodeChanges())
        await bench.clock.advance(60)
        assert bench.devices.looks < 15
        bench.devices.waiting = False
        bench.devices.plug(node())
        await bench.clock.advance(1)
        await bench.report.until((HERE, "video0"))


async def test_the_events_of_another_device_with_the_name_of_the_node_end_no_camera(
    watch: Watch, node: Make
) -> None:
    """As in a container with the host's video2 as its /dev/video0."""
    async with watch(replace(node(2), path=node(0).path)) as bench:
        await bench.report.until((HERE, "video2"))
        bench.devices.tell(NodeChanges(removed=frozenset({"video0"}), touched=frozenset({"video0"})))
        await bench.clock.advance(1)
        assert bench.devices.probes == ["video0"]  # by the node's name
        bench.devices.tell(NodeChanges(removed=frozenset({"video2"})))
        await bench.report.until((HERE, "video2"), (GONE, "video2"))
