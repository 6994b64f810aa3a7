"""Tier 0 of cameras with coded video: a picture decoded from the camera's own frame socket."""

from typing import ClassVar

from agent_core.plugin import (
    Camera,
    CaptureFailed,
    CaptureRequest,
    Clock,
    DeviceState,
    FrameSocket,
    Picture,
    SnapshotTier,
    TierNeed,
    TierUnavailable,
    VideoCodec,
)
from rtsp_tier.decoder import ReaderGone, VideoSource
from rtsp_tier.messages import Reason
from rtsp_tier.tiers.pictures import CodedPictures
from rtsp_tier.tiers.residents import View, Way

__all__ = ("DecodedFramesTier",)

#: Time before the deadline from which a picture of a camera that still adjusts its exposure will do: to decode and encode
#: one on a busy device, and the frame intervals in which one comes.
_UNSETTLED_S, _UNSETTLED_FRAMES = 0.5, 2.0
#: Readers that may be closed under one picture: a camera that changes its size closes all of them once.
_TRIES = 2
#: Failures of the worker or its limits, for which the camera is not the reason.
_NOT_THE_CAMERA = frozenset({Reason.WORKER_FAILED, Reason.BUSY, "recently_failed", "tier_unavailable"})


class DecodedFramesTier(SnapshotTier):
    """Tier that decodes a picture of a camera's H.264 or H.265, without FFmpeg and the media server.

    The frame socket tells with each picture when it was taken, so `captured_s` and its source are the camera's. A reader
    counts as demand on the camera: it is closed soon after the last picture.
    """

    name = "decoded_frames"
    rank = 0
    needs: ClassVar[TierNeed] = TierNeed.FRAMES

    def __init__(self, pictures: CodedPictures, clock: Clock) -> None:
        self._pictures = pictures
        self._clock = clock

    def supports(self, camera: Camera) -> bool:
        return camera.frames is None and _coded(camera) is not None

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        """Take a picture with the camera's resident reader, or with one of its own.

        Raises:
            TierUnavailable: the camera has no coded video, or the worker accepts no work.
            CaptureFailed: the camera or its decoder gave no picture in time; the reason is the camera's if it has one.
        """
        if (socket := _coded(camera)) is None:
            raise TierUnavailable("The camera has no coded video.")
        try:
            return await self._take(camera, socket, request)
        except CaptureFailed as error:
            problem = _problem(camera)
            if problem is None or error.reason in _NOT_THE_CAMERA:
                raise
            raise problem from error

    async def _take(self, camera: Camera, socket: FrameSocket, request: CaptureRequest) -> Picture:
        source = VideoSource.of_socket(socket)
        left_s = request.deadline_s - self._clock.monotonic_s()
        margin_s = _UNSETTLED_S + _UNSETTLED_FRAMES * source.interval_s
        unsettled_from_s = request.deadline_s - min(margin_s, left_s / 2)
        tries_left = _TRIES
        while True:
            tries_left -= 1
            try:
                return await self._pictures.take(
                    View(camera.id, Way.SOCKET), source, request, unsettled_from_s=unsettled_from_s
                )
            except ReaderGone:
                if not tries_left or _problem(camera) is not None:
                    raise


def _coded(camera: Camera) -> FrameSocket | None:
    """Return the camera's frame socket if it sends coded video."""
    found = camera.media_input
    return found if isinstance(found, FrameSocket) and found.codec is not VideoCodec.MJPEG else None


def _problem(camera: Camera) -> CaptureFailed | None:
    """Return why the camera delivers nothing, as its source says; None if it does not say."""
    state: object = getattr(camera.detected.device, "device", None)
    return state.problem if isinstance(state, DeviceState) else None
