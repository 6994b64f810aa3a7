"""Tier 3: a picture of a stream that is started for it."""

from typing import ClassVar

import anyio

from agent_core.plugin import (
    AgentError,
    Camera,
    CaptureFailed,
    CaptureRequest,
    Clock,
    DependencyFailed,
    Picture,
    SnapshotTier,
    TierNeed,
    TierUnavailable,
    Unsupported,
)
from rtsp_tier.tiers.pictures import StreamPictures
from rtsp_tier.tiers.warm import WarmLeases

__all__ = ("RtspActivationTier",)


class RtspActivationTier(SnapshotTier):
    """Tier that starts the camera's stream, reads it and releases it; it stays live for a while for the next picture.

    The source of `captured_s` is always `ESTIMATED`, as in `RtspReuseTier`.
    """

    name = "rtsp_activation"
    rank = 3
    needs: ClassVar[TierNeed] = TierNeed.STREAM

    def __init__(self, pictures: StreamPictures, leases: WarmLeases, clock: Clock) -> None:
        self._pictures = pictures
        self._leases = leases
        self._clock = clock

    def supports(self, camera: Camera) -> bool:
        return camera.media_input is not None

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        """Start the stream, take a picture, release it.

        Raises:
            TierUnavailable: the camera cannot be streamed, or the plugin does not run.
            CaptureFailed: the stream did not start or gave no picture in time.
        """
        with anyio.move_on_after(max(0.0, request.deadline_s - self._clock.monotonic_s())):
            try:
                async with self._leases.hold(camera.id, deadline_s=request.deadline_s) as stream:
                    return await self._pictures.take(camera.id, stream, request)
            except CaptureFailed:
                raise
            except AgentError as error:
                raise _not_started(error) from error
        raise CaptureFailed(
            f"The stream of {camera.id} was not live before the deadline.",
            reason="timed_out",
            suggestion="Allow a larger deadline_ms; the stream stays live for a while, so a second call may be in time.",
        )


def _not_started(error: AgentError) -> CaptureFailed:
    kind = TierUnavailable if isinstance(error, Unsupported) else CaptureFailed
    dependency = error.dependency if isinstance(error, DependencyFailed) else None
    return kind(error.details, reason=error.reason, suggestion=error.suggestion, dependency=dependency)
