"""Values are checked, set in the order of their dependencies, and read back."""

from dataclasses import replace

import pytest

from agent_core.plugin import CaptureFailed, ControlOutcome, ControlStatus, ControlValue
from agent_core.plugin.controls import reset_controls, set_controls, wishes_of
from tests.plugin.controls.webcam import WEBCAM, Webcam

APPLIED, ADJUSTED, REFUSED = ControlStatus


def put(
    camera: Webcam, values: dict[str, ControlValue], *, rewrite: bool = False
) -> dict[str, ControlOutcome]:
    wishes, refused = wishes_of(camera.controls, values, rewrite=rewrite)
    settled = set_controls(wishes.values(), camera)
    return {each.asked or each.name: each for each in (*refused, *settled.outcomes)}


def test_automatics_are_set_before_what_they_rule() -> None:
    camera = Webcam()
    outcomes = put(
        camera,
        {
            "exposure_time_absolute": 100,
            "focus_absolute": 25,
            "gain": 7,
            "focus_automatic_continuous": False,
            "auto_exposure": "manual mode",
            "power_line_frequency": 1,
        },
    )
    assert {each.status for each in outcomes.values()} == {APPLIED}
    assert camera.names_written.index("auto_exposure") < camera.names_written.index("exposure_time_absolute")
    assert camera.values["exposure_time_absolute"] == 100
    assert (outcomes["auto_exposure"].value, outcomes["focus_automatic_continuous"].value) == (
        "Manual Mode",
        False,
    )


def test_a_switch_that_does_not_look_like_one_is_found_by_what_it_activates() -> None:
    """The ruler is a plain number, and it is named last: no list of names or kinds tells the order."""
    kinds = {"white_balance_automatic": "integer"}
    camera = Webcam(tuple(replace(each, kind=kinds.get(each.name, each.kind)) for each in WEBCAM))
    outcomes = put(camera, {"white_balance_temperature": 5000, "white_balance_automatic": 0})
    assert {each.status for each in outcomes.values()} == {APPLIED}
    assert camera.names_written == ["white_balance_automatic", "white_balance_temperature"]


def test_a_driver_that_only_refuses_an_inactive_control_gets_it_again_after_the_switch() -> None:
    kinds = {"white_balance_automatic": "integer"}
    controls = tuple(replace(each, kind=kinds.get(each.name, each.kind)) for each in WEBCAM)
    camera = Webcam(controls, hides_activity=True)
    outcomes = put(camera, {"white_balance_temperature": 5000, "white_balance_automatic": 0})
    assert {each.status for each in outcomes.values()} == {APPLIED}


def test_what_is_right_already_is_set_only_if_wanted() -> None:
    values: dict[str, ControlValue] = {"brightness": 128, "focus_automatic_continuous": True}
    camera = Webcam()
    assert {each.status for each in put(camera, values).values()} == {APPLIED}
    assert camera.written == []
    put(camera, values, rewrite=True)
    assert sorted(camera.names_written) == sorted(values)


def test_a_control_that_stays_inactive_is_refused_and_the_others_are_set() -> None:
    camera = Webcam()
    outcomes = put(camera, {"exposure_time_absolute": 100, "gain": 7})
    assert camera.written == [("gain", 7)]
    assert outcomes["exposure_time_absolute"].status is REFUSED
    assert outcomes["exposure_time_absolute"].value == 250
    assert "inactive" in outcomes["exposure_time_absolute"].reason


@pytest.mark.parametrize("old", ["exposure_auto", "auto_exposure"])
def test_names_of_older_and_newer_kernels_are_understood(old: str) -> None:
    camera = Webcam()
    assert put(camera, {old: "Manual Mode"})[old].status is APPLIED
    assert camera.written == [("auto_exposure", 1)]


def test_one_control_under_two_names_is_set_once() -> None:
    camera = Webcam()
    outcomes = put(camera, {"exposure_auto": 1, "auto_exposure": 3})
    assert [each.status for each in outcomes.values()] == [REFUSED, APPLIED]
    assert "the same control as exposure_auto," in outcomes["auto_exposure"].reason
    assert camera.written == [("auto_exposure", 1)]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("brightness", "high", "'high' is not a number"),
        ("brightness", True, "True is not a number"),
        ("white_balance_automatic", 2, "2 is neither true nor false"),
        ("white_balance_automatic", "on", "'on' is neither"),
        ("auto_exposure", 2, "2 is not one of 1 (Manual Mode), 3 (Aperture Priority Mode)"),
        ("auto_exposure", "Auto", "'Auto' is not one of 1 (Manual Mode)"),
        ("power_line_frequency", True, "True is not one of 0 (Disabled)"),
        ("brightnes", 1, "no such control; the nearest are brightness"),
        ("zzz", 1, "no such control; it has brightness, white_balance_automatic"),
        ("sensor_temperature", 1, "It is read-only"),
        ("model", 1, "holds a text"),
        ("lamps", 2, "other bits than the mask 0x80000001"),
        ("brightness", "x" * 200, f"'{'x' * 39}... is not"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_can(name: str, value: ControlValue, said: str) -> None:
    camera = Webcam()
    outcomes = put(camera, {name: value, "gain": 1})
    assert camera.written == [("gain", 1)]
    assert (outcomes[name].status, outcomes["gain"].status) == (REFUSED, APPLIED)
    assert said.lower() in outcomes[name].reason.lower()


@pytest.mark.parametrize(
    ("name", "value", "made", "said"),
    [
        ("brightness", 256, 255, "256 is out of range (0 to 255); 255 was set."),
        ("brightness", -(10**30), 0, "out of range"),
        ("brightness", 12.6, 13, "12.6 is not a whole number; 13 was set."),
        ("focus_absolute", 7, 5, "7 is not on a step of 5 from 0; 5 was set."),
        ("focus_absolute", 9999, 250, "out of range (0 to 250)"),
    ],
)
def test_a_number_between_or_beyond_the_possible_ones_becomes_the_nearest(
    name: str, value: ControlValue, made: int, said: str
) -> None:
    camera = Webcam()
    outcome = put(camera, {"focus_automatic_continuous": 0, name: value})[name]
    assert (outcome.status, outcome.value, outcome.requested) == (ADJUSTED, made, value)
    assert said in outcome.reason
    assert camera.values[name] == made


def test_a_range_that_ends_between_two_steps_is_kept() -> None:
    camera = Webcam((replace(WEBCAM[8], maximum=249),))
    camera.values["focus_automatic_continuous"] = 0
    assert put(camera, {"focus_absolute": 1000})["focus_absolute"].value == 245


@pytest.mark.parametrize("value", [2**62 + 1, -(2**63), 2**63 - 1])
def test_64_bits_are_exact(value: int) -> None:
    camera = Webcam()
    assert put(camera, {"counter": value})["counter"].status is APPLIED
    assert camera.values["counter"] == value


def test_the_range_is_that_of_now_and_not_that_of_the_probe() -> None:
    camera = Webcam(ranges={"brightness": (0, 100)})
    outcome = put(camera, {"brightness": 200})["brightness"]
    assert (outcome.status, outcome.value) == (ADJUSTED, 100)


def test_what_the_camera_refuses_or_changes_is_told() -> None:
    camera = Webcam(refuses={"gain": "control_refused"}, sticks_at={"brightness": 200})
    outcomes = put(camera, {"gain": 5, "brightness": 255, "exposure_dynamic_framerate": 1})
    assert (outcomes["gain"].status, outcomes["gain"].value, outcomes["gain"].reason) == (REFUSED, 0, "No.")
    assert (outcomes["brightness"].status, outcomes["brightness"].value) == (ADJUSTED, 200)
    assert outcomes["brightness"].reason == "255 was requested; the camera set 200."
    assert camera.values["exposure_dynamic_framerate"] == 1


def test_a_value_that_another_control_undoes_is_set_again() -> None:
    camera = Webcam()

    def undo(name: str) -> None:
        if name == "gain" and "gain" not in camera.names_written:
            camera.values["brightness"] = 1

    camera.before_write = undo
    outcomes = put(camera, {"brightness": 50, "gain": 7})
    assert {each.status for each in outcomes.values()} == {APPLIED}
    assert camera.values["brightness"] == 50


@pytest.mark.parametrize("name", ["zoom_relative", "auto_focus_start"])
@pytest.mark.parametrize("value", [0, 1])
def test_an_action_is_started_each_time_and_not_kept(name: str, value: int) -> None:
    camera = Webcam()
    outcome = put(camera, {name: value})[name]
    assert (outcome.status, outcome.is_kept) == (APPLIED, False)
    assert camera.names_written == [name]


def test_a_camera_that_goes_meanwhile_ends_it() -> None:
    camera = Webcam()
    camera.before_write = lambda name: camera.unplug() if name == "gain" else None
    with pytest.raises(CaptureFailed, match="gone"):
        put(camera, {"brightness": 1, "gain": 5})


def test_after_a_control_that_is_not_answered_no_other_is_tried() -> None:
    """Each would cost the driver's 5 s."""
    camera = Webcam(mute={"gain", "brightness"})
    outcomes = put(camera, {"power_line_frequency": 1, "gain": 5, "brightness": 7})
    assert camera.asked == ["gain"]
    assert outcomes["gain"].reason == "The camera did not answer in time."
    assert "does not answer the control gain" in outcomes["brightness"].reason
    assert "could not be read back" in outcomes["power_line_frequency"].reason
    assert outcomes["power_line_frequency"].value is None


def test_a_reset_sets_the_defaults_of_what_has_some_in_the_order_of_dependencies() -> None:
    camera = Webcam()
    put(camera, {"auto_exposure": 1, "exposure_time_absolute": 333, "brightness": 1})
    camera.written.clear()
    settled = reset_controls(camera.controls, camera)
    assert camera.values == {each.name: each.default for each in WEBCAM}
    assert camera.names_written.index("exposure_time_absolute") < camera.names_written.index("auto_exposure")
    told = {each.name for each in settled.outcomes}
    assert {"brightness", "exposure_time_absolute"} <= told
    # Inactive before and after, read-only, an action, a text.
    assert not told & {"focus_absolute", "sensor_temperature", "auto_focus_start", "zoom_relative", "model"}
    assert not any(each.is_kept for each in settled.outcomes)


def test_a_control_that_a_default_activates_is_reset_too() -> None:
    controls = tuple(replace(each, default=1) if each.name == "auto_exposure" else each for each in WEBCAM)
    camera = Webcam(controls)
    camera.values |= {"auto_exposure": 3, "exposure_time_absolute": 9}
    reset_controls(camera.controls, camera)
    assert (camera.values["auto_exposure"], camera.values["exposure_time_absolute"]) == (1, 250)
