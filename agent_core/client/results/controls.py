"""Results of the methods about controls.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass

from agent_core.client.results.words import ControlFlag, ControlStatus

__all__ = ("ControlForm", "ControlOutcomeForm", "ControlsSet")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlForm:
    name: str
    #: integer, integer64, boolean, menu, integer_menu, button, bitmask, or another
    kind: str
    minimum: int
    maximum: int
    step: int
    default: int
    value: int
    #: labels by value, if the control is a menu
    choices: dict[str, str]
    #: inactive: another control, such as an automatic mode, determines the value now
    flags: list[ControlFlag]
    #: false: never, for the reason in `reason`
    settable: bool
    #: why the control cannot be set, a sentence
    reason: str | None = None
    #: value that the agent sets again after a replug or a restart, if there is one
    kept: bool | int | float | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlOutcomeForm:
    """Outcome for one control. `value` is absent if the value in effect is unknown."""

    #: value in effect, in the form of the request: a menu entry by number or label
    value: bool | int | float | str | None = None
    requested: bool | int | float | str
    #: APPLIED; ADJUSTED: another value was set, for example the nearest possible; REFUSED: none was set
    status: ControlStatus
    #: a sentence, unless the status is APPLIED
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlsSet:
    """Outcome for each requested control by its requested name, and with `reset` for each one that was reset."""

    device: str
    controls: dict[str, ControlOutcomeForm]
    #: true: the values survive a restart of the agent; false: they cannot be stored now, see get_system_status
    stored: bool
