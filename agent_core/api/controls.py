"""Method that sets image controls, and the wire form of controls."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent_core.api.examples import controls as examples
from agent_core.api.schema.controls import (
    ControlForm,
    ControlOutcomeForm,
    ControlsEventForm,
    ControlsSet,
    SetControlsParams,
)
from agent_core.auth.roles import Role
from agent_core.base.controls import Control, ControlChange, ControlOutcome, ControlValue
from agent_core.base.errors import DependencyFailed, InvalidParams, InvalidState, NotFound, Unsupported
from agent_core.base.events import Stamp
from agent_core.base.models import ControlsEvent
from agent_core.controller import Controller
from agent_core.rpc.table import Caller, Method

__all__ = ("control_form", "control_methods", "controls_event_form")


def control_form(control: Control, kept: ControlValue | None) -> ControlForm:
    """Return the wire form of a control; `kept` is the value that the agent keeps for it."""
    return ControlForm(
        name=control.name,
        kind=control.kind,
        minimum=control.minimum,
        maximum=control.maximum,
        step=control.step,
        default=control.default,
        value=control.value,
        choices={str(value): label for value, label in control.choices},
        flags=sorted(control.flags),
        settable=not control.unsettable,
        reason=control.unsettable or None,
        kept=kept,
    )


def _outcomes(outcomes: Iterable[ControlOutcome], *, as_asked: bool) -> dict[str, ControlOutcomeForm]:
    """Return the wire form of outcomes by the controls' own names, or by those in the request."""
    return {
        (each.asked if as_asked else "") or each.name: ControlOutcomeForm(
            value=each.value, requested=each.requested, status=each.status, reason=each.reason or None
        )
        for each in outcomes
    }


def controls_event_form(event: ControlsEvent, stamp: Stamp) -> ControlsEventForm:
    """Return the parameters of a notification about controls."""
    controls = _outcomes(event.outcomes, as_asked=False)
    return ControlsEventForm(
        device=event.camera,
        controls=controls,
        cause=event.cause,
        timestamp=stamp.at,
        sequence=stamp.sequence,
    )


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about controls."""

    controller: Controller

    async def set_camera_controls(self, params: SetControlsParams, caller: Caller) -> ControlsSet:
        if not params.controls and not params.reset:
            raise InvalidParams(
                "The call names no control and does not reset them.",
                param="controls",
                rule="empty",
                hint='{"brightness": 0}',
            )
        change = ControlChange(params.controls, reset=params.reset)
        done = await self.controller.set_controls(params.device, change)
        return ControlsSet(
            device=done.camera, controls=_outcomes(done.outcomes, as_asked=True), stored=done.is_stored
        )


def control_methods(controller: Controller) -> list[Method]:
    """Return the rows of the method table."""
    do = _Handlers(controller)
    return [
        Method(
            "set_camera_controls",
            Role.OPERATOR,
            "Set image controls of a camera, read them back, and keep the values over replugs and restarts.",
            SetControlsParams,
            ControlsSet,
            do.set_camera_controls,
            errors=(NotFound, InvalidState, Unsupported, DependencyFailed),
            example=examples.set_camera_controls,
        ),
    ]
