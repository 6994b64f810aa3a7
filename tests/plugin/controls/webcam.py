"""Simulated device with the controls of a common webcam, and their dependencies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from agent_core.plugin import CaptureFailed, Control, ControlFlag

R = ControlFlag.READ_ONLY

WEBCAM = (
    Control("brightness", "integer", 0, 255, 1, 128, 128),
    Control("white_balance_automatic", "boolean", 0, 1, 1, 1, 1),
    Control("gain", "integer", 0, 255, 1, 0, 0),
    Control(
        "power_line_frequency",
        "menu",
        0,
        2,
        1,
        2,
        2,
        ((0, "Disabled"), (1, "50 Hz"), (2, "60 Hz")),
    ),
    Control("white_balance_temperature", "integer", 2000, 6500, 10, 4000, 4000),
    Control("auto_exposure", "menu", 0, 3, 1, 3, 3, ((1, "Manual Mode"), (3, "Aperture Priority Mode"))),
    Control("exposure_time_absolute", "integer", 3, 2047, 1, 250, 250),
    Control("exposure_dynamic_framerate", "boolean", 0, 1, 1, 0, 0),
    Control("focus_absolute", "integer", 0, 250, 5, 0, 0),
    Control("focus_automatic_continuous", "boolean", 0, 1, 1, 1, 1),
    Control("sensor_temperature", "integer", 0, 100, 1, 0, 0, flags=frozenset({R})),
    Control("zoom_relative", "integer", -1, 1, 1, 0, 0, flags=frozenset({ControlFlag.WRITE_ONLY})),
    Control("auto_focus_start", "button", 0, 0, 0, 0, 0),
    Control("lamps", "bitmask", 0, 0x80000001, 0, 0, 0),
    Control("counter", "integer64", -(2**63), 2**63 - 1, 1, 0, 0),
    Control("model", "string", 0, 32, 1, 0, 0, unsettable="It holds a text, which cannot be set here."),
)
#: Controls and the control that rules each, with the value that frees it.
RULES = {
    "white_balance_temperature": ("white_balance_automatic", 0),
    "exposure_time_absolute": ("auto_exposure", 1),
    "focus_absolute": ("focus_automatic_continuous", 0),
}


@dataclass
class Webcam:
    """Device whose controls depend on each other, like those of a webcam; a test sets its faults by control.

    `refuses` has errors of writing, `mute` controls that are never answered, `sticks_at` values that the camera sets
    instead, `hidden` ranges other than when it was probed. `hides_activity`: inactive controls have no flag, but refuse.
    """

    controls: tuple[Control, ...] = WEBCAM
    values: dict[str, int] = field(default_factory=dict)
    written: list[tuple[str, int]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    mute: set[str] = field(default_factory=set)
    sticks_at: dict[str, int] = field(default_factory=dict)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    hides_activity: bool = False
    is_gone: bool = False
    asked: list[str] = field(default_factory=list)
    before_write: Callable[[str], object] = lambda _: None

    def __post_init__(self) -> None:
        self.values = {control.name: control.value for control in self.controls}

    @contextmanager
    def opened(self) -> Iterator["Webcam"]:
        self._answer("")
        yield self

    def read_control(self, control: Control) -> Control:
        self._answer(control.name)
        (known,) = (each for each in self.controls if each.name == control.name)
        low, high = self.ranges.get(control.name, (known.minimum, known.maximum))
        flags = control.flags - {ControlFlag.INACTIVE}
        if self._is_inactive(control.name) and not self.hides_activity:
            flags |= {ControlFlag.INACTIVE}
        value = self.values[control.name] if control.is_readable else control.default
        return replace(control, value=value, flags=flags, minimum=low, maximum=high)

    def write_control(self, control: Control, value: int) -> None:
        self.before_write(control.name)
        self._answer(control.name)
        if self._is_inactive(control.name):
            raise CaptureFailed("The camera refused it (EILSEQ).", reason="control_refused")
        if control.name in self.refuses:
            raise CaptureFailed("No.", reason=self.refuses[control.name])
        self.values[control.name] = self.sticks_at.get(control.name, value)
        self.written.append((control.name, value))

    def unplug(self) -> None:
        self.is_gone = True

    def _answer(self, name: str) -> None:
        if self.is_gone:
            raise CaptureFailed("It is gone.", reason="camera_gone")
        if name in self.mute:
            self.asked.append(name)
            raise CaptureFailed("The camera did not answer in time.", reason="control_silent")

    def _is_inactive(self, name: str) -> bool:
        ruler, free = RULES.get(name, ("", 0))
        return bool(ruler) and self.values[ruler] != free

    @property
    def names_written(self) -> list[str]:
        return [name for name, _ in self.written]
