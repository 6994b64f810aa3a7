"""Connection with the source of a bridge: inputs, standards, timings and signals, over a simulated driver."""

import dataclasses
import errno
import os
from dataclasses import dataclass
from fractions import Fraction

import pytest
from linuxpy.video import raw

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.connection import Connection, connect
from v4l2_tier.device.probe import probe_by
from v4l2_tier.device.standards import STANDARDS, frame_interval, is_one_system, name_of
from v4l2_tier.device.video_inputs import read_source, signal_fault
from v4l2_tier.settings import CaptureSettings

PAL, NTSC = STANDARDS["PAL"], STANDARDS["NTSC"]
EVERY = PAL | NTSC | STANDARDS["SECAM"]
TIMINGS, STANDARD = 2, 4
NO_POWER, NO_SIGNAL, NO_COLOR, NO_H_LOCK, NO_SYNC = 1, 2, 4, 0x100, 0x10000
#: Width, height, interlaced, porches and syncs, pixel clock (CEA-861, VIC 16, 4 and 5; DMT 1024x768).
FULL_HD = (1920, 1080, 0, 88, 44, 148, 4, 5, 36, 0, 0, 0, 148_500_000)
HD = (1280, 720, 0, 110, 40, 220, 5, 5, 20, 0, 0, 0, 74_250_000)
INTERLACED_HD = (1920, 1080, 1, 88, 44, 148, 2, 5, 15, 3, 5, 15, 74_250_000)
FIELDS = (
    *(
        "width",
        "height",
        "interlaced",
        "hfrontporch",
        "hsync",
        "hbackporch",
        "vfrontporch",
        "vsync",
        "vbackporch",
    ),
    *("il_vfrontporch", "il_vsync", "il_vbackporch", "pixelclock"),
)


@dataclass
class Bridge:
    """Driver with these inputs: (name, capabilities, standards, status)."""

    inputs: tuple[tuple[str, int, int, int], ...] = (("Composite", STANDARD, EVERY, 0),)
    selected: int = 0
    standard: int = PAL
    #: Standard of the source, as the driver detects it.
    detected: int = EVERY
    timings: tuple[int, ...] = FULL_HD
    source: tuple[int, ...] = FULL_HD
    faults: dict[str, int] = dataclasses.field(default_factory=dict)
    written: list[tuple[str, object]] = dataclasses.field(default_factory=list)

    def __call__(self, request: int, argument: object, /) -> object:
        name = raw.IOC(request).name
        answer = getattr(self, name.lower(), None)
        number = self.faults.get(name, 0 if answer else errno.ENOTTY)
        if number:
            raise OSError(number, os.strerror(number))
        answer(argument)  # type: ignore[misc] # it is there: see above
        return argument

    def enuminput(self, entry: raw.v4l2_input) -> None:
        if entry.index >= len(self.inputs):
            raise OSError(errno.EINVAL, "no more")
        name, entry.capabilities, entry.std, entry.status = self.inputs[entry.index]
        entry.name = name.encode()

    def g_input(self, number: object) -> None:
        number.value = self.selected  # type: ignore[attr-defined]

    def s_input(self, number: object) -> None:
        self.selected = number.value  # type: ignore[attr-defined]
        self.written.append(("input", self.selected))

    def g_std(self, standard: object) -> None:
        standard.value = self.standard  # type: ignore[attr-defined]

    def s_std(self, standard: object) -> None:
        self.standard = standard.value  # type: ignore[attr-defined]
        self.written.append(("standard", self.standard))

    def querystd(self, standard: object) -> None:
        standard.value = self.detected  # type: ignore[attr-defined]

    def g_dv_timings(self, timings: raw.v4l2_dv_timings) -> None:
        for name, value in zip(FIELDS, self.timings, strict=True):
            setattr(timings.m1.bt, name, value)

    def query_dv_timings(self, timings: raw.v4l2_dv_timings) -> None:
        for name, value in zip(FIELDS, self.source, strict=True):
            setattr(timings.m1.bt, name, value)

    def s_dv_timings(self, timings: raw.v4l2_dv_timings) -> None:
        self.timings = tuple(getattr(timings.m1.bt, name) for name in FIELDS)
        self.written.append(("timings", self.timings[:2]))

    def querycap(self, told: raw.v4l2_capability) -> None:
        told.capabilities = 0x04000001

    def enum_fmt(self, entry: raw.v4l2_fmtdesc) -> None:
        if entry.index:
            raise OSError(errno.EINVAL, "no more")
        entry.pixelformat = raw.v4l2_fourcc(*"UYVY")

    def g_fmt(self, found: raw.v4l2_format) -> None:
        self.try_fmt(found)

    def try_fmt(self, wanted: raw.v4l2_format) -> None:
        pix = wanted.fmt.pix
        pix.pixelformat, pix.width, pix.height = raw.v4l2_fourcc(*"UYVY"), *self.timings[:2]


def hdmi(**more: object) -> Bridge:
    return Bridge(inputs=(("HDMI", TIMINGS, 0, 0),), **more)  # type: ignore[arg-type]


def connected(bridge: Bridge, **settings: object) -> Connection:
    return connect(bridge, CaptureSettings.model_validate(settings))


def refused(bridge: Bridge, **settings: object) -> CaptureFailed:
    with pytest.raises(CaptureFailed) as caught:
        connected(bridge, **settings)
    return caught.value


# Webcams.


def test_a_webcam_is_asked_for_its_input_only() -> None:
    webcam = Bridge(inputs=(("Camera 1", 0, 0, 0),), faults={"G_INPUT": errno.EIO, "QUERYSTD": errno.EIO})
    assert connected(webcam) == Connection()
    assert not read_source(webcam).is_bridge


def test_a_loopback_device_that_reports_no_signal_is_left_to_what_is_known_of_loopbacks() -> None:
    loopback = Bridge(inputs=(("loopback", 0, 0, NO_SIGNAL),))
    assert connected(loopback) == Connection()
    assert read_source(loopback).fault == ""


@pytest.mark.parametrize("error", [errno.ETIMEDOUT, errno.EIO, errno.EPIPE])
def test_inputs_that_are_not_told_cost_no_picture(error: int) -> None:
    silent = Bridge(faults={"ENUMINPUT": error})
    assert connected(silent) == Connection()
    assert signal_fault(silent, 0) == ""
    assert probe_by(silent).source.fault == ""  # type: ignore[union-attr]


@pytest.mark.parametrize("call", ["G_INPUT", "QUERYSTD", "G_STD"])
@pytest.mark.parametrize("error", [errno.ETIMEDOUT, errno.EIO])
def test_what_a_bridge_does_not_tell_costs_no_picture(call: str, error: int) -> None:
    assert connected(Bridge(faults={call: error})) == Connection(0)


# Inputs.


@pytest.mark.parametrize("wanted", [1, "S-Video", " s-video"])
def test_the_configured_input_is_selected_once(wanted: int | str) -> None:
    bridge = Bridge(inputs=(("Composite", STANDARD, EVERY, NO_SIGNAL), ("S-Video", STANDARD, EVERY, 0)))
    assert connected(bridge, input=wanted) == Connection(1, has_changed=True)
    assert connected(bridge, input=wanted) == Connection(1)
    assert bridge.written == [("input", 1)]


def test_an_input_that_the_device_does_not_have_is_refused_and_not_replaced() -> None:
    error = refused(Bridge(), input="HDMI 2")
    assert error.reason == "no_such_input"
    assert "0: 'Composite'" in error.details


def test_a_driver_that_does_not_tell_the_selected_input_gets_the_configured_one() -> None:
    bridge = Bridge(inputs=(("A", 0, 0, 0), ("B", 0, 0, 0)), faults={"G_INPUT": errno.EINVAL})
    assert connected(bridge, input=1).has_changed
    assert bridge.written == [("input", 1)]


def test_an_input_that_is_in_use_by_another_program_is_told() -> None:
    bridge = Bridge(inputs=(("A", 0, 0, 0), ("B", 0, 0, 0)), faults={"S_INPUT": errno.EBUSY})
    with pytest.raises(OSError, match="busy"):
        connected(bridge, input=1)


# Standards.


@pytest.mark.parametrize("name", sorted(STANDARDS))
def test_a_configured_standard_is_set(name: str) -> None:
    bridge = Bridge(inputs=(("Composite", STANDARD, 0xFFFFFF, 0),), standard=0x8000)
    connected(bridge, standard=name)
    assert bridge.standard & ~STANDARDS[name] == 0


@pytest.mark.parametrize(
    ("present", "detected", "then"),
    [
        (NTSC, PAL, PAL),
        (PAL, NTSC, NTSC),
        (PAL, EVERY, PAL),  # the driver cannot tell them apart
        (STANDARDS["PAL-I"], PAL, STANDARDS["PAL-I"]),
        (NTSC, PAL | NTSC, NTSC),
        (STANDARDS["SECAM"], PAL | NTSC, STANDARDS["SECAM"]),
    ],
)
def test_the_detected_standard_is_set_if_it_is_certain(present: int, detected: int, then: int) -> None:
    bridge = Bridge(standard=present, detected=detected)
    assert connected(bridge).has_changed is (present != then)
    assert bridge.standard == then


@pytest.mark.parametrize("error", [errno.ENOTTY, errno.ENODATA, errno.EBUSY, errno.EIO])
def test_a_driver_that_detects_no_standard_keeps_its_own(error: int) -> None:
    assert connected(Bridge(faults={"QUERYSTD": error})) == Connection(0)


@pytest.mark.parametrize("error", [errno.EBUSY, errno.EINVAL])
def test_a_standard_that_cannot_be_set_is_told_and_costs_no_picture(error: int) -> None:
    (note,) = connected(Bridge(detected=NTSC, faults={"S_STD": error})).notes
    assert note.startswith("the standard NTSC cannot be set (E")
    (note,) = connected(Bridge(inputs=(("Composite", STANDARD, PAL, 0),)), standard="NTSC").notes
    assert "the standard NTSC is not one of this input" in note


def test_names_and_rates_of_standards() -> None:
    assert [name_of(each) for each in (PAL, NTSC, 0x1000, 0x7, 0x1007)] == [
        "PAL",
        "NTSC",
        "NTSC",
        "PAL",
        "PAL-BG",
    ]
    assert frame_interval(PAL) == Fraction(1, 25)
    assert frame_interval(STANDARDS["PAL-60"]) == Fraction(1001, 30000)
    assert frame_interval(EVERY) is None
    assert not is_one_system(0)


# Timings.


def test_the_timings_of_the_source_are_set_once() -> None:
    bridge = hdmi(timings=FULL_HD, source=HD)
    assert connected(bridge) == Connection(0, has_changed=True)
    assert connected(bridge) == Connection(0)
    assert bridge.written == [("timings", (1280, 720))]


@pytest.mark.parametrize(("clock", "changes"), [(148_500_500, 0), (148_351_648, 1), (74_250_000, 1)])
def test_a_measured_clock_may_differ_a_little(clock: int, changes: int) -> None:
    bridge = hdmi(source=(*FULL_HD[:-1], clock))
    assert connected(bridge).has_changed is bool(changes)


def test_a_driver_that_measures_nothing_keeps_its_timings() -> None:
    assert connected(hdmi(source=HD, faults={"QUERY_DV_TIMINGS": errno.ENOTTY})) == Connection(0)


def test_timings_that_cannot_be_set_are_told() -> None:
    (note,) = connected(hdmi(source=INTERLACED_HD, faults={"S_DV_TIMINGS": errno.EINVAL})).notes
    assert note == "the source's size 1920x1080i cannot be set (EINVAL); using the present one"


@pytest.mark.parametrize(("timings", "fps"), [(FULL_HD, 60), (HD, 60), (INTERLACED_HD, 30)])
def test_the_rate_follows_from_the_timings(timings: tuple[int, ...], fps: int) -> None:
    bridge = hdmi(timings=timings, source=timings)
    assert read_source(bridge).interval == Fraction(1, fps)
    (pixel_format,) = probe_by(bridge).formats  # type: ignore[union-attr]
    (size,) = pixel_format.sizes
    assert (size.width.maximum, size.height.maximum) == timings[:2]
    assert [each.shortest for each in size.intervals] == [Fraction(1, fps)]


# Signals.


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errno.ENOLINK, "nothing is connected, or the source is off or asleep"),
        (errno.ENOLCK, "the signal is not stable"),
        (errno.ERANGE, "a size or rate that the device cannot take"),
    ],
)
@pytest.mark.parametrize("status", [0, NO_SIGNAL])
def test_a_digital_source_that_is_missing_is_told_in_words(error: int, words: str, status: int) -> None:
    bridge = Bridge(inputs=(("HDMI", TIMINGS, 0, status),), faults={"QUERY_DV_TIMINGS": error})
    problem = refused(bridge)
    assert problem.reason == "no_signal"
    assert words in problem.details
    assert "'HDMI'" in problem.details
    assert words in probe_by(bridge).source.fault  # type: ignore[union-attr]
    assert connected(bridge, check_signal=False) == Connection()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (NO_POWER, "no power"),
        (NO_SIGNAL, "no signal"),
        (NO_SIGNAL | NO_COLOR, "no signal"),
        (NO_SYNC, "no sync"),
        (0x40000, "carrier"),
    ],
)
@pytest.mark.parametrize("capabilities", [STANDARD, 0, TIMINGS])
def test_what_the_driver_tells_of_the_selected_input_counts(
    status: int, words: str, capabilities: int
) -> None:
    inputs = (("Other", STANDARD, EVERY, NO_SIGNAL), ("Composite", capabilities, EVERY, status))
    bridge = Bridge(inputs=inputs, selected=1)
    assert words in refused(bridge).details
    assert words in signal_fault(bridge, 1)
    assert words in probe_by(bridge).source.fault  # type: ignore[union-attr]
    assert connected(bridge, check_signal=False).input_index is None


@pytest.mark.parametrize("status", [0, NO_COLOR, NO_H_LOCK, 0x10, 0x02000000])
def test_a_weak_signal_is_one(status: int) -> None:
    bridge = Bridge(inputs=(("Composite", STANDARD, EVERY, status),))
    assert connected(bridge) == Connection(0)
    assert signal_fault(bridge, 0) == ""


def test_no_detected_standard_is_no_signal_wherever_it_is_asked() -> None:
    """Decoders without a status of the input tell a missing signal by that alone."""
    bridge = Bridge(detected=0)
    problem = refused(bridge)
    assert problem.reason == "no_signal"
    assert problem.details.endswith(signal_fault(bridge, 0) + ".")
    assert probe_by(bridge).source.fault == signal_fault(bridge, 0)  # type: ignore[union-attr]
    assert "there is no signal at the input 'Composite'" in signal_fault(bridge, 0)
    assert connected(bridge, check_signal=False) == Connection()


@pytest.mark.parametrize("error", [errno.ENOTTY, errno.ENODATA, errno.EBUSY, errno.EIO])
def test_a_driver_that_cannot_detect_a_standard_has_a_signal(error: int) -> None:
    bridge = Bridge(detected=0, faults={"QUERYSTD": error})
    assert signal_fault(bridge, 0) == ""
    assert probe_by(bridge).source.fault == ""  # type: ignore[union-attr]


def test_the_only_input_needs_no_answer_which_is_selected() -> None:
    bridge = Bridge(detected=0, faults={"G_INPUT": errno.EINVAL})
    assert "no signal" in probe_by(bridge).source.fault  # type: ignore[union-attr]


def test_a_digital_input_and_one_that_is_not_selected_are_not_asked_for_a_standard() -> None:
    digital = Bridge(inputs=(("HDMI", TIMINGS, 0, 0),), detected=0)
    assert signal_fault(digital, 0) == ""
    both = Bridge(inputs=(("HDMI", TIMINGS, 0, 0), ("Composite", STANDARD, EVERY, 0)), detected=0)
    assert [each.fault for each in read_source(both).inputs] == ["", ""]


@pytest.mark.parametrize(("status", "detected"), [(NO_SIGNAL, 0), (NO_SIGNAL, EVERY), (0, 0)])
def test_without_a_check_the_standard_is_set_although_there_is_no_signal(status: int, detected: int) -> None:
    bridge = Bridge(inputs=(("Composite", STANDARD, EVERY, status),), detected=detected)
    assert connected(bridge, check_signal=False, standard="NTSC").has_changed
    assert bridge.standard == NTSC
    assert refused(bridge, standard="NTSC").reason == "no_signal"


def test_without_a_check_the_timings_are_followed_although_the_input_tells_no_signal() -> None:
    bridge = Bridge(inputs=(("HDMI", TIMINGS, 0, NO_SIGNAL),), timings=FULL_HD, source=HD)
    assert connected(bridge, check_signal=False).has_changed
    assert bridge.written == [("timings", (1280, 720))]


def test_what_happens_at_another_input_does_not_count() -> None:
    bridge = Bridge(inputs=(("A", STANDARD, EVERY, 0), ("B", STANDARD, EVERY, NO_SIGNAL)))
    assert probe_by(bridge).source.fault == ""  # type: ignore[union-attr]


@pytest.mark.parametrize("call", ["ENUMINPUT", "G_INPUT", "QUERYSTD", "G_STD", "S_STD"])
def test_a_device_that_is_gone_is_told_as_such(call: str) -> None:
    with pytest.raises(OSError, match="No such device"):
        connected(Bridge(detected=NTSC, faults={call: errno.ENODEV}))


@pytest.mark.parametrize("call", ["QUERY_DV_TIMINGS", "G_DV_TIMINGS", "S_DV_TIMINGS"])
def test_a_digital_device_that_is_gone_is_told_as_such(call: str) -> None:
    with pytest.raises(OSError, match="No such device"):
        connected(hdmi(source=HD, faults={call: errno.ENODEV}))
