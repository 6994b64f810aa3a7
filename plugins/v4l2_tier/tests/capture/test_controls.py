from dataclasses import dataclass, field

import pytest

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.capabilities import Capabilities, DeviceControl
from v4l2_tier.device.controls import ControlState, apply, plan

#: Controls and the control that rules each, with the value that frees it.
RULES = {
    "white_balance_temperature": ("white_balance_automatic", 0),
    "exposure_time_absolute": ("auto_exposure", 1),
    "focus_absolute": ("focus_automatic_continuous", 0),
}


@dataclass
class Camera:
    """Camera with controls that depend on each other, like those of a webcam."""

    controls: tuple[DeviceControl, ...]
    values: dict[str, int] = field(default_factory=dict)
    written: list[tuple[str, int]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    sticks_at: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = {control.name: control.value for control in self.controls}

    def read_control(self, control: DeviceControl) -> ControlState:
        ruler, free = RULES.get(control.name, ("", 0))
        value = self.values[control.name] if control.is_readable else 0
        return ControlState(value, bool(ruler) and self.values[ruler] != free)

    def write_control(self, control: DeviceControl, value: int) -> None:
        assert not self.read_control(control).inactive
        if control.name in self.refuses:
            raise CaptureFailed("No.", reason=self.refuses[control.name], detail="setting it: EIO")
        self.values[control.name] = self.sticks_at.get(control.name, value)
        self.written.append((control.name, value))


def applied(capabilities: Capabilities, **wanted: int | bool | str) -> tuple[Camera, list[str]]:
    camera = Camera(capabilities.controls)
    return camera, apply(plan(capabilities.controls, wanted), camera)


def test_automatics_are_set_before_what_they_rule(webcam: Capabilities) -> None:
    camera, problems = applied(
        webcam,
        exposure_time_absolute=100,
        focus_absolute=25,
        gain=7,
        focus_automatic_continuous=False,
        auto_exposure="manual mode",
        power_line_frequency=1,
    )
    assert problems == []
    names = [name for name, _ in camera.written]
    assert names.index("auto_exposure") < names.index("exposure_time_absolute")
    assert names.index("focus_automatic_continuous") < names.index("focus_absolute")
    assert camera.values["exposure_time_absolute"] == 100
    assert camera.values["power_line_frequency"] == 1


def test_what_is_right_already_is_not_set(webcam: Capabilities) -> None:
    camera, problems = applied(webcam, brightness=128, auto_exposure=3, focus_automatic_continuous=True)
    assert (camera.written, problems) == ([], [])


def test_a_control_that_stays_inactive_is_told_and_the_others_are_set(webcam: Capabilities) -> None:
    camera, problems = applied(webcam, exposure_time_absolute=100, gain=7)
    assert camera.written == [("gain", 7)]
    (problem,) = problems
    assert "exposure_time_absolute" in problem
    assert "inactive" in problem


@pytest.mark.parametrize("old", ["exposure_auto", "auto_exposure"])
def test_names_of_older_and_newer_kernels_are_understood(webcam: Capabilities, old: str) -> None:
    camera, problems = applied(webcam, **{old: "Manual Mode"})
    assert (camera.written, problems) == ([("auto_exposure", 1)], [])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("brightness", 256, "256 is out of range (0 to 255)"),
        ("brightness", "high", "'high' is not a number"),
        ("brightness", True, "True is not a number"),
        ("focus_absolute", 7, "7 is not on a step of 5 from 0; use 5"),
        ("white_balance_automatic", 2, "2 is neither true nor false"),
        ("white_balance_automatic", "on", "'on' is neither"),
        ("auto_exposure", 2, "2 is not one of 1 (Manual Mode), 3 (Aperture Priority Mode)"),
        ("auto_exposure", "Auto", "'Auto' is not one of 1 (Manual Mode)"),
        ("power_line_frequency", True, "True is not one of 0 (Disabled)"),
        ("brightnes", 1, "no such control; the nearest are brightness"),
        ("zzz", 1, "no such control; it has brightness, white_balance_automatic"),
        ("sensor_temperature", 1, "it is read-only"),
    ],
)
def test_a_wish_that_cannot_be_is_told_with_what_can(
    webcam: Capabilities, name: str, value: int | bool | str, said: str
) -> None:
    camera, problems = applied(webcam, **{name: value, "gain": 1})
    assert camera.written == [("gain", 1)]
    (problem,) = problems
    assert problem.startswith(f"control {name}: ")
    assert said in problem


def test_what_the_camera_refuses_or_changes_is_told(webcam: Capabilities) -> None:
    camera = Camera(webcam.controls, refuses={"gain": "device_error"}, sticks_at={"brightness": 200})
    problems = apply(
        plan(webcam.controls, {"gain": 5, "brightness": 255, "exposure_dynamic_framerate": 1}), camera
    )
    assert problems == [
        "control gain: the camera refused 5 (setting it: EIO)",
        "control brightness: 255 was requested; the camera set 200",
    ]
    assert camera.values["exposure_dynamic_framerate"] == 1


@pytest.mark.parametrize("value", [0, 5])
def test_what_cannot_be_read_back_is_set_and_taken_as_done(webcam: Capabilities, value: int) -> None:
    pan = DeviceControl(0x009A0904, "pan_relative", "integer", -10, 10, 1, 0, 0, write_only=True)
    camera = Camera((*webcam.controls, pan))
    assert apply(plan(camera.controls, {"pan_relative": value}), camera) == []
    assert camera.written == [("pan_relative", value)]


def test_a_camera_that_goes_meanwhile_ends_it(webcam: Capabilities) -> None:
    camera = Camera(webcam.controls, refuses={"gain": "camera_gone"})
    with pytest.raises(CaptureFailed):
        apply(plan(webcam.controls, {"gain": 5}), camera)
