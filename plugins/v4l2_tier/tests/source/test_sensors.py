"""Nodes of sensors behind the media controller: left to libcamera, and told of once per device."""

import logging
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from linuxpy.video import raw

from agent_core.plugin import FindingStatus
from v4l2_tier.checks import DeviceCheck
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.probe import NoCamera, probe_by
from v4l2_tier.device.sensor_drivers import SENSOR_DRIVERS, is_bare_sensor
from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.inventory import DeviceNode

#: V4L2_CAP_VIDEO_CAPTURE with streaming, and with V4L2_CAP_IO_MC.
CAPTURE, MEDIA_CONTROLLED = 0x04000001, 0x24000001
SIZE = FrameSize(Span(1640, 1640), Span(1232, 1232), (Intervals(Fraction(1, 30), Fraction(1, 30)),))
ENABLED = {"plugins": ("v4l2_tier", "libcamera_source")}


def offering(*codes: str, driver: str = "unicam") -> Capabilities:
    return Capabilities(
        driver, driver, "platform:fe801000.csi", tuple(PixelFormat(code, "", (SIZE,)) for code in codes)
    )


def nodes_of_one_device(make: Callable[..., DeviceNode], count: int) -> list[DeviceNode]:
    return [
        replace(make(number), usb=None, port=None, physical="/sys/devices/fe801000.csi")
        for number in range(count)
    ]


def probed(driver: str, flags: int) -> Capabilities | NoCamera:
    def answer(request: int, argument: Any, /) -> object:
        assert request == raw.IOC.QUERYCAP
        argument.driver, argument.card = driver.encode(), driver.encode()
        argument.capabilities = argument.device_caps = flags
        return argument

    return probe_by(answer)


def test_a_node_of_the_media_controller_is_a_sensors() -> None:
    found = probed("rp1-cfe", MEDIA_CONTROLLED)
    assert isinstance(found, NoCamera)
    assert (found.is_sensor, found.remarkable) == (True, True)
    assert "rp1-cfe needs setup" in found.why


@pytest.mark.parametrize("driver", ["bcm2835-isp", "pispbe", "ipu3-imgu"])
def test_an_image_processor_is_never_a_camera(driver: str) -> None:
    assert probed(driver, CAPTURE) == NoCamera("it is an image processor")


def test_each_driver_has_a_source_and_is_named_once() -> None:
    assert len({each.name for each in SENSOR_DRIVERS}) == len(SENSOR_DRIVERS)
    assert all(each.source and each.hardware for each in SENSOR_DRIVERS)


@pytest.mark.parametrize(
    ("found", "is_bare"),
    [
        (offering("pBAA", "BG10"), True),
        (offering("Y10"), True),
        (offering("UYVY"), False),  # an HDMI bridge, or a sensor that processes its values
        (offering("pBAA", "UYVY"), False),
        (
            offering("BA81", driver="uvcvideo"),
            False,
        ),  # an industrial camera on USB, which nothing else serves
    ],
)
def test_a_bare_sensor_offers_only_its_values(found: Capabilities, is_bare: bool) -> None:
    assert is_bare_sensor(found) is is_bare


async def test_a_bare_sensor_is_left_to_libcamera_where_that_is_enabled(
    watch: Callable[..., Any], node: Callable[..., DeviceNode]
) -> None:
    (sensor,) = nodes_of_one_device(node, 1)

    def prepare(devices: Any) -> None:
        devices.answers["video0"] = offering("pBAA")

    async with watch(sensor, prepare=prepare, **ENABLED) as bench:
        assert bench.report.history == []
    async with watch(sensor, prepare=prepare) as bench:
        assert bench.report.history == [("connected", "video0")]


async def test_a_bridge_on_the_same_receiver_is_a_camera_in_any_case(
    watch: Callable[..., Any], node: Callable[..., DeviceNode]
) -> None:
    (bridge,) = nodes_of_one_device(node, 1)

    def prepare(devices: Any) -> None:
        devices.answers["video0"] = offering("UYVY")

    async with watch(bridge, prepare=prepare, **ENABLED) as bench:
        assert bench.report.history == [("connected", "video0")]


@pytest.mark.parametrize(
    ("settings", "level", "words"),
    [
        ({}, logging.WARNING, "Enable the plugin libcamera_source"),
        (ENABLED, logging.INFO, "libcamera_source serves"),
    ],
)
async def test_the_plugin_is_named_once_for_a_device_of_many_nodes(
    watch: Callable[..., Any],
    node: Callable[..., DeviceNode],
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, Any],
    level: int,
    words: str,
) -> None:
    sensors = nodes_of_one_device(node, 8)

    def prepare(devices: Any) -> None:
        for each in sensors:
            devices.answers[each.name] = probed("rp1-cfe", MEDIA_CONTROLLED)

    with caplog.at_level(logging.DEBUG, "camera_agent.v4l2_tier"):
        async with watch(*sensors, prepare=prepare, **settings) as bench:
            assert bench.report.history == []
    told = [record for record in caplog.records if words in record.getMessage()]
    assert len(told) == 8
    assert [record.levelno for record in told if record.levelno > logging.DEBUG] == [level]


async def test_doctor_names_the_plugin_once_for_a_device(
    bench_parts: tuple[Any, Any], node: Callable[..., DeviceNode]
) -> None:
    devices, _ = bench_parts
    for each in nodes_of_one_device(node, 3):
        devices.plug(each)

    def ask(_: Path) -> Capabilities | NoCamera:
        return probed("unicam", MEDIA_CONTROLLED)

    _, *found = await DeviceCheck(V4l2TierSettings(), lambda: devices, ask).look()
    (sensor,) = (each for each in found if each.name.startswith("video"))
    assert sensor.status is FindingStatus.WARNING
    assert "libcamera_source" in sensor.suggestion
