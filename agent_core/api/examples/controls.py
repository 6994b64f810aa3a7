"""Example of the method about controls, apart from those about cameras, as the methods are."""

from agent_core.api.examples.story import CAMERA
from agent_core.api.schema.controls import ControlOutcomeForm, ControlsSet, SetControlsParams
from agent_core.base.controls import ControlStatus
from agent_core.plugin import MethodExample

__all__ = ("set_camera_controls",)


def set_camera_controls() -> MethodExample:
    manual = "Manual Mode"
    outcomes = {
        "auto_exposure": ControlOutcomeForm(value=manual, requested=manual, status=ControlStatus.APPLIED),
        "exposure_time_absolute": ControlOutcomeForm(value=300, requested=300, status=ControlStatus.APPLIED),
        "brightness": ControlOutcomeForm(
            value=64,
            requested=100,
            status=ControlStatus.ADJUSTED,
            reason="100 is out of range (-64 to 64); 64 was set.",
        ),
    }
    params = SetControlsParams(
        device=CAMERA, controls={name: each.requested for name, each in outcomes.items()}
    )
    return MethodExample(params, ControlsSet(device=CAMERA, controls=outcomes, stored=True))
