"""Encoder of one camera's raw frames, with advice where its settings show little."""

import logging

from v4l2_tier.capture.encode import encode
from v4l2_tier.capture.levels import used_levels
from v4l2_tier.capture.samples import values_of
from v4l2_tier.device.raw_formats import RawLayout
from v4l2_tier.settings import DeepLevels

__all__ = ("RawEncoder",)

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Share of a deep format's range below which its pictures look like one grey: a thermal camera's scene has about 1/30.
_LITTLE = 1 / 12
#: Frames between looks at the levels, which cost 2 ms each.
_LOOK_EVERY = 30


class RawEncoder:
    """Encoder to JPEG; for the threads of one camera, one frame at a time.

    Args:
        quality: JPEG quality.
        levels: black and white of grey and Bayer formats with more than 8 bits.
        name: the camera's, for the log.
    """

    def __init__(self, quality: int, levels: DeepLevels = "full", name: str = "camera") -> None:
        self._quality = quality
        self._levels = levels
        self._name = name
        self._frames = 0
        self._is_told = levels != "full"

    def encode(self, data: bytes, layout: RawLayout) -> bytes:
        """Return one frame as JPEG; takes milliseconds."""
        if layout.format.is_deep and not self._is_told and self._frames % _LOOK_EVERY == 0:
            self._advise(data, layout)
        self._frames += 1
        return encode(data, layout, self._quality, self._levels)

    def _advise(self, data: bytes, layout: RawLayout) -> None:
        raw = layout.format
        lowest, highest = used_levels(values_of(data, layout, layout.planes[0]))
        if not 0 < highest - lowest < 2**raw.bits * _LITTLE:  # all the same: a covered lens
            return
        self._is_told = True
        _log.warning(
            "%s uses only the values %d to %d of the %d that %s has, so its pictures have little contrast;"
            ' choose others for black and white by deep_levels = "auto", or two values such as [%d, %d]',
            *(self._name, lowest, highest, 2**raw.bits, layout.code, lowest, highest),
        )
