"""Tier 2: a picture of a stream that is live, without starting anything."""

from typing import ClassVar

from agent_core.plugin import (
    AgentError,
    Camera,
    CameraStreams,
    CaptureFailed,
    CaptureRequest,
    LiveStream,
    Picture,
    SnapshotTier,
    TierNeed,
    TierUnavailable,
)
from rtsp_tier.decoder import VideoSource
from rtsp_tier.tiers.pictures import CodedPictures
from rtsp_tier.tiers.residents import View

__all__ = ("RtspReuseTier",)


class RtspReuseTier(SnapshotTier):
    """Tier that reads a stream which is live already.

    Arrival times do not tell how long a picture was under way, so the source of `captured_s` is always `ESTIMATED`: it
    is the arrival less the configured latency.
    """

    name = "rtsp"
    rank = 2
    needs: ClassVar[TierNeed] = TierNeed.LIVE_STREAM

    def __init__(self, pictures: CodedPictures, streams: CameraStreams, *, latency_s: float) -> None:
        self._pictures = pictures
        self._streams = streams
        self._latency_s = latency_s

    def supports(self, camera: Camera) -> bool:
        return camera.media_input is not None

    def latency_s(self, camera: Camera) -> float:
        """Return the configured latency, by which arrivals are dated back."""
        return self._latency_s

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        """Take a picture with the camera's resident reader, or else look if its stream is live and read it.

        Raises:
            TierUnavailable: the stream is not live, or the media server does not answer.
            CaptureFailed: the stream gave no picture in time.
        """
        view = View(camera.id)
        if picture := await self._pictures.take_resident(view, request):
            return picture
        return await self._pictures.take(view, VideoSource.of_stream(await self._live(camera)), request)

    async def _live(self, camera: Camera) -> LiveStream:
        """Return the stream if it is live. Opening one that is not live could start it, so this asks the server."""
        try:
            stream = await self._streams.look(camera.id)
        except CaptureFailed:
            raise
        except AgentError as error:
            raise TierUnavailable(error.details, reason=error.reason, suggestion=error.suggestion) from error
        if stream.since_s is None:
            raise TierUnavailable(
                f"The stream of {camera.id} is not live.",
                reason="not_live",
                suggestion="Start it with start_streaming, or use a tier that starts it.",
            )
        return stream
