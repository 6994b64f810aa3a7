"""Tier 0: the newest frame of a camera's broker. The core offers it for every camera that has one."""

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import TierUnavailable
from agent_core.base.models import Camera, Frame, FrameReader, Picture, PictureFormat
from agent_core.plugin.abc import CaptureRequest, SnapshotTier

__all__ = ("RingTier",)


#: Before the deadline, for what comes after the wait.
_MARGIN_S = 0.2


class RingTier(SnapshotTier):
    """A hit in the ring where a frame is fresh enough, else the next frame; the JPEG is passed on untouched.

    A camera that was just started is waited for until its exposure has settled, as long as the deadline allows: then
    the picture is taken as it is, and says so.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

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
        frame = await self._frame(camera.frames, request)
        return Picture(
            frame.data,
            PictureFormat.JPG,
            frame.width,
            frame.height,
            frame.captured_s,
            frame.captured_at_source,
            frame.settled,
        )

    async def _frame(self, frames: FrameReader, request: CaptureRequest) -> Frame:
        wait_s = request.deadline_s - self._clock.monotonic_s() - _MARGIN_S
        with anyio.move_on_after(max(wait_s, 0.0)):
            return await frames.fresh(request.not_before_s)
        return await frames.fresh(request.not_before_s, settled=False)
