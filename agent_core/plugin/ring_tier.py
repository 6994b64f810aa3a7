"""Tier 0: the newest frame of a camera's broker. The core offers it for every camera that has one."""

from agent_core.errors import TierUnavailable
from agent_core.models import Camera, Picture, PictureFormat
from agent_core.plugin.abc import CaptureRequest, SnapshotTier

__all__ = ("RingTier",)


class RingTier(SnapshotTier):
    """A hit in the ring where a frame is fresh enough, else the next frame; the JPEG is passed on untouched."""

    @property
    def name(self) -> str:
        return "frames"

    @property
    def rank(self) -> int:
        return 0

    def supports(self, camera: Camera) -> bool:
        return camera.frames is not None

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        if camera.frames is None:
            raise TierUnavailable("The camera has no frame broker.")
        frame = await camera.frames.fresh(request.not_before_s)
        return Picture(
            frame.data,
            PictureFormat.JPG,
            frame.width,
            frame.height,
            frame.captured_s,
            frame.captured_at_source,
        )
