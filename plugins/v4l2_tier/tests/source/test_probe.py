"""Probe of drivers that fail at one of the things that a camera may have."""

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from linuxpy.video import raw

from v4l2_tier.device.calls import Answers, calls_to
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.modes import choose
from v4l2_tier.device.probe import NoCamera, probe_by
from v4l2_tier.settings import CaptureSettings

_NEXT = 0xC0000000
_CAPTURE_AND_STREAMING = 0x04000001


def refused(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@dataclass
class Driver:
    """Camera with integer controls (by number, with their values) and formats, each of one size and one rate.

    `faults` are errors by the name of the call and what it is about: a control's number, an index, a format's place.
    """

    controls: dict[int, int] = field(default_factory=dict)
    formats: list[tuple[str, tuple[int, int]]] = field(default_factory=lambda: [("MJPG", (640, 480))])
    menus: tuple[int, ...] = ()
    flags: int = _CAPTURE_AND_STREAMING
    faults: dict[tuple[str, int | None], int] = field(default_factory=dict)
    calls: list[tuple[str, int | None]] = field(default_factory=list)

    def __call__(self, request: int, argument: object, /) -> object:
        name = raw.IOC(request).name
        answer: Callable[..., None] | None = getattr(self, name.lower(), None)
        if answer is None:
            raise refused(errno.ENOTTY)
        answer(argument)
        return argument

    def fail_if_told(self, name: str, about: int | None) -> None:
        self.calls.append((name, about))
        if (name, about) in self.faults:
            raise refused(self.faults[name, about])

    def querycap(self, told: raw.v4l2_capability) -> None:
        self.fail_if_told("querycap", None)
        told.driver, told.card, told.bus_info = b"sim", b"Sim Cam", b"usb-1"
        told.capabilities = told.device_caps = self.flags

    def enuminput(self, entry: raw.v4l2_input) -> None:
        self.fail_if_told("enuminput", entry.index)
        if entry.index:
            raise refused(errno.EINVAL)

    def enum_fmt(self, entry: raw.v4l2_fmtdesc) -> None:
        self.fail_if_told("enum_fmt", entry.index)
        code, _ = self._at(entry.index, self.formats)
        entry.pixelformat = raw.v4l2_fourcc(*code)

    def enum_framesizes(self, entry: raw.v4l2_frmsizeenum) -> None:
        codes = [raw.v4l2_fourcc(*code) for code, _ in self.formats]
        place = codes.index(entry.pixel_format)
        self.fail_if_told("enum_framesizes", place)
        _, size = self.formats[place]
        entry.type = 1
        entry.discrete.width, entry.discrete.height = self._at(entry.index, [size])

    def enum_frameintervals(self, entry: raw.v4l2_frmivalenum) -> None:
        self.fail_if_told("enum_frameintervals", entry.index)
        entry.type = 1
        entry.discrete.numerator, entry.discrete.denominator = self._at(entry.index, [(1, 30)])

    def _at(self, index: int, entries: Iterable[tuple]) -> tuple:  # type: ignore[type-arg]
        found = list(entries)
        if index >= len(found):
            raise refused(errno.EINVAL)
        return found[index]

    def query_ext_ctrl(self, query: raw.v4l2_query_ext_ctrl) -> None:
        asked = query.id
        if asked & _NEXT:
            asked = min((each for each in self.controls if each > query.id & ~_NEXT), default=0)
        self.fail_if_told("query_ext_ctrl", asked)
        if asked not in self.controls:
            raise refused(errno.EINVAL)
        query.id, query.type, query.name = asked, 1, b"Control %x" % asked
        query.minimum, query.maximum, query.step, query.default_value = 0, 100, 1, 50
        if asked in self.menus:
            query.type = 3

    def querymenu(self, entry: raw.v4l2_querymenu) -> None:
        self.fail_if_told("querymenu", entry.index)
        if entry.index % 2:
            raise refused(errno.EINVAL)
        entry.name = b"Entry %d" % entry.index

    def g_ctrl(self, control: raw.v4l2_control) -> None:
        self.fail_if_told("g_ctrl", control.id)
        control.value = self.controls[control.id]


BRIGHTNESS, CONTRAST, GAIN, FOCUS, VENDORS = 0x00980900, 0x00980901, 0x00980913, 0x009A090A, 0x0A046D01
CONTROLS = {BRIGHTNESS: 10, CONTRAST: 20, GAIN: 30, FOCUS: 40, VENDORS: 60}


def probed(driver: Driver) -> Capabilities:
    found = probe_by(driver)
    assert isinstance(found, Capabilities)
    return found


def told(driver: Driver) -> dict[int, str]:
    """Return what is said about each control: its value, `unreadable` or the kind."""
    return {
        each.id: "unreadable" if each.unreadable else each.kind if each.unsettable else str(each.value)
        for each in probed(driver).controls
    }


def test_all_controls_are_read() -> None:
    assert told(Driver(CONTROLS)) == {number: str(value) for number, value in CONTROLS.items()}


@pytest.mark.parametrize("silent", CONTROLS)
def test_a_control_that_is_never_answered_costs_itself_only(silent: int) -> None:
    driver = Driver(CONTROLS, faults={("g_ctrl", silent): errno.ETIMEDOUT})
    values = {number: str(value) for number, value in CONTROLS.items()}
    assert told(driver) == values | {silent: "unreadable"}
    assert probed(driver).formats


def test_a_camera_that_answers_no_control_is_asked_twice_and_lists_all() -> None:
    driver = Driver(CONTROLS, faults={("g_ctrl", number): errno.ETIMEDOUT for number in CONTROLS})
    assert told(driver) == dict.fromkeys(CONTROLS, "unreadable")
    assert [name for name, _ in driver.calls].count("g_ctrl") == 2


@pytest.mark.parametrize("error", [errno.EIO, errno.ETIMEDOUT, errno.EPIPE])
@pytest.mark.parametrize("refused", [BRIGHTNESS, CONTRAST, FOCUS])
def test_a_limit_that_is_refused_hides_no_control_behind_it(refused: int, error: int) -> None:
    driver = Driver(CONTROLS, faults={("query_ext_ctrl", refused): error})
    values = {number: str(value) for number, value in CONTROLS.items()}
    assert told(driver) == values | {refused: "unknown"}


def test_a_menu_that_is_not_answered_is_asked_for_once_and_hides_no_control() -> None:
    driver = Driver(CONTROLS, menus=(CONTRAST,), faults={("querymenu", 4): errno.ETIMEDOUT})
    found = {each.id: each for each in probed(driver).controls}
    assert found.keys() == CONTROLS.keys()
    assert found[CONTRAST].choices == ((0, "Entry 0"), (2, "Entry 2"))
    assert [index for name, index in driver.calls if name == "querymenu"] == [0, 1, 2, 3, 4]
    assert (
        len(
            {each.id: each for each in probed(Driver(CONTROLS, menus=(CONTRAST,))).controls}[CONTRAST].choices
        )
        == 51
    )


def test_a_refused_control_of_a_vendor_ends_the_list_without_losing_it() -> None:
    driver = Driver(CONTROLS, faults={("query_ext_ctrl", VENDORS): errno.EIO})
    assert told(driver) == {number: str(value) for number, value in CONTROLS.items() if number != VENDORS}


@pytest.mark.parametrize(
    "fault", [("enuminput", 0), ("enum_fmt", 1), ("enum_frameintervals", 0), ("enum_frameintervals", 1)]
)
@pytest.mark.parametrize("error", [errno.EIO, errno.ETIMEDOUT])
def test_an_optional_answer_that_fails_leaves_the_camera_usable(fault: tuple[str, int], error: int) -> None:
    driver = Driver(CONTROLS, faults={fault: error})
    (offered,) = probed(driver).formats
    assert (offered.code, offered.sizes[0].width.maximum) == ("MJPG", 640)


def test_a_format_whose_sizes_are_refused_hides_no_other() -> None:
    formats = [("MJPG", (640, 480)), ("YUYV", (320, 240))]
    driver = Driver(formats=formats, faults={("enum_framesizes", 0): errno.EIO})
    assert [(each.code, len(each.sizes)) for each in probed(driver).formats] == [("MJPG", 0), ("YUYV", 1)]


@pytest.mark.parametrize(
    "fault",
    [("querycap", None), ("enuminput", 0), ("enum_fmt", 0), ("g_ctrl", GAIN), ("query_ext_ctrl", GAIN)],
)
def test_a_device_that_is_gone_is_gone(fault: tuple[str, int | None]) -> None:
    with pytest.raises(OSError, match="No such device"):
        probe_by(Driver(CONTROLS, faults={fault: errno.ENODEV}))


def test_a_device_that_tells_no_format_is_asked_again() -> None:
    with pytest.raises(OSError, match="timed out"):
        probe_by(Driver(faults={("enum_fmt", 0): errno.ETIMEDOUT}))


def test_a_device_without_inputs_is_no_camera() -> None:
    assert isinstance(probe_by(Driver(faults={("enuminput", 0): errno.EINVAL})), NoCamera)


CAPTURE, OUTPUT, M2M, STREAMING = 0x1, 0x2, 0x8000, 0x04000000
IDLE = [("YUYV", (640, 480)), ("MJPG", (640, 480))]


@pytest.mark.parametrize(
    ("flags", "formats", "is_camera"),
    [
        (CAPTURE, IDLE[:1], True),
        (OUTPUT, IDLE[:1], False),
        (CAPTURE | OUTPUT, IDLE[:1], True),
        (CAPTURE | OUTPUT, IDLE, False),
        (CAPTURE | OUTPUT, [], False),
        (CAPTURE | M2M, IDLE[:1], False),
    ],
)
def test_a_device_with_both_sides_is_a_camera_once_a_program_has_set_its_picture(
    flags: int, formats: list[tuple[str, tuple[int, int]]], is_camera: bool
) -> None:
    """As v4l2loopback with exclusive_caps=0: without a writer it offers every format, or none."""
    found = probe_by(Driver(formats=formats, flags=flags | STREAMING))
    assert isinstance(found, Capabilities) is is_camera


def test_a_loopback_device_that_claims_to_convert_is_taken_as_what_it_is() -> None:
    class Loopback(Driver):
        def querycap(self, told: raw.v4l2_capability) -> None:
            super().querycap(told)
            told.bus_info = b"platform:v4l2loopback-020"

    assert isinstance(probe_by(Loopback(flags=CAPTURE | M2M | STREAMING)), Capabilities)
    without_writer = probe_by(Loopback(flags=OUTPUT | M2M | STREAMING))
    assert without_writer == NoCamera("no program puts pictures into it")


def test_answers_and_refusals_are_counted() -> None:
    answers = Answers()
    with Path("/dev/null").open("rb") as device:
        call = calls_to(device.fileno(), answers)
        for number in (1, 2):
            with pytest.raises(OSError, match="Inappropriate"):
                call(raw.IOC.QUERYCAP, raw.v4l2_capability())
            assert answers.count == number


@dataclass
class OddlySized(Driver):
    """Camera whose list of sizes has one range of widths and heights: minimum, maximum, step. It takes each size."""

    span: tuple[int, int, int] = (0, 0, 0)

    def enum_framesizes(self, entry: raw.v4l2_frmsizeenum) -> None:
        self._at(entry.index, [self.span])
        entry.type = 3
        steps = entry.stepwise
        steps.min_width, steps.max_width, steps.step_width = self.span
        steps.min_height, steps.max_height, steps.step_height = self.span

    def g_fmt(self, told: raw.v4l2_format) -> None:
        pix = told.fmt.pix
        pix.pixelformat, pix.width, pix.height = raw.v4l2_fourcc(*"MJPG"), 800, 600

    def try_fmt(self, told: raw.v4l2_format) -> None:
        assert told.fmt.pix.width


@pytest.mark.parametrize(
    ("span", "lowest", "highest"),
    [
        ((0, 1280, 16), 16, 1280),
        ((0, 8, 16), 8, 8),
        ((640, 0, 0), 640, 640),
        ((1280, 640, 16), 1280, 1280),
        ((16, 1280, 16), 16, 1280),
    ],
)
def test_a_range_of_sizes_that_cannot_be_is_read_as_one_that_can(
    span: tuple[int, int, int], lowest: int, highest: int
) -> None:
    found = probed(OddlySized(span=span))
    ((size,),) = (each.sizes for each in found.formats)
    assert (size.width.minimum, size.width.maximum) == (lowest, highest)
    for settings in (CaptureSettings(), CaptureSettings(width=640, height=480)):
        mode = choose(found, settings)
        assert lowest <= mode.width <= highest
        assert lowest <= mode.height <= highest


def test_a_list_of_empty_sizes_counts_as_none_and_the_device_is_asked_for_common_ones() -> None:
    found = probed(OddlySized())
    sizes = {(each.width.maximum, each.height.maximum) for each in found.formats[0].sizes}
    assert {(800, 600), (1280, 720)} <= sizes
    assert choose(found, CaptureSettings()).width == 1280
