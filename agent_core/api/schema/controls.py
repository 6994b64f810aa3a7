from typing import Annotated

from pydantic import Field

from agent_core.api.schema.params import DeviceParams, Timestamp
from agent_core.base.controls import ControlFlag, ControlStatus
from agent_core.base.models import ControlCause
from agent_core.plugin import RpcResult
from agent_core.rpc.notices import EventForm

__all__ = (
    "ControlForm",
    "ControlOutcomeForm",
    "ControlsEventForm",
    "ControlsSet",
    "SetControlsParams",
)

ControlInput = bool | int | float | Annotated[str, Field(max_length=200)]
ControlShown = bool | int | float | str


class SetControlsParams(DeviceParams):
    controls: dict[Annotated[str, Field(min_length=1, max_length=100)], ControlInput] = Field(
        {},
        max_length=256,
        description="values by name, as in get_camera_capabilities; a menu entry by number or label",
    )
    reset: bool = Field(
        default=False, description="first set the defaults of all controls, and forget what is kept"
    )


class ControlOutcomeForm(RpcResult):
    """Outcome for one control. `value` is absent if the value in effect is unknown."""

    value: ControlShown | None = Field(
        None, description="value in effect, in the form of the request: a menu entry by number or label"
    )
    requested: ControlShown
    status: ControlStatus = Field(
        description="APPLIED; ADJUSTED: another value was set, for example the nearest possible; REFUSED: none was set"
    )
    reason: str | None = Field(None, description="a sentence, unless the status is APPLIED")


class ControlsSet(RpcResult):
    """Outcome for each requested control by its requested name, and with `reset` for each one that was reset."""

    device: str
    controls: dict[str, ControlOutcomeForm]
    stored: bool = Field(
        description="true: the values survive a restart of the agent; false: they cannot be stored now, see get_system_status"
    )


class ControlsEventForm(EventForm):
    """New values of a camera's controls, by the controls' own names."""

    device: str
    controls: dict[str, ControlOutcomeForm]
    cause: ControlCause = Field(
        description="set or reset: by a client; kept: values set again because the camera was connected"
    )
    timestamp: Timestamp


class ControlForm(RpcResult):
    name: str
    kind: str = Field(
        description="integer, integer64, boolean, menu, integer_menu, button, bitmask, or another"
    )
    minimum: int
    maximum: int
    step: int
    default: int
    value: int
    choices: dict[str, str] = Field(description="labels by value, if the control is a menu")
    flags: list[ControlFlag] = Field(
        description="inactive: another control, such as an automatic mode, determines the value now"
    )
    settable: bool = Field(description="false: never, for the reason in `reason`")
    reason: str | None = Field(None, description="why the control cannot be set, a sentence")
    kept: ControlShown | None = Field(
        None, description="value that the agent sets again after a replug or a restart, if there is one"
    )
