"""Admission of cameras by their sources, before the agent opens them. Apart from the registry, which does not wait."""

import logging
from dataclasses import replace

from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, CaptureFailed
from agent_core.base.models import Camera

__all__ = ("admitted",)

_log = logging.getLogger("camera_agent.cameras")


async def admitted(camera: Camera) -> Camera:
    """Return the camera with the input at which it may be opened now; without a gate, as it is.

    Raises:
        CaptureFailed: it must not be opened now.
    """
    gate = camera.detected.gate
    if gate is None:
        return camera
    try:
        with contained(f"The source {camera.detected.fingerprint.source}"):
            media_input = await gate.admit()
    except AgentError:
        raise
    except Exception as error:
        _log.exception("the check of %s failed", camera.id, extra={"fields": {"camera": camera.id}})
        raise CaptureFailed(
            f"The source of {camera.id} failed to check its address: {type(error).__name__}.",
            reason="source_error",
            suggestion="Tell the plugin's author; the agent's log has the error.",
        ) from error
    return replace(camera, detected=replace(camera.detected, media_input=media_input))
