"""Choice of the picture format, size and frame rate of a camera."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType

from agent_core.plugin import CaptureFailed, VideoCodec
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.raw_formats import RAW_FORMATS
from v4l2_tier.settings import CaptureSettings

__all__ = ("CODED_FORMATS", "JPEG_FORMATS", "ChosenMode", "choose", "without_jpegs")

#: Formats whose frames are already JPEGs.
JPEG_FORMATS = ("MJPG", "JPEG")
#: Formats whose frames are access units of coded video, with start codes (Annex B).
CODED_FORMATS: Mapping[str, VideoCodec] = MappingProxyType({"H264": VideoCodec.H264, "HEVC": VideoCodec.H265})
_ALL_FORMATS = (*JPEG_FORMATS, *RAW_FORMATS, *CODED_FORMATS)
#: Largest size without a configured one: a small board can still encode it to H.264 in software.
_DEFAULT_WIDTH, _DEFAULT_HEIGHT = 1280, 720
#: Lowest rate accepted for a larger size without a configured one: raw formats are often slower on USB 2.
_FLUENT_FPS = 15
_DEFAULT_FPS = 30
#: Relative difference of equal rates: drivers round them, so 29.97 fulfils 30, and 30.0003 is not above 30.
_CLOSE = 0.01


@dataclass(frozen=True, slots=True)
class ChosenMode:
    """Mode to capture in; `interval` is the time between frames (seconds), `notes` the settings it does not meet."""

    pixel_format: str
    width: int
    height: int
    interval: Fraction
    notes: tuple[str, ...] = ()

    @property
    def fps(self) -> float:
        return float(1 / self.interval)

    @property
    def is_jpeg(self) -> bool:
        return self.pixel_format in JPEG_FORMATS

    @property
    def codec(self) -> VideoCodec:
        """Coding of the pictures as they are delivered: the camera's own, or JPEG."""
        return CODED_FORMATS.get(self.pixel_format, VideoCodec.MJPEG)

    @property
    def is_coded(self) -> bool:
        return self.pixel_format in CODED_FORMATS


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Mode that the device offers."""

    pixel_format: str
    width: int
    height: int
    interval: Fraction


def choose(capabilities: Capabilities, settings: CaptureSettings) -> ChosenMode:
    """Return the offered mode nearest to the settings.

    A configured format counts first, then the size, then a configured rate. Of equal modes JPEG is taken, which needs no
    encoder and the least bandwidth, then the one with the better rate. Without a configured size, choose the largest up
    to 1280x720 with at least 15 frames per second, of Bayer and deep grey formats only if there is nothing else. Coded
    video is taken if it is the configured format, or if there is nothing else: snapshots cost more with it.

    Raises:
        CaptureFailed: (`no_usable_format`) no offered format is JPEG or coded video, or can be encoded to JPEG.
    """
    offered = _usable_formats(capabilities)
    wanted = (settings.pixel_format or "").rstrip()
    pictures = [each for each in offered if each.code not in CODED_FORMATS]
    formats = [each for each in offered if each.code == wanted] or pictures or offered
    candidates = [candidate for pixel_format in formats for candidate in _candidates(pixel_format, settings)]
    if not candidates:
        raise _no_usable_format(capabilities)
    best = min(candidates, key=lambda candidate: _badness(candidate, settings))
    others = [each for pixel_format in offered for each in _candidates(pixel_format, settings)]
    return ChosenMode(
        best.pixel_format,
        best.width,
        best.height,
        best.interval,
        tuple(_notes(best, others, capabilities, settings)),
    )


def without_jpegs(capabilities: Capabilities) -> Capabilities:
    """Return the capabilities with only the uncompressed formats that can be encoded."""
    raw = tuple(each for each in capabilities.formats if each.code in RAW_FORMATS and each.sizes)
    return replace(capabilities, formats=raw)


def _usable_formats(capabilities: Capabilities) -> list[PixelFormat]:
    """Return the formats that are JPEG or coded video, or can be encoded to JPEG."""
    formats = [offered for offered in capabilities.formats if offered.code in _ALL_FORMATS and offered.sizes]
    if not formats:
        raise _no_usable_format(capabilities)
    return formats


def _no_usable_format(capabilities: Capabilities) -> CaptureFailed:
    offered = ", ".join(pixel_format.code for pixel_format in capabilities.formats) or "none"
    return CaptureFailed(
        f"The camera offers no picture format that the agent can use (offered: {offered}).",
        reason="no_usable_format",
        suggestion="Use a camera that offers MJPG, YUYV, H264 or another format that the README of v4l2_tier lists.",
    )


def _candidates(pixel_format: PixelFormat, settings: CaptureSettings) -> Iterator[_Candidate]:
    for size in pixel_format.sizes:
        if min(size.width.minimum, size.height.minimum) <= 0:  # an empty descriptor
            continue
        width = _nearest(size.width, settings.width or _from_height(settings) or _DEFAULT_WIDTH)
        height = _nearest(size.height, settings.height or _from_width(settings, width) or _DEFAULT_HEIGHT)
        yield _Candidate(pixel_format.code, width, height, _best_interval(size, settings))


def _from_height(settings: CaptureSettings) -> int | None:
    return round(settings.height * 16 / 9) if settings.height and not settings.width else None


def _from_width(settings: CaptureSettings, width: int) -> int | None:
    return round(width * 9 / 16) if settings.width else None


def _nearest(span: Span, wanted: int) -> int:
    """Return the value of `span` nearest to `wanted`."""
    clamped = min(max(wanted, span.minimum), span.maximum)
    steps = round((clamped - span.minimum) / max(span.step, 1))
    value = span.minimum + steps * max(span.step, 1)
    return value if value <= span.maximum else value - max(span.step, 1)


def _best_interval(size: FrameSize, settings: CaptureSettings) -> Fraction:
    """Return the interval nearest to the configured rate, else that of the highest rate up to 30 frames per second."""
    wanted = 1 / Fraction(settings.fps or _DEFAULT_FPS).limit_denominator(1001)
    offered = [_nearest_interval(intervals, wanted) for intervals in size.intervals if intervals.longest > 0]
    if not offered:
        return wanted
    if settings.fps is None:
        slow_enough = [interval for interval in offered if interval >= wanted * Fraction(1 - _CLOSE)]
        return min(slow_enough) if slow_enough else max(offered)
    return min(offered, key=lambda interval: _distance(float(interval), float(wanted)))


def _nearest_interval(intervals: Intervals, wanted: Fraction) -> Fraction:
    shortest = intervals.shortest
    if shortest <= 0:  # the driver leaves its highest rate open
        shortest = min(wanted, intervals.longest)
    clamped = min(max(wanted, shortest), intervals.longest)
    if intervals.step <= 0 or clamped == intervals.longest:
        return clamped
    return min(shortest + round((clamped - shortest) / intervals.step) * intervals.step, intervals.longest)


def _distance(value: float, wanted: float) -> float:
    """Return the absolute logarithm of the ratio: 0 if equal, and the same for double and half."""
    return abs(math.log(value / wanted))


def _badness(candidate: _Candidate, settings: CaptureSettings) -> tuple[float, ...]:
    """Return the sort key of a mode: size, configured rate, JPEG or not, rate, format; smaller is better.

    Without a configured size, a sensor's raw values are only for cameras that have no other format.
    """
    raw = RAW_FORMATS.get(candidate.pixel_format)
    is_sensors = raw is not None and raw.is_sensors
    rate = round(_distance(float(1 / candidate.interval), settings.fps or _DEFAULT_FPS), 2)
    return (
        is_sensors and not (settings.width or settings.height),
        _size_badness(candidate, settings),
        rate if settings.fps else 0,
        candidate.pixel_format not in JPEG_FORMATS,
        rate,
        is_sensors,
        _ALL_FORMATS.index(candidate.pixel_format),
    )


def _size_badness(candidate: _Candidate, settings: CaptureSettings) -> float:
    width, height = candidate.width, candidate.height
    if settings.width and settings.height:
        area = _distance(width * height, settings.width * settings.height)
        return area + _distance(width / height, settings.width / settings.height)
    if settings.width:
        return _distance(width, settings.width)
    if settings.height:
        return _distance(height, settings.height)
    return _default_size_badness(candidate, min(_FLUENT_FPS, settings.fps or _DEFAULT_FPS))


def _default_size_badness(candidate: _Candidate, fluent_fps: float) -> float:
    """Prefer the largest size that fits and is fluent, else the fastest that fits, else the smallest."""
    area_ratio = candidate.width * candidate.height / (_DEFAULT_WIDTH * _DEFAULT_HEIGHT)
    fps = float(1 / candidate.interval)
    if candidate.width > _DEFAULT_WIDTH or candidate.height > _DEFAULT_HEIGHT:
        return 1e6 + area_ratio
    if fps < fluent_fps * (1 - _CLOSE):
        return 1e3 - fps + (1 - area_ratio)
    return 1 - area_ratio


def _notes(
    chosen: _Candidate, others: list[_Candidate], capabilities: Capabilities, settings: CaptureSettings
) -> Iterator[str]:
    """Yield what the chosen mode does not meet; `others` are the nearest modes of all formats."""
    wanted = (settings.pixel_format or "").rstrip()
    if wanted and wanted != chosen.pixel_format:
        offered = ", ".join(pixel_format.code for pixel_format in capabilities.formats)
        yield f"the picture format {wanted} cannot be used (offered: {offered}); using {chosen.pixel_format}"
    if not _has_size(chosen, settings):
        codes = _codes(each for each in others if _has_size(each, settings))
        yield (
            f"{settings.width or '?'}x{settings.height or '?'} is not offered"
            f"{f' in {chosen.pixel_format} but in {codes}' if codes else ''};"
            f" using {chosen.width}x{chosen.height}"
        )
    if not _has_rate(chosen, settings):
        codes = _codes(each for each in others if _is_as_large(each, chosen) and _has_rate(each, settings))
        yield (
            f"{settings.fps:g} frames per second are not offered at this size"
            f"{f' in {chosen.pixel_format} but in {codes}' if codes else ''};"
            f" using {float(1 / chosen.interval):g}"
        )


def _has_size(candidate: _Candidate, settings: CaptureSettings) -> bool:
    return settings.width in (None, candidate.width) and settings.height in (None, candidate.height)


def _has_rate(candidate: _Candidate, settings: CaptureSettings) -> bool:
    return not settings.fps or _distance(float(1 / candidate.interval), settings.fps) <= _CLOSE


def _is_as_large(candidate: _Candidate, other: _Candidate) -> bool:
    return (candidate.width, candidate.height) == (other.width, other.height)


def _codes(candidates: Iterable[_Candidate]) -> str:
    return ", ".join(dict.fromkeys(each.pixel_format for each in candidates))
