"""A camera and its errors as the core is told of them. Apart from the camera's life, so that they need none of its state."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from agent_core.plugin import AgentError, CaptureFailed, DetectedCamera, FrameSocket, VideoCodec
from agent_core.plugin.frames import FrameBroker
from v4l2_tier.device.modes import ChosenMode

__all__ = ("captured", "explained_to_operator")

#: Names of the codecs in `DetectedCamera.tracks`.
_TRACKS: Mapping[VideoCodec, str] = MappingProxyType({VideoCodec.H264: "H264", VideoCodec.H265: "H265"})


def captured(camera: DetectedCamera, path: Path, mode: ChosenMode, broker: FrameBroker) -> DetectedCamera:
    """Return the camera as its frames in `mode` come from `broker` and the socket at `path`."""
    has_jpegs = mode.codec is VideoCodec.MJPEG
    return replace(
        camera,
        media_input=FrameSocket(path, mode.width, mode.height, mode.fps, mode.codec),
        resolution=(mode.width, mode.height),
        fps=round(mode.fps, 3),
        frames=broker if has_jpegs else None,
        device=None if has_jpegs else broker,
        tracks=() if has_jpegs else (_TRACKS[mode.codec],),
    )


def explained_to_operator(error: Exception) -> AgentError:
    """Return the error that an operator sees for one that ended a camera's task."""
    inner: Exception = error
    while isinstance(inner, ExceptionGroup):
        inner = inner.exceptions[0]
    if isinstance(inner, AgentError):
        return inner
    return CaptureFailed(
        f"The agent met an internal error at this camera ({type(inner).__name__}).",
        reason="agent_failed",
        suggestion="See the agent's log for the traceback. The agent tries again after growing pauses.",
    )
