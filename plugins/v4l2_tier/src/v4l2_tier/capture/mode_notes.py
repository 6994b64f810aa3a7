"""Sentences about modes, and about what a driver made of them. Apart from the producer, so that it has no texts of formats."""

from collections.abc import Iterator

from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.device.picture_format import PictureLayout

__all__ = ("changes", "shown")

#: Largest relative difference of two rates that count as equal: drivers round to their hardware's units.
_SAME_RATE = 0.02


def shown(mode: ChosenMode) -> str:
    return f"{mode.pixel_format} {mode.width}x{mode.height} at {mode.fps:g} frames per second"


def changes(chosen: ChosenMode, layout: PictureLayout) -> Iterator[str]:
    """Describe how the driver deviates from the mode that it offered."""
    if (layout.width, layout.height) != (chosen.width, chosen.height):
        yield f"{chosen.width}x{chosen.height} was requested; the driver set {layout.width}x{layout.height}"
    if layout.interval is not None and abs(layout.interval / chosen.interval - 1) > _SAME_RATE:
        made = f"{float(1 / layout.interval):g}"
        yield f"{chosen.fps:g} frames per second were requested; the driver set {made}"
