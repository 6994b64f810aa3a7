"""Controls of a simulated USB webcam, set by the producer."""

import logging
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import ControlStatus
from agent_core.plugin.controls import set_controls, wishes_of
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.captured import PATIENCE_S, captured, failure, offered
from tests.vm.guest.vivid import LoadVivid
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.capture_device import CaptureDevice
from v4l2_tier.device.controls import DeviceControls
from v4l2_tier.device.offered import controls_of
from v4l2_tier.device.probe import probe
from v4l2_tier.settings import CaptureSettings

LAYOUT = Layout(mjpeg=(FrameSize(640, 480, (10, 5)),))
FORMATS = offered(LAYOUT)


async def test_controls_are_set_in_order_verified_and_set_again_after_a_replug(webcam: PlugWebcam) -> None:
    wanted: dict[str, int | bool | str] = {
        "exposure_time_absolute": 333,
        "white_balance_temperature": 5000,
        "auto_exposure": "Manual Mode",
        "white_balance_automatic": False,
        "brightness": -10,
    }
    settings = CaptureSettings(controls=wanted)
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS, settings) as camera:
        await camera.fresh()
        argv = ["v4l2-ctl", "-d", str(plugged.node), "--get-ctrl", "exposure_time_absolute"]
        assert (await anyio.run_process(argv)).stdout == b"exposure_time_absolute: 333\n"
        set_by_linux = "power_line_frequency"
        history = [each for each in await plugged.control_history() if each[0] != set_by_linux]
        names = [name for name, _ in history]
        assert names.index("auto_exposure") < names.index("exposure_time")
        assert names.index("white_balance_automatic") < names.index("white_balance_temperature")
        assert len(history) == len(wanted)
        await plugged.unplug()
        await failure(camera)
        await plugged.plug(plugged.port)
        await anyio.sleep(1)
        await camera.fresh()
        values = await plugged.controls()
        assert (values["exposure_time"], values["white_balance_temperature"], values["brightness"]) == (
            333,
            5000,
            -10,
        )


async def test_a_wish_for_a_control_that_fails_is_logged_and_pictures_come(
    webcam: PlugWebcam, caplog: pytest.LogCaptureFixture
) -> None:
    settings = CaptureSettings(controls={"exposure_time_absolute": 5, "brightness": 1000})
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS, settings) as camera:
        await camera.fresh()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("exposure_time_absolute: it is inactive" in each for each in said)
    assert any("brightness: 1000 is out of range (-64 to 64); 64 was set" in each for each in said)


async def test_a_wish_for_a_control_whose_setting_is_never_answered_costs_no_picture(
    webcam: PlugWebcam, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver waits 5 s for the answer."""
    layout = replace(LAYOUT, deaf=("gain",))
    settings = CaptureSettings(controls={"gain": 40, "brightness": 12})
    async with webcam(layout) as plugged, captured(plugged.node, FORMATS, settings) as camera:
        await camera.fresh()
        with anyio.fail_after(PATIENCE_S):
            while (await plugged.controls())["brightness"] != 12:
                await camera.fresh()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("gain: the camera did not answer in time" in each for each in said), said


async def test_values_of_more_than_31_bits_are_set_and_read_back(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,):
        found = read(camera.node)
        device = CaptureDevice.open(camera.node, found)
        try:
            wanted = {"integer_64_bits": 1 << 40, "bitmask": 0x80000000}
            wishes, _ = wishes_of(controls_of(found), wanted)
            settled = set_controls(wishes.values(), DeviceControls(device, found.controls))
            assert {each.status for each in settled.outcomes} == {ControlStatus.APPLIED}
        finally:
            device.close()
        values = {each.name: each.value for each in read(camera.node).controls}
    assert {name: values[name] for name in wanted} == wanted


def read(node: Path) -> Capabilities:
    found = probe(node)
    assert isinstance(found, Capabilities)
    return found
