"""Tier 3: a picture of a stream that is started for it."""

from typing import ClassVar

import anyio

from agent_core.plugin import (
    AgentError,
    Camera,
    CameraId,
    CameraStreams,
    CaptureFailed,
    CaptureRequest,
    Clock,
    DependencyFailed,
    LiveStream,
    Picture,
    SnapshotTier,
    TierNeed,
    TierUnavailable,
    Unsupported,
)
from rtsp_tier.decoder import VideoSource
from rtsp_tier.tiers.pictures import CodedPictures
from rtsp_tier.tiers.residents import View
from rtsp_tier.tiers.warm import WarmLease, WarmLeases

__all__ = ("RtspActivationTier",)

#: Time before the deadline below which no other reader connects while the stream starts.
_AGAIN_S = 0.5


class RtspActivationTier(SnapshotTier):
    """Tier that starts the camera's stream, reads it and releases it; it stays live for a while for the next picture.

    A reader that connects when the stream is live has missed its first key frame, and waits for the next one. Therefore
    the tier connects its reader while the stream starts, and again when that one waited in vain for the limit of opening
    a stream. If it failed otherwise, the tier connects when the stream is live: a path that is not started by its
    readers has no stream for them until then.

    The source of `captured_s` is always `ESTIMATED`, as in `RtspReuseTier`.
    """

    name = "rtsp_activation"
    rank = 3
    needs: ClassVar[TierNeed] = TierNeed.STREAM

    def __init__(
        self,
        pictures: CodedPictures,
        leases: WarmLeases,
        streams: CameraStreams,
        clock: Clock,
        *,
        latency_s: float,
    ) -> None:
        self._pictures = pictures
        self._leases = leases
        self._streams = streams
        self._clock = clock
        self._latency_s = latency_s

    def supports(self, camera: Camera) -> bool:
        return camera.media_input is not None

    def latency_s(self, camera: Camera) -> float:
        """Return the configured latency, by which arrivals are dated back."""
        return self._latency_s

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        """Start the stream, take a picture, release it.

        Raises:
            TierUnavailable: the camera cannot be streamed, or the plugin does not run.
            CaptureFailed: the stream did not start or gave no picture in time.
        """
        with anyio.move_on_after(max(0.0, request.deadline_s - self._clock.monotonic_s())):
            try:
                stream = await self._streams.look(camera.id)
                async with self._leases.hold(camera.id, deadline_s=request.deadline_s) as lease:
                    return await self._take(camera.id, stream, lease, request)
            except CaptureFailed:
                raise
            except AgentError as error:
                raise _not_started(error) from error
        raise CaptureFailed(
            f"The stream of {camera.id} was not live before the deadline.",
            reason="timed_out",
            suggestion="Allow a larger deadline_ms; the stream stays live for a while, so a second call may be in time.",
        )

    async def _take(
        self, camera: CameraId, starting: LiveStream, lease: WarmLease, request: CaptureRequest
    ) -> Picture:
        picture: Picture | None = None
        problem: AgentError | None = None

        async def read_early() -> None:
            nonlocal picture, problem
            while picture is None:
                was_live = lease.is_live
                try:
                    picture = await self._pictures.take(
                        View(camera), VideoSource.of_stream(starting), request
                    )
                except CaptureFailed as error:
                    if error.reason == "timed_out" and not was_live and self._has_time(request):
                        continue
                    if lease.is_live and error.reason != "not_live":
                        problem = error  # otherwise the stream was not there yet
                    return
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_early)
            try:
                await lease.wait_live()
            except AgentError as error:
                problem = error
                tasks.cancel_scope.cancel()
        if picture is not None:
            return picture
        if problem is not None:
            raise problem
        stream = VideoSource.of_stream(await lease.wait_live())
        return await self._pictures.take(View(camera), stream, request)

    def _has_time(self, request: CaptureRequest) -> bool:
        return request.deadline_s - self._clock.monotonic_s() >= _AGAIN_S


def _not_started(error: AgentError) -> CaptureFailed:
    kind = TierUnavailable if isinstance(error, Unsupported) else CaptureFailed
    dependency = error.dependency if isinstance(error, DependencyFailed) else None
    return kind(error.details, reason=error.reason, suggestion=error.suggestion, dependency=dependency)
