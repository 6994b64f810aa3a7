"""Tier 0: the newest frame of a camera's broker, for every camera that has one.

A module of its own, as each tier has one: the ladder knows tiers only by their interface.
"""

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import TierUnavailable
from agent_core.base.models import Camera, Frame, FrameReader, Picture, PictureFormat
from agent_core.plugin.abc import CaptureRequest, SnapshotTier, TierNeed

__all__ = ("RingTier",)

#: Time kept before the deadline for the work after the wait.
_MARGIN_S = 0.2


class RingTier(SnapshotTier):
    """Returns a frame of the ring that is fresh enough, else the next frame; the JPEG is unchanged.

    After a camera has started, waits for its exposure to settle; at the deadline it takes the picture as it is, with
    `settled` False.
    """

    needs = TierNeed.FRAMES

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
            frame.settlement,
        )

    async def _frame(self, frames: FrameReader, request: CaptureRequest) -> Frame:
        wait_s = request.deadline_s - self._clock.monotonic_s() - _MARGIN_S
        with anyio.move_on_after(max(wait_s, 0.0)):
            return await frames.fresh(request.not_before_s)
        return await frames.fresh(request.not_before_s, settled=False)
