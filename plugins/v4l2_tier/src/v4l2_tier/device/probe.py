"""Probe of a device's kind and capabilities. It opens the device and may block: call it in a worker thread.

It uses linuxpy's structures and `ioctl`, but not its `Device` or iterators. In linuxpy 0.25 those fail on unknown
enumeration values and on overlay devices (`UnboundLocalError`), round frame rates through floating point and stop at
128 entries. Importing only the structures also saves 15 MB.
"""

import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from v4l2_tier.device.calls import GONE, Answers, DriverCall, calls_to
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.planarity import Planarity, code_of, new_format, picture_of
from v4l2_tier.device.probe_controls import read_controls
from v4l2_tier.device.sensor_drivers import is_processor
from v4l2_tier.device.video_inputs import read_source
from v4l2_tier.device.writers import NO_WRITER, lacks_writer

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("NoCamera", "probe", "probe_by", "read_offer")

_log = logging.getLogger("camera_agent.v4l2_tier")

# From <linux/videodev2.h>, see "Querying capabilities" in the V4L2 manual.
_VIDEO_CAPTURE, _VIDEO_OUTPUT, _CAPTURE_MPLANE, _OUTPUT_MPLANE = 0x1, 0x2, 0x1000, 0x2000
_M2M_MPLANE, _M2M, _STREAMING, _IO_MC, _DEVICE_CAPS = 0x4000, 0x8000, 0x04000000, 0x20000000, 0x80000000
#: Start of bus_info of v4l2loopback and its variants. With exclusive_caps=0 its devices capture and put out at once.
_LOOPBACK = "platform:v4l2loopback"
#: V4L2_FRMSIZE_TYPE_DISCRETE and V4L2_FRMIVAL_TYPE_DISCRETE; 2 is continuous, 3 stepwise.
_DISCRETE, _CONTINUOUS = 1, 2
#: Most entries read of an enumeration, far above any real device: a driver may ignore the index and never end.
_MOST = 4096
#: Most equal entries in a row: some cameras repeat a size or rate, but more mean that the driver ignores the index.
_MOST_ALIKE = 4
#: Sizes that a driver without a list of sizes is asked for.
_COMMON_SIZES = ((640, 480), (720, 576), (1280, 720), (1920, 1080))

#: Errors that end an enumeration; ENODATA means that the current input has no entries.
_END = frozenset({errno.EINVAL, errno.ENOTTY, errno.ENODATA})


class _Indexed(Protocol):
    """Structure of linuxpy for both request and result of an enumeration; the index is its first field."""

    index: int

    def __buffer__(self, flags: int, /) -> memoryview: ...


StructT = TypeVar("StructT", bound=_Indexed)


@dataclass(frozen=True, slots=True)
class NoCamera:
    """Result for a node that is not a usable camera; `remarkable` if a user might expect that it is one.

    `is_sensor`: it belongs to a camera that only libcamera can use, often with further nodes.
    """

    why: str
    remarkable: bool = False
    is_sensor: bool = False


_WITHOUT_WRITER = NoCamera(NO_WRITER)


def probe(node: Path, answers: Answers | None = None) -> Capabilities | NoCamera:
    """Return the capabilities of `node`, or the reason why it is not a camera; `answers` counts what it has answered.

    Raises:
        OSError: the device cannot be opened or does not answer.
    """
    descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        call, number = calls_to(descriptor, answers), os.fstat(descriptor).st_rdev
        return _WITHOUT_WRITER if lacks_writer(call, number) else probe_by(call, number)
    finally:
        os.close(descriptor)


def probe_by(call: DriverCall, device_number: int = 0) -> Capabilities | NoCamera:
    """Do the work of `probe` by calls to an open device.

    Only its kind and its formats must be known. Inputs, sizes, rates and controls that the driver cannot tell are left
    out.
    """
    found = read_offer(call, device_number)
    return found if isinstance(found, NoCamera) else replace(found, controls=tuple(read_controls(call)))


def read_offer(call: DriverCall, device_number: int = 0) -> Capabilities | NoCamera:
    """Return what `probe_by` does, without the controls: what may change while the device stays plugged.

    Raises:
        OSError: the device is gone, or does not tell even its first format.
    """
    from linuxpy.video import raw

    told = raw.v4l2_capability()
    call(raw.IOC.QUERYCAP, told)
    flags = told.device_caps if told.capabilities & _DEVICE_CAPS else told.capabilities
    card, bus_info = told.card.decode(errors="replace"), told.bus_info.decode(errors="replace")
    is_loopback = bus_info.startswith(_LOOPBACK)
    if is_loopback:
        flags &= ~_M2M  # some of its versions claim it
    driver = told.driver.decode(errors="replace")
    refusal = _refusal(flags, card, driver)
    if refusal is not None:
        return _WITHOUT_WRITER if is_loopback else refusal
    source = read_source(call)
    if not source.inputs:
        return NoCamera("it has no video input, like converters and codecs")
    planarity = Planarity.SINGLE if flags & _VIDEO_CAPTURE else Planarity.MULTI
    formats = _with_interval(tuple(_formats(call, planarity)), source.interval)
    if flags & _VIDEO_OUTPUT and not _are_fixed(formats):
        return _WITHOUT_WRITER
    return Capabilities(
        driver=driver,
        card=card,
        bus_info=bus_info,
        formats=formats,
        device_number=device_number,
        source=source,
        planarity=planarity,
    )


def _are_fixed(formats: tuple[PixelFormat, ...]) -> bool:
    """Return whether another program has chosen the format and the size, as the writer of a loopback device does."""
    if len(formats) != 1 or len(formats[0].sizes) != 1:
        return False
    (size,) = formats[0].sizes
    return all(span.minimum == span.maximum for span in (size.width, size.height))


def _with_interval(formats: tuple[PixelFormat, ...], interval: Fraction | None) -> tuple[PixelFormat, ...]:
    """Return the formats with the source's own rate where the driver lists none, as most bridges."""
    if interval is None:
        return formats
    own = (Intervals(interval, interval),)
    return tuple(
        replace(each, sizes=tuple(replace(size, intervals=size.intervals or own) for size in each.sizes))
        for each in formats
    )


def _refusal(flags: int, card: str, driver: str) -> NoCamera | None:
    is_output = flags & _VIDEO_OUTPUT and not flags & _VIDEO_CAPTURE
    if flags & (_M2M | _M2M_MPLANE | _OUTPUT_MPLANE) or is_output:
        return NoCamera("it is an output, a converter or a codec")
    if not flags & (_VIDEO_CAPTURE | _CAPTURE_MPLANE):
        return NoCamera("it does not capture video")
    if is_processor(driver):
        return NoCamera("it is an image processor")
    if flags & _IO_MC:
        return NoCamera(
            f"{card} needs setup through the media controller, which libcamera does",
            remarkable=True,
            is_sensor=True,
        )
    if not flags & _STREAMING:
        return NoCamera(f"{card} supports only read(), not streaming, which is required", True)  # noqa: FBT003 - as above
    return None


def _enumerate(call: DriverCall, request: int, entry: StructT, *, needed: bool = False) -> Iterator[StructT]:
    """Yield `entry` filled in for index 0, 1, ... until the driver has no more; the same object each time.

    An error ends it, too. It is raised if the device is gone, or if even the first entry fails and is `needed`.
    """
    before, alike = b"", 0
    for index in range(_MOST):
        entry.index = index
        try:
            call(request, entry)
        except OSError as error:
            if error.errno in _END:
                return
            if error.errno in GONE or (needed and index == 0):
                raise
            _log.info("the camera does not tell all that it offers: %s", error.strerror)
            return
        content = bytes(entry)[4:]
        alike = alike + 1 if content == before else 1
        if alike > _MOST_ALIKE:
            return
        before = content
        yield entry


def _formats(call: DriverCall, planarity: Planarity) -> Iterator[PixelFormat]:
    from linuxpy.video import raw

    entry = raw.v4l2_fmtdesc()
    entry.type = planarity.value
    for each in _enumerate(call, raw.IOC.ENUM_FMT, entry, needed=True):
        code, description = each.pixelformat, each.description.decode(errors="replace")
        sizes = tuple(_sizes(call, code)) or tuple(_tried_sizes(call, code, planarity))
        yield PixelFormat(code_of(code), description, sizes)


def _sizes(call: DriverCall, code: int) -> Iterator[FrameSize]:
    from linuxpy.video import raw

    entry = raw.v4l2_frmsizeenum()
    entry.pixel_format = code
    for each in _enumerate(call, raw.IOC.ENUM_FRAMESIZES, entry):
        width, height = _spans(each)
        if not width.maximum or not height.maximum:  # an empty descriptor
            continue
        yield FrameSize(width, height, tuple(_intervals(call, code, width.maximum, height.maximum)))


def _spans(entry: "raw.v4l2_frmsizeenum") -> tuple[Span, Span]:
    if entry.type == _DISCRETE:
        width, height = entry.discrete.width, entry.discrete.height
        return Span(width, width), Span(height, height)
    steps = entry.stepwise
    step_width, step_height = (1, 1) if entry.type == _CONTINUOUS else (steps.step_width, steps.step_height)
    return (
        _span(steps.min_width, steps.max_width, step_width),
        _span(steps.min_height, steps.max_height, step_height),
    )


def _span(minimum: int, maximum: int, step: int) -> Span:
    """Return a range that has a size of 0 only if it has no other, and in which the maximum is not the lower end."""
    step = max(step, 1)
    lowest = minimum or min(step, maximum)
    return Span(lowest, max(lowest, maximum), step)


def _tried_sizes(call: DriverCall, code: int, planarity: Planarity) -> Iterator[FrameSize]:
    """Yield sizes of a driver that enumerates none: the present one and common ones; changes no setting.

    Another program may have left any size, so the present one is not all.
    """
    from linuxpy.video import raw

    present = new_format(planarity)
    sizes: dict[tuple[int, int], None] = {}
    try:
        call(raw.IOC.G_FMT, present)
        pix = picture_of(present)
        for width, height in ((pix.width, pix.height), *_COMMON_SIZES):
            if (found := _tried(call, code, (width, height), planarity)) is not None:
                sizes[found] = None
    except OSError as error:
        if error.errno in GONE:
            raise
    for width, height in sizes:
        intervals = tuple(_intervals(call, code, width, height))
        yield FrameSize(Span(width, width), Span(height, height), intervals)


def _tried(
    call: DriverCall, code: int, size: tuple[int, int], planarity: Planarity
) -> tuple[int, int] | None:
    """Return the size that the driver makes of this one, None if it has another format only."""
    from linuxpy.video import raw

    wanted = new_format(planarity)
    pix = picture_of(wanted)
    pix.pixelformat, (pix.width, pix.height) = code, size
    call(raw.IOC.TRY_FMT, wanted)
    return (pix.width, pix.height) if pix.pixelformat == code else None


def _intervals(call: DriverCall, code: int, width: int, height: int) -> Iterator[Intervals]:
    from linuxpy.video import raw

    entry = raw.v4l2_frmivalenum()
    entry.pixel_format, entry.width, entry.height = code, width, height
    for each in _enumerate(call, raw.IOC.ENUM_FRAMEINTERVALS, entry):
        if each.type == _DISCRETE:
            shortest = longest = _fraction(each.discrete)
            step = Fraction(0)
        else:
            shortest, longest = _fraction(each.stepwise.min), _fraction(each.stepwise.max)
            step = Fraction(0) if each.type == _CONTINUOUS else _fraction(each.stepwise.step)
        if longest > 0:
            yield Intervals(shortest, longest, step)


def _fraction(value: "raw.v4l2_fract") -> Fraction:
    return Fraction(value.numerator, value.denominator) if value.denominator else Fraction(0)
