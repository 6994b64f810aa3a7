"""What a V4L2 device offers, as values; nothing here opens a device.

A single value and a range have one form: a `Span` whose ends are equal, or not.
"""

from dataclasses import dataclass
from fractions import Fraction

__all__ = ("Capabilities", "DeviceControl", "FrameSize", "Intervals", "PixelFormat", "Span")


@dataclass(frozen=True, slots=True)
class Span:
    """From `minimum` to `maximum` (pixels) in steps of `step`."""

    minimum: int
    maximum: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Intervals:
    """Times between frames (seconds), from `shortest` to `longest`; equal for a discrete one.

    `step` is 0 where any value between is possible.
    """

    shortest: Fraction
    longest: Fraction
    step: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class FrameSize:
    """One size, or a range of them; `intervals` is empty where the driver does not tell."""

    width: Span
    height: Span
    intervals: tuple[Intervals, ...] = ()


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """`code` is the four-character code without trailing blanks, such as `MJPG` or `YUYV`."""

    code: str
    description: str
    sizes: tuple[FrameSize, ...]


@dataclass(frozen=True, slots=True)
class DeviceControl:
    """An image control. `name` is the driver's in lower case with underscores, as `v4l2-ctl` prints it.

    `kind` is `integer`, `boolean`, `menu`, `integer_menu`, `button`, `bitmask` or `integer64`; `choices` maps the
    values of a menu to their labels. `inactive`: another control (an automatic) rules it at the moment.
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

    @property
    def is_readable(self) -> bool:
        """Whether it has a value that means something when it is read."""
        return self.kind != "button" and not self.write_only


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One capture device. `bus_info` tells equal devices of one driver apart, for example `usb-0000:00:14.0-1`."""

    driver: str
    card: str
    bus_info: str
    formats: tuple[PixelFormat, ...]
    controls: tuple[DeviceControl, ...] = ()
