"""Layout of a simulated camera: identity, formats, sizes, rates and controls."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

__all__ = ("Continuous", "FrameSize", "Layout", "ParameterSets", "Transfer")

Transfer = Literal["bulk", "isochronous"]
#: Key frames of coded video that carry the parameter sets: each, or the first of a stream, as with some encoders.
ParameterSets = Literal["each", "first"]
#: Formats by their V4L2 codes, in the order of their indices in the descriptors.
_FORMATS = {"MJPG": "mjpeg", "YUYV": "yuyv", "H264": "h264", "HEVC": "hevc"}
#: UVC counts time in units of 100 ns.
UNITS_PER_S = 10_000_000


@dataclass(frozen=True, slots=True)
class Continuous:
    """Range of rates from `slowest_fps` to `fastest_fps`; intervals have steps of `step_us`."""

    slowest_fps: int
    fastest_fps: int
    step_us: int = 1000


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Size with its frame rates; the first rate is the default."""

    width: int
    height: int
    rates_fps: tuple[int, ...] | Continuous = (15, 30, 10, 5)

    @property
    def raw_bytes(self) -> int:
        return self.width * self.height * 2

    def intervals(self) -> list[int]:
        """Return the intervals in units of 100 ns, shortest first; for continuous rates: shortest, longest, step."""
        if isinstance(self.rates_fps, Continuous):
            rates = self.rates_fps
            return [UNITS_PER_S // rates.fastest_fps, UNITS_PER_S // rates.slowest_fps, rates.step_us * 10]
        return sorted(UNITS_PER_S // rate for rate in self.rates_fps)

    def default_interval(self) -> int:
        rates = self.rates_fps
        return self.intervals()[0] if isinstance(rates, Continuous) else UNITS_PER_S // rates[0]

    def nearest_interval(self, wanted: int) -> int:
        choices = self.intervals()
        if isinstance(self.rates_fps, Continuous):
            shortest, longest, step = choices
            steps = round((min(max(wanted, shortest), longest) - shortest) / step)
            return shortest + steps * step
        return min(choices, key=lambda each: abs(each - wanted))


VGA = FrameSize(640, 480)
HD = FrameSize(1280, 720, (10, 30, 5))
SMALL = FrameSize(320, 240, (15, 30, 5))


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of a camera; without a serial number, it cannot be distinguished from a twin.

    The first size of each list is the default. `frames` is a folder of JPEG files, `WIDTHxHEIGHT/*.jpg`, served
    unchanged in the order of their names. The first `dark_frames` of each stream come from `WIDTHxHEIGHT/dark/*.jpg`.
    The values of `mute` controls are never answered, nor the setting of `deaf` ones; `undescribed` ones refuse to tell
    their range, and `ranges` has the least and the greatest values of controls that have others than usual.

    Pictures of coded video are the files `CODE/WIDTHxHEIGHT/*.au`. A key frame follows `group` pictures after the last, at
    most 300. The first key frame of a stream comes after `before_key` others, as if the encoder had been running.
    `coded_sizes` are the sizes of the coded pictures of each stream in turn, for an encoder that keeps to no negotiation.
    `coded_apart`: coded video has a video function of its own, and so another node.
    """

    serial: str | None = "CAM-A"
    product: str = "Sim Cam"
    manufacturer: str = "Simulated"
    vendor_id: int = 0x1D6B
    product_id: int = 0x0102
    mjpeg: tuple[FrameSize, ...] = (VGA, HD, SMALL)
    yuyv: tuple[FrameSize, ...] = (VGA, SMALL)
    h264: tuple[FrameSize, ...] = ()
    hevc: tuple[FrameSize, ...] = ()
    group: int = 10
    before_key: int = 0
    parameter_sets: ParameterSets = "each"
    coded_sizes: tuple[tuple[int, int], ...] = ()
    coded_apart: bool = False
    transfer: Transfer = "bulk"
    dark_frames: int = 0
    frames: str = "/opt/site/frames"
    controls: tuple[str, ...] = field(
        default=(
            "auto_exposure",
            "exposure_time",
            "brightness",
            "contrast",
            "gain",
            "power_line_frequency",
            "white_balance_automatic",
            "white_balance_temperature",
        )
    )
    mute: tuple[str, ...] = ()
    deaf: tuple[str, ...] = ()
    undescribed: tuple[str, ...] = ()
    ranges: tuple[tuple[str, int, int], ...] = ()

    @property
    def formats(self) -> list[tuple[str, tuple[FrameSize, ...]]]:
        """Formats in the order of their indices in the descriptors, which start at 1."""
        named = ((code, getattr(self, name)) for code, name in _FORMATS.items())
        return [(code, sizes) for code, sizes in named if sizes]

    @property
    def functions(self) -> list[list[tuple[str, tuple[FrameSize, ...]]]]:
        """Formats of each video function."""
        if not self.coded_apart:
            return [self.formats]
        pictures = [each for each in self.formats if each[0] in ("MJPG", "YUYV")]
        return [pictures, [each for each in self.formats if each not in pictures]]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Layout":
        values: dict[str, Any] = json.loads(text)
        for name in _FORMATS.values():
            values[name] = tuple(_frame_size(each) for each in values[name])
        for name in ("controls", "mute", "deaf", "undescribed"):
            values[name] = tuple(values[name])
        for name in ("ranges", "coded_sizes"):
            values[name] = tuple(tuple(each) for each in values[name])
        assert values.keys() == {each.name for each in fields(cls)}
        return cls(**values)


def _frame_size(values: Mapping[str, Any]) -> FrameSize:
    rates = values["rates_fps"]
    return FrameSize(
        values["width"],
        values["height"],
        Continuous(**rates) if isinstance(rates, dict) else tuple(rates),
    )
