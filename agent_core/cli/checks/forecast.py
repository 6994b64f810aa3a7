"""Finding for the disk of recordings by the running agent's own numbers; apart from the calls of the agent, so that it does no I/O."""

from collections.abc import Mapping
from typing import Any

from agent_core.cli.output import size
from agent_core.plugin import Finding, FindingStatus

__all__ = ("look_at_forecast",)

#: Less than a day leaves no time to act for an operator who looks once per day.
_SOON_HOURS = 24.0
_STEP = "Delete recordings, set recordings.max_size_gb or max_age_days, or record to a larger disk."


def look_at_forecast(info: Mapping[str, Any]) -> Finding:
    """Return the finding for a result of `get_storage_info`."""
    free = f"{size(info['available_space'])} free, {info['usage_percentage']:.0f} % used"
    if info.get("recordings_size") is not None:
        free += f", {size(info['recordings_size'])} by recordings"
    hours = info.get("hours_left")
    if hours is None:
        detail = f"Disk for recordings: {free}; nothing is recorded now."
    else:
        detail = f"Disk for recordings: {free}; at the present rate full in {_span(hours)}, unless something is deleted."
    is_short = info["low_space_warning"] or (hours is not None and hours < _SOON_HOURS)
    if is_short:
        return Finding("disk forecast", FindingStatus.WARNING, detail, _STEP)
    return Finding("disk forecast", FindingStatus.OK, detail)


def _span(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 2 * _SOON_HOURS else f"{hours / 24:.0f} days"
