"""Snapshot tier: one FFmpeg run for one JPEG."""

from dataclasses import replace

from agent_core.plugin import (
    Camera,
    CapturedAtSource,
    CaptureFailed,
    CaptureRequest,
    Clock,
    FfmpegFailed,
    FrameSocket,
    MediaInput,
    Picture,
    PictureFormat,
    SnapshotTier,
    TierNeed,
    TierUnavailable,
    WorkerPool,
    device_state,
    ffmpeg,
    jpeg,
)
from ffmpeg_tier import inputs
from ffmpeg_tier.settings import FfmpegTierSettings

__all__ = ("FfmpegTier",)

#: Room for a still of 100 megapixels.
_PICTURE_LIMIT_BYTES = 64 << 20
#: Attempts at a whole picture: a loss is over at the next key frame, a camera that sends damage sends it again.
_TRIES = 2
#: Reasons that FFmpeg gives for a damaged picture. FFmpeg 5.1 ends at one without saying why.
_DAMAGED = frozenset(["damaged_picture", FfmpegFailed.default_reason])
#: Least time (s) from one picture to the next in coded video; the pictures of its backlog are microseconds apart.
_LIVE_STEP_S = 0.001
#: Change of the wall clock against the monotonic one, in seconds, that means that it was set. Slewing is far slower.
_SET_S = 0.1


class FfmpegTier(SnapshotTier):
    """Tier that takes a still from any media input without credentials, by one FFmpeg run.

    FFmpeg's output carries no times, so `captured_s` is a lower bound and its source is always `ESTIMATED`:

    * Frame sockets and devices: FFmpeg connects or opens the device after its start, and a frame socket sends only
      JPEGs exposed after that. The bound is FFmpeg's start, and the picture is always fresh. Coded video begins with
      older pictures, whose times are close to each other: they are passed over, as is what was exposed before the start.
    * Network streams pass through buffers. A frame read after FFmpeg's start was exposed at most `network_latency_s`
      earlier, so the bound is the start minus that latency. FFmpeg's end gives no better bound, because FFmpeg keeps
      the first frame while it analyses the stream, for seconds in some cases. If the request asks for a later
      exposure, frames read before `not_before_s + network_latency_s` are skipped and `not_before_s` is the bound.
      The bound is only as good as the setting. FFmpeg skips by the wall clock, so if that was set meanwhile, the tier
      takes another picture.

    A frame socket also sends what the camera takes while its exposure settles, and the tier does not wait: `settled` is
    True only if the camera's broker tells of no such frame since the bound.

    FFmpeg would conceal damage of a network stream or of coded video. If it finds any, the tier takes one more picture.

    The core enforces the deadline: cancellation kills FFmpeg.
    """

    name = "ffmpeg"
    rank = 1
    needs = TierNeed.INPUT

    def __init__(self, settings: FfmpegTierSettings, *, program: str | None, clock: Clock) -> None:
        self._settings = settings
        self._program = program
        self._clock = clock
        self._threads = WorkerPool(1)

    def supports(self, camera: Camera) -> bool:
        return camera.media_input is not None and inputs.can_open(camera.media_input)

    def latency_s(self, camera: Camera) -> float:
        """Return the configured latency of a network stream; other inputs send frames exposed after FFmpeg's start."""
        media_input = camera.media_input
        is_late = media_input is not None and inputs.is_network(media_input)
        return self._settings.network_latency_s if is_late else 0.0

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        """Run FFmpeg once.

        Raises:
            TierUnavailable: this tier cannot open the camera's input, or FFmpeg is missing.
            CaptureFailed: FFmpeg failed, or its output is not a whole JPEG.
        """
        media_input = camera.media_input
        if media_input is None or not inputs.can_open(media_input):
            raise TierUnavailable(
                "FFmpeg must not open this camera's input: it has credentials or an unsupported scheme.",
                reason="input_not_supported",
                suggestion="Use a tier that goes through the media server.",
            )
        program = await self._locate()
        if inputs.is_network(media_input):
            return await self._capture_network(program, media_input, request)
        picture = await self._capture_near(program, media_input, request)
        return replace(picture, settled=_is_settled(camera, picture))

    async def _capture_near(self, program: str, media_input: MediaInput, request: CaptureRequest) -> Picture:
        started_s = self._clock.monotonic_s()
        if inputs.is_coded(media_input):
            return await self._capture_coded(program, media_input, request)
        return _picture(await self._run(program, self._arguments(media_input)), started_s)

    async def _capture_coded(self, program: str, media_input: MediaInput, request: CaptureRequest) -> Picture:
        tries_left = _TRIES
        while True:
            bound_s = max(self._clock.monotonic_s(), request.not_before_s)
            tries_left -= 1
            try:
                return _picture(
                    await self._run(program, self._arguments(media_input, since_s=bound_s)), bound_s
                )
            except CaptureFailed as error:
                if error.reason not in _DAMAGED or tries_left == 0:
                    raise

    async def _capture_network(
        self, program: str, media_input: MediaInput, request: CaptureRequest
    ) -> Picture:
        tries_left = _TRIES
        while True:
            bound_s = self._clock.monotonic_s() - self._settings.network_latency_s
            wall_ahead_s = self._wall_ahead_s()
            skip_s = max(request.not_before_s - bound_s, 0.0)
            tries_left -= 1
            try:
                data = await self._run(program, self._arguments(media_input, skip_s=skip_s))
            except CaptureFailed as error:
                if error.reason not in _DAMAGED or tries_left == 0:
                    raise
                continue
            if skip_s == 0 or abs(self._wall_ahead_s() - wall_ahead_s) < _SET_S:
                return _picture(data, bound_s + skip_s)

    def _wall_ahead_s(self) -> float:
        """Return the difference of the wall clock and the monotonic one, which only setting the wall clock changes."""
        return self._clock.now().timestamp() - self._clock.monotonic_s()

    async def _locate(self) -> str:
        try:
            return await self._threads.run_abandonable(ffmpeg.locate, self._program)
        except FfmpegFailed as error:
            raise TierUnavailable(
                error.details,
                reason=error.reason,
                suggestion=error.suggestion,
                dependency=error.dependency,
            ) from error

    def _arguments(
        self, media_input: MediaInput, *, skip_s: float = 0.0, since_s: float | None = None
    ) -> tuple[str, ...]:
        opened = inputs.arguments(media_input, timeout_s=self._settings.network_timeout_s)
        if skip_s > 0:
            # FFmpeg stamps frames with the wall clock, so the limit is in wall-clock time. A frame from before the
            # start shows that the clock was set back; waiting for the limit could then take hours.
            start_s = self._clock.now().timestamp()
            passed = rf"gte(t\,{start_s + skip_s:.6f})+lt(t\,{start_s - _SET_S:.6f})"
            opened = ("-use_wallclock_as_timestamps", "1", *opened)
            picture = (*_since(passed), *self._encoder())
        elif since_s is not None:
            # The times of the backlog are right before that of its newest picture, which may be new enough.
            opened = (*inputs.WHOLE, *opened)
            passed = rf"gte(t\,{since_s:.6f})*gte(t-prev_t\,{_LIVE_STEP_S})"
            picture = (*_since(passed), *self._encoder())
        elif inputs.is_jpeg(media_input):
            picture = ("-c:v", "copy")
        else:
            picture = self._encoder()
        return (*opened, "-map", "0:v:0", "-frames:v", "1", *picture, "-f", "mjpeg", "pipe:1")

    def _encoder(self) -> tuple[str, ...]:
        return ("-c:v", "mjpeg", "-q:v", str(self._settings.jpeg_qscale))

    async def _run(self, program: str, arguments: tuple[str, ...]) -> bytes:
        try:
            return await ffmpeg.run(program, arguments, output_limit_bytes=_PICTURE_LIMIT_BYTES)
        except FfmpegFailed as error:
            raise CaptureFailed(
                error.details,
                reason=error.reason,
                suggestion=error.suggestion,
                dependency=error.dependency,
                detail=error.detail,
            ) from error


def _since(condition: str) -> tuple[str, ...]:
    """Return the options that pass over pictures until `condition` on their time `t`, in seconds, is true."""
    return ("-copyts", "-vf", f"select={condition}")


def _is_settled(camera: Camera, picture: Picture) -> bool:
    """Return False if the exposure of a frame socket's picture may have been settling, as far as its broker tells."""
    state = device_state(camera.detected) if isinstance(camera.media_input, FrameSocket) else None
    if state is None:
        return True
    return state.newest_s is not None and (
        state.unsettled_s is None or state.unsettled_s < picture.captured_s
    )


def _picture(data: bytes, captured_s: float) -> Picture:
    if not data:
        raise CaptureFailed(
            "The source did not deliver a picture.",
            reason="no_picture",
            suggestion="Check what the source sends.",
            dependency="ffmpeg",
        )
    try:
        info = jpeg.inspect(data)
    except jpeg.JpegError as error:
        raise CaptureFailed(
            f"FFmpeg did not deliver a whole JPEG: {error}.",
            reason="damaged_picture",
            suggestion="Take another snapshot; check the camera's cable and the network.",
            dependency="ffmpeg",
        ) from error
    return Picture(data, PictureFormat.JPG, info.width, info.height, captured_s, CapturedAtSource.ESTIMATED)
