"""Rules for requested values: which control a name means, and which value the control can take. Without I/O."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent_core.base.controls import Control, ControlFlag, ControlValue

__all__ = ("SWITCHES", "Target", "as_requested", "find", "resolve")

#: Control names that the kernel changed (5.x to 6.x), old to new; both are accepted.
_RENAMED = {
    "exposure_absolute": "exposure_time_absolute",
    "exposure_auto": "auto_exposure",
    "exposure_auto_priority": "exposure_dynamic_framerate",
    "focus_auto": "focus_automatic_continuous",
    "white_balance_temperature_auto": "white_balance_automatic",
}
_ALIASES: Mapping[str, str] = MappingProxyType({**_RENAMED, **{new: old for old, new in _RENAMED.items()}})
#: Kinds of the controls that usually enable and disable others: automatic modes.
SWITCHES = ("boolean", "menu", "integer_menu")
_SETTABLE = (*SWITCHES, "integer", "button", "bitmask", "integer64")


@dataclass(frozen=True, slots=True)
class Target:
    """Value to set, as the device counts; `note` is a sentence if it is not the requested one."""

    value: int
    note: str = ""


def find(controls: Iterable[Control], name: str) -> Control:
    """Return the control that `name` means, under its own name or that of another kernel.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    by_name = {control.name: control for control in controls}
    found = by_name.get(name) or by_name.get(_ALIASES.get(name, ""))
    if found is not None:
        return found
    near = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    hint = f"the nearest are {', '.join(near)}" if near else f"it has {', '.join(by_name) or 'none'}"
    raise ValueError(f"the camera has no such control; {hint}")


def resolve(control: Control, value: ControlValue) -> Target:
    """Return the value to set for a requested one: numbers are brought into the range and onto a step.

    Raises:
        ValueError: the control cannot be set, or cannot take a value of this type; the message tells what it takes.
    """
    if control.unsettable or control.kind not in _SETTABLE:
        raise ValueError(control.unsettable or f"controls of the kind {control.kind} cannot be set")
    if ControlFlag.DISABLED in control.flags:
        raise ValueError("the driver has disabled it")
    if ControlFlag.READ_ONLY in control.flags:
        raise ValueError("it is read-only")
    if control.kind == "boolean":
        return Target(_boolean(value))
    if control.choices:
        return Target(_choice(control, value))
    return _number(control, value)


def as_requested(control: Control, value: int, requested: ControlValue) -> ControlValue:
    """Return a device's `value` in the form of the request: a boolean, a menu entry's label, or the number."""
    if control.kind == "boolean" and isinstance(requested, bool):
        return bool(value)
    if isinstance(requested, str):
        return dict(control.choices).get(value, value)
    return value


def _boolean(value: ControlValue) -> int:
    if isinstance(value, str) or value not in (0, 1):
        raise ValueError(f"{_shown(value)} is neither true nor false")
    return int(value)


def _choice(control: Control, value: ControlValue) -> int:
    for number, label in control.choices:
        if isinstance(value, str):
            if label.casefold() == value.strip().casefold():
                return number
        elif number == value and not isinstance(value, bool):
            return number
    allowed = ", ".join(f"{number} ({label})" for number, label in control.choices)
    raise ValueError(f"{_shown(value)} is not one of {allowed}")


def _number(control: Control, value: ControlValue) -> Target:
    if isinstance(value, bool | str):
        raise ValueError(f"{_shown(value)} is not a number")  # noqa: TRY004 - a client's value, answered like the others
    if control.kind == "button":
        return Target(1)
    if control.kind == "bitmask":
        return _bits(control, value)
    low, high = control.minimum, control.maximum
    if not low <= value <= high:
        nearest = low if value < low else _on_step(control, high)
        return Target(nearest, f"{_shown(value)} is out of range ({low} to {high})")
    nearest = _on_step(control, value)
    if nearest != value:
        rule = f"on a step of {control.step} from {low}" if control.step > 1 else "a whole number"
        return Target(nearest, f"{_shown(value)} is not {rule}")
    return Target(nearest)


def _bits(control: Control, value: float) -> Target:
    """Return a set of bits as it is: a nearest one means nothing."""
    if value != int(value) or value < 0 or int(value) & ~control.maximum:
        raise ValueError(f"{_shown(value)} has other bits than the mask {control.maximum:#x}")
    return Target(int(value))


def _on_step(control: Control, value: float) -> int:
    """Return the possible value nearest to `value`, which is in the range; of two, the lower."""
    step = max(control.step, 1)
    whole = int(value)  # exact for 64 bits, which floating point is not
    lower = whole - (whole - control.minimum) % step
    upper = lower + step
    return upper if upper <= control.maximum and upper - value < value - lower else lower


def _shown(value: ControlValue) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 40 else f"{text[:40]}..."
