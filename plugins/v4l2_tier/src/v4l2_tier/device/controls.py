"""Configured image controls: checked, set in the order of their dependencies, and verified."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.capabilities import DeviceControl

__all__ = ("ControlPlan", "ControlPort", "ControlState", "Wish", "apply", "plan")

ControlValue = int | bool | str
#: Control names that the kernel changed (5.x to 6.x), old to new; both are accepted.
_RENAMED = {
    "exposure_absolute": "exposure_time_absolute",
    "exposure_auto": "auto_exposure",
    "exposure_auto_priority": "exposure_dynamic_framerate",
    "focus_auto": "focus_automatic_continuous",
    "white_balance_temperature_auto": "white_balance_automatic",
}
_SETTABLE = ("integer", "boolean", "menu", "integer_menu", "button", "bitmask", "integer64")
#: Kinds of the controls that enable and disable others: automatic modes.
_SWITCHES = ("boolean", "menu", "integer_menu")


@dataclass(frozen=True, slots=True)
class ControlState:
    """Value of a control; `inactive`: another control currently determines it."""

    value: int
    inactive: bool


class ControlPort(Protocol):
    """Access to the controls of a device; both methods raise `CaptureFailed`."""

    def read_control(self, control: DeviceControl) -> ControlState: ...

    def write_control(self, control: DeviceControl, value: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """Value to set for one control."""

    control: DeviceControl
    value: int


@dataclass(frozen=True, slots=True)
class ControlPlan:
    """Controls to set, in order; `problems` describes the configured values that are invalid."""

    wishes: tuple[Wish, ...] = ()
    problems: tuple[str, ...] = ()


def plan(controls: tuple[DeviceControl, ...], wanted: Mapping[str, ControlValue]) -> ControlPlan:
    """Check `wanted` (names to values) against the camera's controls; switches come first, else the order is kept."""
    wishes: list[Wish] = []
    problems: list[str] = []
    for name, value in wanted.items():
        try:
            control = _find(controls, name)
            wishes.append(Wish(control, _value(control, value)))
        except ValueError as error:
            problems.append(f"control {name}: {error}")
    wishes.sort(key=lambda wish: wish.control.kind not in _SWITCHES)
    return ControlPlan(tuple(wishes), tuple(problems))


def _find(controls: tuple[DeviceControl, ...], name: str) -> DeviceControl:
    by_name = {control.name: control for control in controls if control.kind in _SETTABLE}
    aliases = {**_RENAMED, **{new: old for old, new in _RENAMED.items()}}
    found = by_name.get(name) or by_name.get(aliases.get(name, ""))
    if found is not None:
        return found
    near = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    hint = f"the nearest are {', '.join(near)}" if near else f"it has {', '.join(by_name) or 'none'}"
    raise ValueError(f"the camera has no such control; {hint}")


def _value(control: DeviceControl, value: ControlValue) -> int:
    if control.read_only:
        raise ValueError("it is read-only")
    if control.kind == "boolean":
        return _boolean(value)
    if control.choices:
        return _choice(control, value)
    return _number(control, value)


def _boolean(value: ControlValue) -> int:
    if isinstance(value, str) or value not in (0, 1):
        raise ValueError(f"{value!r} is neither true nor false")
    return int(value)


def _choice(control: DeviceControl, value: ControlValue) -> int:
    for number, label in control.choices:
        if isinstance(value, str):
            if label.casefold() == value.strip().casefold():
                return number
        elif number == value and not isinstance(value, bool):
            return number
    allowed = ", ".join(f"{number} ({label})" for number, label in control.choices)
    raise ValueError(f"{value!r} is not one of {allowed}")


def _number(control: DeviceControl, value: ControlValue) -> int:
    if isinstance(value, bool | str):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - a configured value, reported like the others
    if control.kind == "button":
        return int(value)
    if not control.minimum <= value <= control.maximum:
        raise ValueError(f"{value} is out of range ({control.minimum} to {control.maximum})")
    if control.step > 1 and (value - control.minimum) % control.step:
        lower = value - (value - control.minimum) % control.step
        raise ValueError(f"{value} is not on a step of {control.step} from {control.minimum}; use {lower}")
    return int(value)


def apply(wanted: ControlPlan, port: ControlPort) -> list[str]:
    """Set the values that differ and read all back; return a sentence for each that is not in effect.

    Setting one control may activate another, so rounds are repeated until one sets nothing.

    Raises:
        CaptureFailed: (`camera_gone`) the camera was unplugged.
    """
    problems = list(wanted.problems)
    pending = wanted.wishes
    done: list[Wish] = []
    while pending:
        inactive = tuple(wish for wish in pending if not _tried(wish, port, done, problems))
        if len(inactive) == len(pending):
            problems += [_inactive(wish) for wish in inactive]
            break
        pending = inactive
    for wish in done:
        problems += _deviations(wish, port)
    return problems


def _tried(wish: Wish, port: ControlPort, done: list[Wish], problems: list[str]) -> bool:
    """Set one control; return False if it is inactive."""
    try:
        state = port.read_control(wish.control)
        if state.inactive:
            return False
        if state.value != wish.value or not wish.control.is_readable:
            port.write_control(wish.control, wish.value)
    except CaptureFailed as error:
        problems.append(_refused(wish, error))
    else:
        done.append(wish)
    return True


def _deviations(wish: Wish, port: ControlPort) -> list[str]:
    """Describe the difference, if any, between the wanted value and the value read back."""
    if not wish.control.is_readable:
        return []
    try:
        state = port.read_control(wish.control)
    except CaptureFailed as error:
        return [_refused(wish, error)]
    if state.value == wish.value:
        return []
    return [f"control {wish.control.name}: {wish.value} was requested; the camera set {state.value}"]


def _refused(wish: Wish, error: CaptureFailed) -> str:
    if error.reason == "camera_gone":
        raise error
    return f"control {wish.control.name}: the camera refused {wish.value} ({error.detail or error.details})"


def _inactive(wish: Wish) -> str:
    return f"control {wish.control.name}: it is inactive and was not set; switch off the automatic mode that controls it"
