"""Conversion of capabilities to the modes and controls that clients see."""

from collections.abc import Iterator

from agent_core.plugin import CameraMode, Control, ControlFlag
from v4l2_tier.device.capabilities import Capabilities, DeviceControl, FrameSize, Intervals, Span

__all__ = ("controls_of", "modes_of", "offered_control")

#: Values listed of a range, besides its ends.
_USUAL_SIZES = ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))
_USUAL_FPS = (5, 10, 15, 25, 30, 60)


def modes_of(capabilities: Capabilities) -> tuple[CameraMode, ...]:
    """Return each format at each size once; of a range, its ends and common values between."""
    modes = (
        CameraMode(pixel_format.code, width, height, _rates(size))
        for pixel_format in capabilities.formats
        for size in pixel_format.sizes
        for width, height in _sizes(size)
    )
    return tuple(dict.fromkeys(modes))


def controls_of(capabilities: Capabilities) -> tuple[Control, ...]:
    return tuple(offered_control(each) for each in capabilities.controls)


def offered_control(control: DeviceControl) -> Control:
    """Return a device's control as clients see it."""
    flags = {
        ControlFlag.READ_ONLY: control.read_only,
        ControlFlag.WRITE_ONLY: control.write_only,
        ControlFlag.INACTIVE: control.inactive,
        ControlFlag.DISABLED: control.disabled,
        ControlFlag.GRABBED: control.grabbed,
        ControlFlag.VOLATILE: control.volatile,
        ControlFlag.UNREADABLE: control.unreadable,
    }
    return Control(
        name=control.name,
        kind=control.kind,
        minimum=control.minimum,
        maximum=control.maximum,
        step=control.step,
        default=control.default,
        value=control.value,
        choices=control.choices,
        flags=frozenset(flag for flag, is_set in flags.items() if is_set),
        unsettable=control.unsettable,
    )


def _sizes(size: FrameSize) -> Iterator[tuple[int, int]]:
    smallest = (size.width.minimum, size.height.minimum)
    largest = (size.width.maximum, size.height.maximum)
    yield smallest
    for width, height in _USUAL_SIZES:
        between = _has(size.width, width) and _has(size.height, height)
        if between and (width, height) not in (smallest, largest):
            yield width, height
    if largest != smallest:
        yield largest


def _has(span: Span, value: int) -> bool:
    return span.minimum <= value <= span.maximum and (value - span.minimum) % span.step == 0


def _rates(size: FrameSize) -> tuple[float, ...]:
    """Return the rates in frames per second, highest first."""
    rates = {rate for intervals in size.intervals for rate in _rates_of(intervals)}
    return tuple(sorted(rates, reverse=True))


def _rates_of(intervals: Intervals) -> Iterator[float]:
    slowest = float(1 / intervals.longest)
    yield round(slowest, 3)
    if intervals.shortest <= 0 or intervals.shortest == intervals.longest:
        return
    fastest = float(1 / intervals.shortest)
    yield round(fastest, 3)
    yield from (float(fps) for fps in _USUAL_FPS if slowest < fps < fastest)
