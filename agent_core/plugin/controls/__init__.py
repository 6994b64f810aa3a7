"""Setting of image controls: values checked, set in the order of their dependencies, read back, and set again."""

from agent_core.plugin.controls.panel import DevicePanel
from agent_core.plugin.controls.setting import (
    CONTROL_SILENT,
    ControlPort,
    Settled,
    Wish,
    reset_controls,
    set_controls,
    wishes_of,
)

__all__ = (
    "CONTROL_SILENT",
    "ControlPort",
    "DevicePanel",
    "Settled",
    "Wish",
    "reset_controls",
    "set_controls",
    "wishes_of",
)
