"""Fingerprints of cameras."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent_core.plugin import Fingerprint
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.source.fingerprint import fingerprint, own_serial
from v4l2_tier.source.inventory import DeviceNode

Make = Callable[..., DeviceNode]


@pytest.mark.parametrize(
    "text",
    [
        "CAM-A",
        "5F3A1B2C",
        "00000000B0E1D2C3",
        "A1B2C3D4",
        "2021B0123",
        "E1F2-09",
        " 5F3A1B2C ",
        "20210312042",
        "20219912",
        "12345679",
        "0x00A1B2",
        "WebCam-7A31",
    ],
)
def test_what_may_be_one_units_own(text: str) -> None:
    assert own_serial(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1", "123", "0000", "00000000", "FFFFFFFF", "0001", "00000001", "SN0001", "sn 0001"),
        *(
            "200901010001",
            "123456789",
            "1234567890",
            "0123456789ABCDEF",
            "01.00.00",
            "Serial",
            "SerialNumber",
        ),
        *("12345", "12345678", "0100", "0x0001", "1.00", "V1.0", "2.0.1", "20200422", "ABCDEFGHIJ"),
        *("USB Camera", "WebCam", "Not Available", "12\ufffd\ufffd78"),
        *("none", "N/A", "unknown", "serial_number", "AB\x00CDE", "0012"),
    ],
)
def test_what_cannot_be(text: str) -> None:
    assert own_serial(text) is None


def test_a_usb_camera_needs_no_probe(node: Make, capabilities: Capabilities) -> None:
    expected = Fingerprint(
        "v4l2_tier", "1d6b:0102:CAM-A", "pci-0000:00:14.0-usb-0:1:1.0", "1d6b:0102:Sim Cam"
    )
    assert fingerprint(node(), None) == fingerprint(node(), capabilities) == expected


def test_the_descriptor_does_not_depend_on_what_a_kernel_offers(
    node: Make, capabilities: Capabilities
) -> None:
    fewer = replace(capabilities, formats=())
    assert fingerprint(node(), fewer) == fingerprint(node(), capabilities)


def test_a_placeholder_is_no_serial(node: Make) -> None:
    assert fingerprint(node(serial="0001"), None).serial is None


def test_infrared_and_colour_of_one_device_are_two(node: Make) -> None:
    colour = node(0)
    assert colour.usb is not None
    infrared = replace(
        colour,
        name="video2",
        number=2,
        port="pci-0000:00:14.0-usb-0:1:1.2",
        usb=replace(colour.usb, interface="1-1:1.2"),
    )
    depth = replace(infrared, name="video4", index=2)
    seen = [fingerprint(each, None) for each in (colour, infrared, depth)]
    assert [each.serial for each in seen] == [
        "1d6b:0102:CAM-A",
        "1d6b:0102:CAM-A#2",
        "1d6b:0102:CAM-A#2#2",
    ]
    assert len({each.port for each in seen}) == 3
    assert len({each.descriptor for each in seen}) == 1


def test_without_udev_the_kernels_name_of_the_place_serves(node: Make) -> None:
    assert fingerprint(replace(node(), port=None), None).port == "usb-1-1:1.0"


def test_devices_that_share_a_path_differ_by_bus_info(node: Make, capabilities: Capabilities) -> None:
    vivid = replace(node(), usb=None, port="platform-vivid.0", label="vivid-000-vid-cap")
    two = [
        replace(capabilities, driver="vivid", card="vivid", bus_info=f"platform:vivid-{n:03}") for n in (0, 1)
    ]
    seen = [fingerprint(vivid, each) for each in two]
    assert [each.port for each in seen] == [
        "platform-vivid.0/platform:vivid-000",
        "platform-vivid.0/platform:vivid-001",
    ]
    assert {(each.serial, each.descriptor) for each in seen} == {(None, "vivid:vivid")}


def test_of_a_device_without_any_place_none_is_made_up(node: Make) -> None:
    assert fingerprint(replace(node(), usb=None, port=None), None).port is None
