"""USB cameras with one node for pictures and another for coded video."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from agent_core.plugin import CaptureFailed, ControlChange, VideoCodec
from agent_core.testing.scripted_producer import a_jpeg
from v4l2_tier.device.capabilities import Capabilities, PixelFormat
from v4l2_tier.device.probe import NoCamera
from v4l2_tier.source.inventory import DeviceNode

Make = Callable[..., DeviceNode]
Watch = Callable[..., AbstractAsyncContextManager[Any]]
HERE, BROKEN, GONE, GIVEN_UP = "connected", "failed", "disconnected", "removed"


@pytest.fixture
def nodes(node: Make) -> tuple[DeviceNode, DeviceNode]:
    """Return the nodes of one device: of its first function and of its second."""
    first, second = node(0), node(2)
    assert second.usb is not None
    return first, replace(second, usb=replace(second.usb, interface="1-1:1.2"))


@pytest.fixture
def prepare(capabilities: Capabilities) -> Callable[[Any], None]:
    """Let the second node offer H.264."""
    sizes = capabilities.formats[0].sizes

    def set_answers(devices: Any) -> None:
        devices.answers["video2"] = replace(
            capabilities, formats=(PixelFormat("H264", "H.264", sizes),), controls=()
        )

    return set_answers


def kind(camera: Any) -> tuple[VideoCodec, bool, bool]:
    """Return the coding of the stream, and if there are JPEGs for snapshots and a device behind the stream."""
    return camera.media_input.codec, camera.frames is not None, camera.device is not None


JOINED = (VideoCodec.H264, True, False)


async def test_both_nodes_are_one_camera_with_the_identity_of_the_one_with_pictures(
    watch: Watch, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    async with watch(*nodes, prepare=prepare) as bench:
        await bench.report.until((HERE, "video0"), (HERE, "video0"))
        camera = bench.report.cameras["video0"]
        assert set(bench.report.cameras) == {"video0"}
        assert kind(camera) == JOINED
        assert [mode.format for mode in camera.modes] == ["MJPG", "H264"]
        assert camera.fingerprint.serial == "1d6b:0102:CAM-A"
        assert camera.tracks == ("H264",)
        assert camera.panel is not None
        assert camera.controls[0].name == "brightness"


async def test_nodes_are_apart_if_configured_so_with_identities_of_their_own(
    watch: Watch, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    async with watch(*nodes, prepare=prepare, join_nodes=False) as bench:
        first, second = bench.report.cameras["video0"], bench.report.cameras["video2"]
        assert kind(first) == (VideoCodec.MJPEG, True, False)
        assert kind(second) == (VideoCodec.H264, False, True)
        assert (first.fingerprint.serial, second.fingerprint.serial) == (
            "1d6b:0102:CAM-A",
            "1d6b:0102:CAM-A#2",
        )


async def test_nodes_of_two_devices_or_with_pictures_both_are_not_joined(
    watch: Watch, node: Make, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    async with watch(node(0), node(2, serial="CAM-B", port=2), prepare=prepare) as bench:
        assert set(bench.report.cameras) == {"video0", "video2"}
    async with watch(*nodes) as bench:
        assert set(bench.report.cameras) == {"video0", "video2"}


async def test_coded_video_waits_for_the_node_with_pictures_when_it_is_plugged_first(
    watch: Watch, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    async with watch(prepare=prepare, settle_s=0.3) as bench:
        bench.devices.plug(nodes[1])
        await bench.clock.advance(0.2)
        bench.devices.plug(nodes[0])
        await bench.clock.advance(0.15)
        await probed(bench, "video2")
        assert bench.report.history == []
        await bench.clock.advance(0.3)
        await bench.report.until((HERE, "video0"))
        assert kind(bench.report.cameras["video0"]) == JOINED
        await bench.clock.advance(20)
        assert bench.report.history == [(HERE, "video0")]


async def probed(bench: Any, name: str) -> None:
    with anyio.fail_after(20):
        while name not in bench.devices.probes:
            await anyio.sleep(0.001)
    await anyio.wait_all_tasks_blocked()


async def test_a_disabled_node_with_pictures_leaves_the_coded_video_as_a_camera(
    watch: Watch, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    port = nodes[0].port
    assert port is not None
    other = replace(nodes[1], port=port.replace(":1.0", ":1.2"))
    table = {"match": port, "enabled": False}
    async with watch(nodes[0], other, prepare=prepare, cameras=[table]) as bench:
        await bench.report.until((HERE, "video2"))
        assert kind(bench.report.cameras["video2"]) == (VideoCodec.H264, False, True)


async def test_coded_video_waits_for_no_node_of_metadata_where_udev_tells_nothing(
    watch: Watch, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    coded, metadata = (
        replace(nodes[1], name=name, index=index, udev_capabilities=None)
        for index, name in enumerate(("video2", "video3"))
    )
    metadata = replace(metadata, path=metadata.path.with_name("video3"), number=3)

    def no_camera(devices: Any) -> None:
        prepare(devices)
        devices.answers["video3"] = NoCamera("it does not capture video")

    async with watch(coded, metadata, prepare=no_camera) as bench:
        await bench.report.until((HERE, "video2"))
        await bench.clock.advance(20)
        assert bench.report.history == [(HERE, "video2")]


async def test_unplugging_ends_the_camera_once_and_replugging_brings_it_back(
    watch: Watch, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    async with watch(*nodes, prepare=prepare) as bench:
        await bench.report.until((HERE, "video0"), (HERE, "video0"))
        for name in ("video0", "video2"):
            bench.devices.unplug(name)
        await bench.report.until((HERE, "video0"), (HERE, "video0"), (GONE, "video0"))
        await bench.clock.advance(20)
        assert len(bench.report.history) == 3
        for each in nodes:
            bench.devices.plug(replace(each, incarnation=2))
        await bench.clock.advance(0.4)
        await bench.report.wait_count(4)
        await until(bench, JOINED)
        assert {name for _, name in bench.report.history} == {"video0"}


async def until(bench: Any, wanted: tuple[VideoCodec, bool, bool]) -> None:
    with anyio.fail_after(20):
        while kind(bench.report.cameras["video0"]) != wanted:
            await anyio.sleep(0.001)


async def fail(bench: Any, name: str, reader: Any) -> None:
    """Let a node's device fail while `reader` wants its frames."""
    producer = bench.devices.producers[name]
    producer.park_error = CaptureFailed("The camera stopped.", reason="camera_stopped", suggestion="Wait.")
    with pytest.raises(CaptureFailed):
        await reader.fresh(bench.clock.monotonic_s())


async def test_if_the_node_with_coded_video_fails_the_camera_streams_its_pictures(
    watch: Watch,
    nodes: tuple[DeviceNode, DeviceNode],
    prepare: Callable[[Any], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watch(*nodes, prepare=prepare) as bench:
        await until(bench, JOINED)
        await bench.report.cameras["video0"].panel.change(ControlChange({"brightness": 9}))
        producer = bench.devices.producers["video2"]
        producer.park_error = CaptureFailed("It stopped.", reason="camera_stopped", suggestion="Wait.")
        socket = bench.report.cameras["video0"].media_input.path
        async with await anyio.connect_unix(socket):
            await until(bench, (VideoCodec.MJPEG, True, False))
        assert bench.report.cameras["video0"].controls[0].value == 9
        assert BROKEN not in [event for event, _ in bench.report.history]
    assert "It stopped." in caplog.text
    assert "it streams what its other node delivers" in caplog.text


async def test_if_the_node_with_pictures_fails_the_camera_goes_on_with_coded_video(
    watch: Watch,
    nodes: tuple[DeviceNode, DeviceNode],
    prepare: Callable[[Any], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watch(*nodes, prepare=prepare) as bench:
        await until(bench, JOINED)
        frames = bench.report.cameras["video0"].frames
        await fail(bench, "video0", frames)
        await until(bench, (VideoCodec.H264, False, True))
        assert BROKEN not in [event for event, _ in bench.report.history]
        async with anyio.create_task_group() as tg:
            await bench.clock.advance(1)
            tg.start_soon(frames.fresh, bench.clock.monotonic_s() - 1)
            await bench.devices.producers["video0"].until_streaming()
            bench.devices.producers["video0"].sink.offer(a_jpeg(640, 480))
        await until(bench, JOINED)
    assert "snapshots are taken from its coded video" in caplog.text


async def test_coded_video_that_failed_as_a_part_is_described_when_it_is_a_camera_of_its_own(
    watch: Watch, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    """The core does not know it by itself, and its last report did not describe it."""
    async with watch(*nodes, prepare=prepare) as bench:
        await until(bench, JOINED)
        producer = bench.devices.producers["video2"]
        producer.park_error = CaptureFailed("It stopped.", reason="camera_stopped", suggestion="Wait.")
        async with await anyio.connect_unix(bench.report.cameras["video0"].media_input.path):
            await until(bench, (VideoCodec.MJPEG, True, False))
        before = len(bench.report.history)
        bench.devices.unplug("video0")
        await bench.report.wait_count(before + 1)
        await bench.clock.advance(8.5)
        assert bench.report.history[before:] == [(GONE, "video0"), (BROKEN, "video2")]
        assert kind(bench.report.cameras["video2"]) == (VideoCodec.H264, False, True)


async def test_coded_video_does_not_wait_for_a_node_that_was_gone_before_it_was_used(
    watch: Watch, nodes: tuple[DeviceNode, DeviceNode], prepare: Callable[[Any], None]
) -> None:
    async with watch(prepare=prepare, settle_s=0.3) as bench:
        bench.devices.plug(nodes[0])
        await bench.clock.advance(0.1)
        bench.devices.unplug("video0")
        await bench.clock.advance(0.1)
        bench.devices.plug(nodes[1])
        await bench.clock.advance(0.4)
        await probed(bench, "video2")
        await bench.report.until((HERE, "video2"))
