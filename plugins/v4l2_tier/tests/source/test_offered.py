"""Capabilities as clients see them."""

from fractions import Fraction

from agent_core.plugin import CameraMode, Control
from v4l2_tier.device.capabilities import Capabilities, DeviceControl, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.offered import controls_of, modes_of


def offering(*sizes: FrameSize) -> Capabilities:
    return Capabilities("driver", "card", "bus", (PixelFormat("YUYV", "YUYV 4:2:2", sizes),))


def every(seconds: str) -> Intervals:
    return Intervals(Fraction(seconds), Fraction(seconds))


def test_discrete_modes_are_themselves() -> None:
    size = FrameSize(Span(640, 640), Span(480, 480), (every("1001/30000"), every("1/30"), every("2/15")))
    assert modes_of(offering(size)) == (CameraMode("YUYV", 640, 480, (30.0, 29.97, 7.5)),)


def test_what_a_camera_lists_twice_is_shown_once() -> None:
    size = FrameSize(Span(640, 640), Span(480, 480), (every("1/30"), every("1/30"), every("1/15")))
    assert modes_of(offering(size, size)) == (CameraMode("YUYV", 640, 480, (30.0, 15.0)),)


def test_of_ranges_the_ends_and_usual_values_are_shown() -> None:
    rates = Intervals(Fraction(1, 60), Fraction(1, 2))
    size = FrameSize(Span(32, 1920, 2), Span(32, 1080, 2), (rates,))
    modes = modes_of(offering(size))
    assert [(mode.width, mode.height) for mode in modes] == [(32, 32), (640, 480), (1280, 720), (1920, 1080)]
    assert {mode.fps for mode in modes} == {(60.0, 30.0, 25.0, 15.0, 10.0, 5.0, 2.0)}


def test_values_between_steps_are_not_shown() -> None:
    size = FrameSize(Span(16, 1024, 16), Span(16, 1024, 64))
    assert [(mode.width, mode.height) for mode in modes_of(offering(size))] == [(16, 16), (1024, 1024)]


def test_a_driver_that_tells_no_rates_has_none() -> None:
    assert modes_of(offering(FrameSize(Span(640, 640), Span(480, 480))))[0].fps == ()


def test_an_interval_of_zero_is_no_infinite_rate() -> None:
    rates = Intervals(Fraction(0), Fraction(1, 5))
    size = FrameSize(Span(640, 640), Span(480, 480), (rates,))
    assert modes_of(offering(size))[0].fps == (5.0,)


def test_controls_keep_their_menus() -> None:
    menu = DeviceControl(1, "power_line_frequency", "menu", 0, 2, 1, 1, 2, ((0, "Disabled"), (2, "60 Hz")))
    shown = controls_of(Capabilities("driver", "card", "bus", (), (menu,)))
    assert shown == (Control("power_line_frequency", "menu", 0, 2, 1, 1, 2, ((0, "Disabled"), (2, "60 Hz"))),)
