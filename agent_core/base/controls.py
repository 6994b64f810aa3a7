"""Frozen values about image controls: what a camera offers, what clients ask for, and what became of it. Without I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

__all__ = (
    "ChangedControls",
    "Control",
    "ControlChange",
    "ControlFlag",
    "ControlOutcome",
    "ControlPanel",
    "ControlStatus",
    "ControlValue",
    "kept_after",
)

#: Value as clients and operators give it: a number, a boolean, or the label of a menu entry.
ControlValue = int | float | bool | str


class ControlFlag(StrEnum):
    """State of a control, as the driver reports it.

    `INACTIVE`: another control, such as an automatic mode, determines the value now. `GRABBED`: another program, or the
    running stream, has locked it. `DISABLED`: the driver has switched it off for good. `VOLATILE`: the camera changes
    the value by itself. `UNREADABLE`: the camera did not answer when the value was read; `value` is the default.
    """

    READ_ONLY = "read_only"
    WRITE_ONLY = "write_only"
    INACTIVE = "inactive"
    DISABLED = "disabled"
    GRABBED = "grabbed"
    VOLATILE = "volatile"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Control:
    """Image control as the driver describes it.

    `kind` is `integer`, `boolean`, `menu`, `integer_menu`, `button`, `bitmask` or `integer64`; another kind cannot be
    set. `choices` pairs values with labels if it is a menu. `unsettable` is a sentence that tells why the control can
    never be set, empty if it can. `value` is as it was last read.
    """

    name: str
    kind: str
    minimum: int
    maximum: int
    step: int
    default: int
    value: int
    choices: tuple[tuple[int, str], ...] = ()
    flags: frozenset[ControlFlag] = frozenset()
    unsettable: str = ""

    @property
    def is_readable(self) -> bool:
        """True if reading the control returns a meaningful value."""
        return self.kind != "button" and not self.flags & {ControlFlag.WRITE_ONLY, ControlFlag.DISABLED}

    @property
    def is_action(self) -> bool:
        """True if setting the control starts an action, so that it has no value to keep."""
        return self.kind == "button" or ControlFlag.WRITE_ONLY in self.flags


class ControlStatus(StrEnum):
    APPLIED = "APPLIED"
    ADJUSTED = "ADJUSTED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class ControlOutcome:
    """Outcome for one requested value.

    Attributes:
        name: the control's own name; the requested one if there is no such control.
        requested: the value as requested.
        status: APPLIED if the requested value is in effect, ADJUSTED if another value was set instead, REFUSED if
            nothing was set.
        value: the value in effect, in the form of the request: a boolean, a label, or else a number. None if it is
            unknown.
        reason: a sentence for a status other than APPLIED.
        asked: the name in the request, if it is another one for this control; empty otherwise.
        is_kept: the value is to be set again when the camera returns. False for an action, such as a button, and for a
            default that a reset has set.
    """

    name: str
    requested: ControlValue
    status: ControlStatus
    value: ControlValue | None
    reason: str = ""
    asked: str = ""
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class ControlChange:
    """Change of a camera's controls: first a reset to the defaults, if `reset`, then `values` by name."""

    values: Mapping[str, ControlValue] = field(default_factory=lambda: MappingProxyType({}))
    reset: bool = False


@dataclass(frozen=True, slots=True)
class ChangedControls:
    """Answer to a change: one outcome per control, and all controls as they are now."""

    outcomes: tuple[ControlOutcome, ...]
    controls: tuple[Control, ...]


class ControlPanel(Protocol):
    """Access to the controls of one camera, by its source as `DetectedCamera.panel`. New in 1.3 of the hooks.

    `agent_core.plugin.controls.DevicePanel` implements it for a device with synchronous calls.
    """

    def keep(self, values: Mapping[str, ControlValue]) -> None:
        """Take over the values that the agent keeps for this camera, before any picture is requested. Never waits.

        The source sets them at once and each time the camera may have lost them, before the next picture, and reports
        new outcomes with `CameraReport.controls`. The core calls this whenever the source reports the camera.
        """
        ...

    async def change(self, change: ControlChange) -> ChangedControls:
        """Set controls and read them back; from now on, keep the values as `kept_after` tells.

        The core makes one change at a time for a camera. It may cancel this at any `await`.

        Raises:
            CaptureFailed: the camera is gone or cannot be opened; no outcome is known, and no value is kept.
        """
        ...


def kept_after(
    kept: Mapping[str, ControlValue], change: ControlChange, outcomes: Iterable[ControlOutcome]
) -> dict[str, ControlValue]:
    """Return the values to keep after `change`: those kept before, unless reset, and those now in effect by request.

    A value that was adjusted is kept as it was set, which is what the client was told. A refused one is not kept.
    """
    values = {} if change.reset else dict(kept)
    for each in outcomes:
        if each.is_kept and each.status is not ControlStatus.REFUSED and each.value is not None:
            values[each.name] = each.value
    return values
