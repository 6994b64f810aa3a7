"""State of the device behind a camera, as its frame broker tells it.

Apart from `agent_core.snapshots`, so that plugins' tiers ask in the same way as the planner.
"""

import logging

from agent_core.base.containment import contained
from agent_core.base.models import DetectedCamera, DeviceReporter, DeviceState, FrameReader

__all__ = ("device_state",)

_log = logging.getLogger("camera_agent.snapshots")


def device_state(camera: DetectedCamera) -> DeviceState | None:
    """Return the state of the device behind `camera`, without I/O; None if its source does not tell."""
    return _told_by(camera.frames) or _told_by(camera.device)


def _told_by(reporter: FrameReader | DeviceReporter | None) -> DeviceState | None:
    """Return the state that `reporter`, which is foreign code, tells; None if it does not."""
    try:
        with contained("The camera's frame broker"):
            state: object = getattr(reporter, "device", None)
    except Exception:  # noqa: BLE001 - foreign code; the camera is photographed without it
        _log.exception("a frame broker could not tell the state of its device")
        return None
    return state if isinstance(state, DeviceState) else None
