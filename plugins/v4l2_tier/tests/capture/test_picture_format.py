"""Agreement with a driver whose format, fields, section and rate another program has left."""

import dataclasses
import errno
import os
from dataclasses import dataclass
from fractions import Fraction

import pytest
from linuxpy.video import raw

from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.picture_format import agree_on_format, agree_on_interval
from v4l2_tier.device.probe import probe_by

MODE = ChosenMode("YUYV", 720, 576, Fraction(1, 25))
TOP, INTERLACED, SEQ_TB, ALTERNATE = 2, 4, 5, 7
WHOLE, PART = (0, 0, 720, 576), (100, 100, 360, 288)


@dataclass
class Grabber:
    """Analog grabber: what another program has left, and the fields that the driver can give."""

    code: str = "YUYV"
    size: tuple[int, int] = (720, 576)
    field: int = INTERLACED
    #: The driver's choice where the program has none.
    usual: int = INTERLACED
    fields: tuple[int, ...] = (TOP, INTERLACED, SEQ_TB, ALTERNATE)
    sections: dict[int, tuple[int, int, int, int]] = dataclasses.field(default_factory=dict)
    interval: tuple[int, int] = (1, 25)
    faults: dict[str, int] = dataclasses.field(default_factory=dict)
    written: list[str] = dataclasses.field(default_factory=list)

    def __call__(self, request: int, argument: object, /) -> object:
        name = raw.IOC(request).name
        answer = getattr(self, name.lower(), None)
        number = self.faults.get(name, 0 if answer else errno.ENOTTY)
        if number:
            raise OSError(number, os.strerror(number))
        if name.startswith("S_"):
            self.written.append(name)
        answer(argument)  # type: ignore[misc] # it is there: see above
        return argument

    def g_fmt(self, found: raw.v4l2_format) -> None:
        pix = found.fmt.pix
        pix.pixelformat = raw.v4l2_fourcc(*self.code)
        (pix.width, pix.height), pix.field = self.size, self.field

    def try_fmt(self, wanted: raw.v4l2_format) -> None:
        pix = wanted.fmt.pix
        if pix.field not in self.fields:
            pix.field = self.usual
        halves = pix.field in (TOP, ALTERNATE)
        pix.width, pix.height = min(pix.width, 720), min(pix.height, 288 if halves else 576)

    def s_fmt(self, wanted: raw.v4l2_format) -> None:
        self.try_fmt(wanted)
        pix = wanted.fmt.pix
        self.code = pix.pixelformat.to_bytes(4, "little").decode()
        self.size, self.field = (pix.width, pix.height), pix.field

    def g_selection(self, asked: raw.v4l2_selection) -> None:
        if not self.sections:
            raise OSError(errno.ENOTTY, "no sections")
        asked.r.left, asked.r.top, asked.r.width, asked.r.height = self.sections[asked.target]

    def s_selection(self, asked: raw.v4l2_selection) -> None:
        self.sections[asked.target] = (asked.r.left, asked.r.top, asked.r.width, asked.r.height)

    def g_parm(self, told: raw.v4l2_streamparm) -> None:
        told.parm.capture.capability = 0x1000
        told.parm.capture.timeperframe.numerator, told.parm.capture.timeperframe.denominator = self.interval

    def s_parm(self, told: raw.v4l2_streamparm) -> None:
        rate = told.parm.capture.timeperframe
        self.interval = (rate.numerator, rate.denominator)

    def querycap(self, told: raw.v4l2_capability) -> None:
        told.capabilities = 0x04000001

    def enuminput(self, entry: raw.v4l2_input) -> None:
        pass

    def enum_fmt(self, entry: raw.v4l2_fmtdesc) -> None:
        if entry.index:
            raise OSError(errno.EINVAL, "no more")
        entry.pixelformat = raw.v4l2_fourcc(*"YUYV")


def test_what_is_right_already_is_not_written() -> None:
    grabber = Grabber(sections={0: WHOLE, 1: WHOLE, 0x100: WHOLE, 0x101: WHOLE})
    layout = agree_on_format(grabber, MODE)
    assert agree_on_interval(grabber, MODE.interval) == (Fraction(1, 25), ())
    assert (layout.code, layout.width, layout.height, layout.notes) == ("YUYV", 720, 576, ())
    assert grabber.written == []


@pytest.mark.parametrize("left", [SEQ_TB, 6, ALTERNATE, TOP, 3])
@pytest.mark.parametrize("usual", [INTERLACED, TOP, SEQ_TB])
def test_fields_that_another_program_has_left_are_set_to_whole_pictures(left: int, usual: int) -> None:
    grabber = Grabber(field=left, usual=usual, fields=(1, 2, 3, 4, 5, 6, 7))
    layout = agree_on_format(grabber, MODE)
    assert (grabber.field, layout.width, layout.height, layout.notes) == (INTERLACED, 720, 576, ())


@pytest.mark.parametrize("field", [1, 4, 8, 9])
def test_whole_pictures_are_left_as_they_are(field: int) -> None:
    grabber = Grabber(field=field)
    agree_on_format(grabber, MODE)
    assert (grabber.field, grabber.written) == (field, [])


def test_a_driver_that_has_fields_only_says_so() -> None:
    grabber = Grabber(field=ALTERNATE, usual=ALTERNATE, fields=(ALTERNATE,))
    (note,) = agree_on_format(grabber, MODE).notes
    assert "separate fields (alternate)" in note


@pytest.mark.parametrize("target", [0, 0x100])
def test_a_section_that_another_program_has_left_becomes_the_whole(target: int) -> None:
    sections = {0: WHOLE, 1: WHOLE, 0x100: WHOLE, 0x101: WHOLE} | {target: PART}
    grabber = Grabber(sections=sections)
    agree_on_format(grabber, MODE)
    assert grabber.sections[target] == WHOLE
    assert grabber.written == ["S_SELECTION"]


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EBUSY, errno.EIO])
def test_a_section_that_cannot_be_set_costs_no_picture(error: int) -> None:
    sections = {0: PART, 1: WHOLE, 0x100: WHOLE, 0x101: WHOLE}
    grabber = Grabber(size=(320, 240), sections=sections, faults={"S_SELECTION": error})
    assert agree_on_format(grabber, MODE).width == 720


@pytest.mark.parametrize("call", ["G_PARM", "S_PARM"])
def test_a_rate_that_is_not_answered_is_told_and_costs_no_picture(call: str) -> None:
    grabber = Grabber(interval=(1, 5), faults={call: errno.ETIMEDOUT})
    interval, (note,) = agree_on_interval(grabber, MODE.interval)
    assert interval is None
    assert "ETIMEDOUT" in note


@pytest.mark.parametrize("error", [errno.ENODEV, errno.EBUSY])
def test_a_device_that_is_gone_or_in_use_is_told_as_such(error: int) -> None:
    with pytest.raises(OSError, match=os.strerror(error)):
        agree_on_interval(Grabber(interval=(1, 5), faults={"S_PARM": error}), MODE.interval)
    with pytest.raises(OSError, match=os.strerror(error)):
        agree_on_format(Grabber(size=(1, 1), faults={"S_FMT": error}), MODE)


def test_a_driver_without_a_list_of_sizes_is_asked_for_more_than_what_was_left() -> None:
    found = probe_by(Grabber(size=(720, 288), field=ALTERNATE))
    sizes = [(each.width.maximum, each.height.maximum) for each in found.formats[0].sizes]  # type: ignore[union-attr]
    assert (720, 576) in sizes
    assert sizes[0] == (720, 288)
