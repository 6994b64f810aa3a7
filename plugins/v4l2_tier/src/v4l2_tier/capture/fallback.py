"""Change of a camera's mode from its JPEGs, which cannot be read, to an uncompressed format; sans-I/O."""

from collections.abc import Callable
from dataclasses import replace

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.device.modes import ChosenMode, choose, without_jpegs
from v4l2_tier.device.raw_formats import RAW_FORMATS
from v4l2_tier.settings import CaptureSettings

__all__ = ("CaptureMode", "OnMode")

#: Receiver of each new mode.
OnMode = Callable[[ChosenMode], object]


class CaptureMode:
    """Mode in which a camera is captured; it changes at most once, and back if the other format fails at once.

    A configured `pixel_format` is the operator's choice and stays.

    Args:
        capabilities: formats of the camera.
        settings: format, size and rate.
        on_mode: receives the mode after each change.

    Raises:
        CaptureFailed: (`no_usable_format`) the camera offers no usable format.
    """

    def __init__(self, capabilities: Capabilities, settings: CaptureSettings, on_mode: OnMode) -> None:
        self._own = self.chosen = choose(capabilities, settings)
        self._on_mode = on_mode
        self._raw = self._raw_mode(capabilities, settings)
        offered = {each.code for each in without_jpegs(capabilities).formats}
        self.raw_formats = tuple(code for code in RAW_FORMATS if code in offered)

    def _raw_mode(self, capabilities: Capabilities, settings: CaptureSettings) -> ChosenMode | None:
        if not self._own.is_jpeg or settings.pixel_format is not None:
            return None
        try:
            raw = choose(without_jpegs(capabilities), settings)
        except CaptureFailed:
            return None
        note = (
            f"its {self._own.pixel_format} pictures are damaged again and again; using {raw.pixel_format},"
            f' {raw.width}x{raw.height}, {raw.fps:g} frames per second; pixel_format = "{self._own.pixel_format}"'
            " would prevent that"
        )
        return replace(raw, notes=(*raw.notes, note))

    @property
    def can_change(self) -> bool:
        """True while the camera sends JPEGs and another format may be tried."""
        return self._raw is not None and self.chosen is self._own

    def change(self) -> None:
        """Change to the uncompressed format."""
        if self._raw is not None:
            self.chosen = self._raw
            self._on_mode(self.chosen)

    def change_back(self) -> None:
        """Return to the JPEGs for good, because the uncompressed format delivers nothing."""
        if self.chosen is not self._own:
            self._raw = None
            self.chosen = self._own
            self._on_mode(self.chosen)
