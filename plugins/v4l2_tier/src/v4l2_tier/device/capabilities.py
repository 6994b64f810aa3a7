"""Values that describe what a V4L2 device offers.

A `Span` represents both a single value (its ends are equal) and a range.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from v4l2_tier.device.planarity import Planarity
from v4l2_tier.device.video_inputs import VideoSource

__all__ = ("Capabilities", "DeviceControl", "FrameSize", "Intervals", "PixelFormat", "Span")


@dataclass(frozen=True, slots=True)
class Span:
    """Range from `minimum` to `maximum` (pixels) in steps of `step`."""

    minimum: int
    maximum: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Intervals:
    """Range of times between frames (seconds); `shortest` and `longest` are equal for a discrete one.

    `step` is 0 if every value between them is possible.
    """

    shortest: Fraction
    longest: Fraction
    step: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Single size or range of sizes; `intervals` is empty if the driver reports none."""

    width: Span
    height: Span
    intervals: tuple[Intervals, ...] = ()


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Pixel format; `code` is its four-character code without trailing blanks, such as `MJPG` or `YUYV`."""

    code: str
    description: str
    sizes: tuple[FrameSize, ...]


@dataclass(frozen=True, slots=True)
class DeviceControl:
    """Image control. `name` is the driver's name in lower case with underscores, as `v4l2-ctl` prints it.

    `kind` is `integer`, `boolean`, `menu`, `integer_menu`, `button`, `bitmask` or `integer64`, and for one that cannot be
    set `string`, `compound` or `unknown`, with the reason in `unsettable`. `choices` pairs the values of a menu with their
    labels. `inactive`: another control (an automatic mode) currently determines the value. `unreadable`: the device did
    not answer when the value was read; `value` is the default.
    """

    id: int
    name: str
    kind: str
    minimum: int
    maximum: int
    step: int
    default: int
    value: int
    choices: tuple[tuple[int, str], ...] = ()
    inactive: bool = False
    read_only: bool = False
    write_only: bool = False
    disabled: bool = False
    grabbed: bool = False
    volatile: bool = False
    unreadable: bool = False
    unsettable: str = ""

    @property
    def is_readable(self) -> bool:
        """True if reading the control returns a meaningful value."""
        return self.kind != "button" and not (self.write_only or self.disabled or self.unsettable)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities of one capture device; `bus_info`, such as `usb-0000:00:14.0-1`, is unique within a driver.

    `device_number` is the number of the opened node, as in `DeviceNode`. `source` tells the inputs, and if the selected
    one has a signal.
    """

    driver: str
    card: str
    bus_info: str
    formats: tuple[PixelFormat, ...]
    controls: tuple[DeviceControl, ...] = ()
    device_number: int = 0
    source: VideoSource = field(default_factory=VideoSource)
    planarity: Planarity = Planarity.SINGLE

    @property
    def offer(self) -> tuple[object, ...]:
        """Comparable part that decides how to capture: the device and its formats."""
        return self.driver, self.card, self.bus_info, self.formats
