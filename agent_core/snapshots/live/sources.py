"""Sources of feeds: the frames of a camera's broker, or else stills, again and again."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, CaptureFailed, DependencyFailed
from agent_core.base.models import Camera, CameraId, DeviceState, Frame, FrameFollower, FrameReader
from agent_core.base.waiting import first_of
from agent_core.snapshots.live.feed import SILENT_S, LiveFeed
from agent_core.snapshots.models import LivePicture, TakenPicture

__all__ = ("FeedSources", "TakeStill")

_log = logging.getLogger("camera_agent.snapshots")

#: Shortest interval of stills.
_STILL_S = 0.5
#: Longest wait for the first frame: cameras take seconds to start, and network cameras more.
_FIRST_S = 15.0

#: Takes a still of a camera, no older than given in seconds, as a JPEG. Raises AgentError.
TakeStill = Callable[[CameraId, float], Awaitable[TakenPicture]]


@dataclass(frozen=True, slots=True)
class FeedSources:
    """Producers of the cameras' own pictures.

    Args:
        take: takes a still, for cameras without a broker whose frames can be followed.
        clock: times the pictures.
    """

    take: TakeStill
    clock: Clock

    async def show(self, camera: Camera, feed: LiveFeed) -> None:
        """Show the camera's pictures in `feed` until cancelled.

        Raises:
            AgentError: the camera is gone or gives no picture any more.
        """
        frames = _followed(camera)
        if frames is not None:
            await self._show_frames(camera.id, frames, feed)
        else:
            await self._show_stills(camera.id, feed)

    async def _show_frames(self, camera: CameraId, frames: FrameFollower, feed: LiveFeed) -> None:
        problem: AgentError | None = None

        async def follow() -> None:
            nonlocal problem
            problem = await self._follow(camera, frames, feed)

        with _demanded(camera, frames):
            await first_of(follow, partial(self._wait_silent, feed))
        raise problem or _silent(camera, frames)

    async def _follow(self, camera: CameraId, frames: FrameFollower, feed: LiveFeed) -> AgentError:
        """Show frame by frame; return the reason for the end."""
        sequence: int | None = None
        while True:
            try:
                with _guarded(camera):
                    # An old frame would be shown as if it were live.
                    frame = await (
                        frames.fresh(self.clock.monotonic_s() - _STILL_S, settled=False)
                        if sequence is None
                        else frames.after(sequence)
                    )
                    picture, sequence = self._live(frame), frame.sequence
            except AgentError as error:
                return error
            feed.show(picture)

    async def _wait_silent(self, feed: LiveFeed) -> None:
        """Wait until there was no picture for `SILENT_S`, or at most twice that."""
        seen = None
        await self.clock.sleep(_FIRST_S)
        while feed.newest is not seen:
            seen = feed.newest
            await self.clock.sleep(SILENT_S)

    def _live(self, frame: Frame) -> LivePicture:
        age_s = max(0.0, self.clock.monotonic_s() - frame.captured_s)
        captured_at = self.clock.now() - timedelta(seconds=age_s)
        return LivePicture(frame.data, frame.width, frame.height, frame.captured_s, captured_at)

    async def _show_stills(self, camera: CameraId, feed: LiveFeed) -> None:
        last_s = float("-inf")
        while True:
            asked_s = self.clock.monotonic_s()
            try:
                taken = await self.take(camera, _STILL_S)
            except AgentError:
                if self.clock.monotonic_s() - last_s > SILENT_S:
                    raise
            else:
                picture, last_s = taken.picture, self.clock.monotonic_s()
                feed.show(
                    LivePicture(
                        picture.data, picture.width, picture.height, picture.captured_s, taken.captured_at
                    )
                )
            await self.clock.sleep(max(0.0, asked_s + _STILL_S - self.clock.monotonic_s()))


@contextmanager
def _guarded(camera: CameraId) -> Iterator[None]:
    """Run code of the camera's broker, which may be foreign; each failure becomes an AgentError."""
    try:
        with contained(f"The frame broker of {camera}"):
            yield
    except DependencyFailed:
        raise
    except Exception as error:
        _log.exception("a frame broker failed", extra={"fields": {"camera": camera}})
        raise CaptureFailed(
            f"The frame broker of {camera} failed: it raised {type(error).__name__}.",
            reason="broker_failed",
            suggestion="Tell the plugin's author; the agent's log has the error.",
        ) from error


@contextmanager
def _demanded(camera: CameraId, frames: FrameFollower) -> Iterator[None]:
    """Keep the camera delivering. Raises AgentError; a failure of the broker at the end is only logged."""
    with ExitStack() as hold:
        with _guarded(camera):
            hold.enter_context(frames.demand())
        try:
            yield
        finally:
            with suppress(AgentError), _guarded(camera):
                hold.close()


def _followed(camera: Camera) -> FrameFollower | None:
    """Return the camera's broker if its frames can be followed. Raises AgentError."""
    with _guarded(camera.id):  # the check may run properties
        return camera.frames if isinstance(camera.frames, FrameFollower) else None


def _silent(camera: CameraId, reader: FrameReader) -> AgentError:
    """Return the reason for the silence, as the broker knows it."""
    try:
        with _guarded(camera):
            state: object = getattr(reader, "device", None)
    except AgentError as error:
        return error
    if isinstance(state, DeviceState) and state.problem is not None:
        return state.problem
    return CaptureFailed(f"{camera} delivered no picture for {SILENT_S:g} s.", reason="camera_silent")
