"""Admission of cameras by their sources, before the agent opens them. Apart from the registry, which does not wait."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, CaptureFailed, InvalidParams, NotFound
from agent_core.base.models import Camera

__all__ = ("CameraRedirects", "admitted")

_log = logging.getLogger("camera_agent.cameras")

T = TypeVar("T")


async def admitted(camera: Camera) -> Camera:
    """Return the camera with the input at which it may be opened now; without a gate, as it is.

    Raises:
        CaptureFailed: it must not be opened now.
    """
    gate = camera.detected.gate
    if gate is None:
        return camera
    media_input = await _answer(camera, gate.admit)
    return replace(camera, detected=replace(camera.detected, media_input=media_input))


class CameraRedirects:
    """Redirects of cameras, judged by the cameras' sources; lent to plugins.

    Args:
        camera: returns the camera of an id as it is now, removed ones included; raises NotFound.
    """

    def __init__(self, camera: Callable[[str], Camera]) -> None:
        self._camera = camera

    async def admit(self, path: str, url: str) -> str | None:
        """Return the address to open; see `agent_core.plugin.CameraRedirects`."""
        try:
            camera = self._camera(path)
        except (NotFound, InvalidParams):
            return None
        if camera.removed:
            raise CaptureFailed(
                f"The camera {camera.id} was removed.",
                reason="camera_removed",
                suggestion="Close the connection to it.",
            )
        gate = camera.detected.gate
        return None if gate is None else await _answer(camera, lambda: gate.admit_redirect(url))


async def _answer(camera: Camera, ask: Callable[[], Awaitable[T]]) -> T:
    """Return the answer of the camera's source."""
    try:
        with contained(f"The source {camera.detected.fingerprint.source}"):
            return await ask()
    except AgentError:
        raise
    except Exception as error:
        _log.exception("the check of %s failed", camera.id, extra={"fields": {"camera": camera.id}})
        raise CaptureFailed(
            f"The source of {camera.id} failed to check its address: {type(error).__name__}.",
            reason="source_error",
            suggestion="Tell the plugin's author; the agent's log has the error.",
        ) from error
