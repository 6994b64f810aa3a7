"""Image controls of a virtual camera, with the dependency of real ones, and their effect on the picture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import anyio

from agent_core.plugin import CaptureFailed, ChangedControls, Control, ControlChange, ControlFlag
from agent_core.plugin.controls import DevicePanel

__all__ = ("CONTROLS", "Look", "PictureControls", "PicturePanel")

_MANUAL, _AUTOMATIC = 1, 3
#: Exposure time (100 microseconds) at which the picture is as bright as with the automatic exposure.
_USUAL_EXPOSURE = 250
#: The contrast and the saturation that leave the picture as it is.
_NEUTRAL = 32

CONTROLS = (
    Control("brightness", "integer", -64, 64, 1, 0, 0),
    Control("contrast", "integer", 0, 64, 1, _NEUTRAL, _NEUTRAL),
    Control("saturation", "integer", 0, 64, 1, _NEUTRAL, _NEUTRAL),
    Control(
        "auto_exposure",
        "menu",
        0,
        3,
        1,
        _AUTOMATIC,
        _AUTOMATIC,
        ((_MANUAL, "Manual Mode"), (_AUTOMATIC, "Aperture Priority Mode")),
    ),
    Control(
        "exposure_time_absolute",
        "integer",
        3,
        2047,
        1,
        _USUAL_EXPOSURE,
        _USUAL_EXPOSURE,
        flags=frozenset({ControlFlag.INACTIVE}),
    ),
)


@dataclass(frozen=True, slots=True)
class Look:
    """Effect of the controls on the picture.

    `brightness` is added to the luma, of 255. `contrast`, `saturation` and `exposure` are factors, 1 without effect.
    """

    brightness: int = 0
    contrast: float = 1.0
    saturation: float = 1.0
    exposure: float = 1.0

    @property
    def filter(self) -> str:
        """FFmpeg filter for full-range YUV; empty if the picture stays as it is."""
        if self == Look():
            return ""
        luma = f"clip((val*{self.exposure:.4f}-128)*{self.contrast:.4f}+128+{self.brightness},0,255)"
        chroma = f"clip((val-128)*{self.saturation:.4f}+128,0,255)"
        return f"lutyuv=y='{luma}':u='{chroma}':v='{chroma}',"


class PictureControls:
    """Controls of one virtual camera, a `ControlPort` in memory; the exposure time needs the manual mode.

    Worker threads write values; the other methods belong to the event loop.
    """

    def __init__(self) -> None:
        self._values = _defaults()
        self._panel: PicturePanel | None = None
        self._changed = anyio.Event()

    def appear(self, report: Callable[[ChangedControls], object]) -> "PicturePanel":
        """Connect the camera, with its defaults: like most cameras, it loses its values with its power."""
        self._values = _defaults()
        self._panel = PicturePanel(self, report)
        self.announce()
        return self._panel

    def vanish(self) -> None:
        self._panel = None

    def settle(self) -> None:
        """Set the kept values before pictures are drawn; blocks for as long as another change."""
        if self._panel is not None:
            self._panel.settle(self, rewrite=False)

    def tell(self) -> None:
        """Tell what `settle` has set."""
        if self._panel is not None:
            self._panel.tell()

    def announce(self) -> None:
        """Let those that wait in `until_other` look again."""
        self._changed.set()
        self._changed = anyio.Event()

    async def until_other(self, look: Look) -> None:
        """Return as soon as pictures must be drawn with another look."""
        while self.look == look:
            await self._changed.wait()

    @property
    def look(self) -> Look:
        """Effect of the present values."""
        values = self._values
        is_manual = values["auto_exposure"] == _MANUAL
        return Look(
            brightness=values["brightness"],
            contrast=values["contrast"] / _NEUTRAL,
            saturation=values["saturation"] / _NEUTRAL,
            exposure=values["exposure_time_absolute"] / _USUAL_EXPOSURE if is_manual else 1.0,
        )

    # The port.

    @contextmanager
    def opened(self) -> Iterator["PictureControls"]:
        """Open the controls. Raises CaptureFailed while the camera is absent."""
        self._check_present()
        yield self

    def read_control(self, control: Control) -> Control:
        self._check_present()
        values = self._values
        is_inactive = control.name == "exposure_time_absolute" and values["auto_exposure"] != _MANUAL
        flags = frozenset({ControlFlag.INACTIVE} if is_inactive else ())
        return replace(control, value=values[control.name], flags=flags)

    def write_control(self, control: Control, value: int) -> None:
        if ControlFlag.INACTIVE in self.read_control(control).flags:
            raise CaptureFailed("An automatic mode controls it now.", reason="control_refused")
        self._values = {**self._values, control.name: value}

    def _check_present(self) -> None:
        if self._panel is None:
            raise CaptureFailed("The virtual camera is not connected.", reason="camera_gone")


class PicturePanel(DevicePanel):
    """Panel of a virtual camera, from its appearance until it vanishes."""

    def __init__(self, controls: PictureControls, report: Callable[[ChangedControls], object]) -> None:
        self._picture = controls

        def tell(changed: ChangedControls) -> None:
            controls.announce()
            report(changed)

        super().__init__(CONTROLS, controls.opened, report=tell)

    async def change(self, change: ControlChange) -> ChangedControls:
        try:
            return await super().change(change)
        finally:
            self._picture.announce()


def _defaults() -> dict[str, int]:
    return {each.name: each.default for each in CONTROLS}
